// SPDX-License-Identifier: Apache-2.0
/*
 * Export tables, called as NVIDIA's runtime calls them (docs/export-tables.md).  A program that
 * nvcc has linked with its static runtime needs these; there is none here, for a machine that runs
 * the tests may have no nvcc.
 */
#include "harness.h"

static const uint8_t runtime[16] = { 0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
				     0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9 };
static const uint8_t tools[16] = { 0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74,
				   0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66 };
static const uint8_t tls[16] = { 0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47,
				 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc };
static const uint8_t storage[16] = { 0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11,
				     0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93 };
static const uint8_t checks[16] = { 0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43,
				    0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e };

static void *const *table(const uint8_t id[16])
{
	const void *t = NULL;
	CUuuid uuid;

	memcpy(&uuid, id, sizeof(uuid));
	ok(cuGetExportTable(&t, &uuid));
	assert_non_null(t);
	return t;
}

static void sizes(void **state)
{
	CUuuid none = { { 1 } };
	const void *t;

	(void)state;
	assert_int_equal((uintptr_t)table(runtime)[0], 13 * 8);
	assert_int_equal((uintptr_t)table(tools)[0], 7 * 8);
	assert_int_equal((uintptr_t)table(tls)[0], 4 * 8);
	assert_int_equal((uintptr_t)table(checks)[0], 15 * 8);
	gives(CUDA_ERROR_INVALID_VALUE, cuGetExportTable(&t, &none));
	gives(CUDA_ERROR_INVALID_VALUE, cuGetExportTable(NULL, &none));
	gives(CUDA_ERROR_INVALID_VALUE, cuGetExportTable(&t, NULL));
}

/* The runtime asks for the primary context's handle first, and retains the context later. */
static void primary(void **state)
{
	CUresult (*get)(CUcontext *, CUdevice) = table(runtime)[2];
	CUresult (*current)(CUcontext *) = table(tls)[2];
	CUcontext first, ctx, c;
	unsigned int flags;
	int active;

	(void)state;
	ok(get(&first, 0));
	ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 0);
	gives(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2(0));
	ok(current(&c));
	assert_null(c);
	ok(cuDevicePrimaryCtxRetain(&ctx, 0));
	assert_ptr_equal(ctx, first);
	ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 1);
	ok(cuCtxSetCurrent(ctx));
	ok(current(&c));
	assert_ptr_equal(c, ctx);
	/* after a reset the runtime goes on with the handle that it has */
	ok(cuDevicePrimaryCtxReset_v2(0));
	gives(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxSynchronize());
	ok(cuDevicePrimaryCtxRetain(&c, 0));
	assert_ptr_equal(c, first);
	ok(cuCtxSetCurrent(c));
	ok(cuCtxSynchronize());
	gives(CUDA_ERROR_INVALID_DEVICE, get(&c, 99));
	gives(CUDA_ERROR_INVALID_VALUE, get(NULL, 0));
}

static int ended;

static void at_end(CUcontext ctx, void *key, void *value)
{
	(void)ctx;
	(void)key;
	ended += *(int *)value;
}

static void stored(void **state)
{
	CUresult (*put)(CUcontext, void *, void *, void (*)(CUcontext, void *, void *)) =
		table(storage)[0];
	CUresult (*delete)(CUcontext, void *) = table(storage)[1];
	CUresult (*get)(void **, CUcontext, void *) = table(storage)[2];
	int one = 1, ten = 10, key, other;
	CUcontext ctx, old;
	void *v = NULL;

	(void)state;
	ok(cuCtxGetCurrent(&old));
	ok(cuCtxCreate_v2(&ctx, 0, 0));
	gives(CUDA_ERROR_INVALID_HANDLE, get(&v, ctx, &key));
	ok(put(ctx, &key, &one, at_end));
	ok(put(NULL, &other, &ten, at_end));
	ok(get(&v, NULL, &key));
	assert_ptr_equal(v, &one);
	gives(CUDA_ERROR_INVALID_HANDLE, get(&v, old, &key));
	ok(delete(ctx, &key));
	gives(CUDA_ERROR_INVALID_HANDLE, delete(ctx, &key));
	assert_int_equal(ended, 0);
	ok(cuCtxDestroy_v2(ctx));
	assert_int_equal(ended, 10);
	gives(CUDA_ERROR_INVALID_CONTEXT, get(&v, ctx, &other));
}

/* What nobody knows anything of refuses, as with NVIDIA's driver an unknown table does. */
static void unknown(void **state)
{
	CUresult (*slot)(void) = table(runtime)[3];

	(void)state;
	gives(CUDA_ERROR_NOT_SUPPORTED, slot());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(primary), cmocka_unit_test(stored),
		cmocka_unit_test(unknown),
	};

	ok(cuInit(0));
	return cmocka_run_group_tests_name("export tables", tests, NULL, NULL);
}
