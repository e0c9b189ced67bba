// SPDX-License-Identifier: Apache-2.0
/*
 * cuGetExportTable(): the tables that NVIDIA's own libraries ask the driver for,
 * by id.  None is documented; docs/export-tables.md says what is known of each,
 * and from where.  A slot that nothing is known of refuses.
 *
 * A table starts with its size in bytes, except where noted.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export_tables.h"
#include "export_unknown.h"
#include "integrity.h"
#include "storage.h"

#define DEVICES_MAX 64		/* as many as the runtime knows */

#define SLOT(function) ((void *)(function))
#define BYTES(words) ((void *)((words) * sizeof(void *)))

static CUresult unknown_slot(void)
{
	/* Which slot it was shows in the caller's code. */
	if (getenv("VGPU_DEBUG")) {
		Dl_info at;
		char *from = __builtin_return_address(0);

		if (dladdr(from, &at))
			fprintf(stderr, "vgpu: an export table's function is called from %s+0x%tx\n",
				at.dli_fname, from - (char *)at.dli_fbase);
	}
	return vg_export_refuse("an export table's function", "nothing is known of it");
}

static CUresult nothing(void)
{
	return CUDA_SUCCESS;
}

/* -- the runtime's interface */

static CUresult runtime_module(CUmodule *module, const void *wrapper)
{
	return cuModuleLoadData(module, wrapper);
}

/* A primary context's handle, whether or not it is active. */
static CUresult runtime_primary(CUcontext *ctx, CUdevice dev)
{
	return ctx ? vg_export_primary(ctx, dev) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult runtime_module_ext(CUmodule *module, const void *wrapper, void *a, void *b,
				   unsigned int c)
{
	if (a || b || c)
		return unknown_slot();
	return cuModuleLoadData(module, wrapper);
}

static CUresult runtime_module_bare(const void *fatbin, CUmodule *module, void *a, void *b,
				    unsigned int c)
{
	if (a || b || c)
		return unknown_slot();
	return cuModuleLoadFatBinary(module, fatbin);
}

static void *const runtime_table[13] = {
	BYTES(13), SLOT(runtime_module), SLOT(runtime_primary), SLOT(unknown_slot),
	SLOT(unknown_slot), SLOT(unknown_slot), SLOT(runtime_module_ext), SLOT(nothing),
	SLOT(runtime_module_bare), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot),
	SLOT(nothing),
};

/* -- tools: none is attached, which is what zeroed buffers say */

static uint32_t tools_buffer1[1024], tools_buffer2[14];

static void tools_get1(void **buffer, size_t *size)
{
	*buffer = tools_buffer1;
	*size = sizeof(tools_buffer1) / sizeof(tools_buffer1[0]);
}

static void tools_get2(void **buffer, size_t *size)
{
	*buffer = tools_buffer2;
	*size = sizeof(tools_buffer2) / sizeof(tools_buffer2[0]);
}

static void *const callbacks_table[7] = {
	BYTES(7), SLOT(nothing), SLOT(tools_get1), SLOT(nothing), SLOT(nothing), SLOT(nothing),
	SLOT(tools_get2),
};

static CUresult tls_current(CUcontext *ctx)
{
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (cuCtxGetCurrent(ctx))
		*ctx = NULL;
	return CUDA_SUCCESS;
}

static void *const tls_table[4] = {
	BYTES(4), SLOT(unknown_slot), SLOT(tls_current), SLOT(unknown_slot),
};

/* -- context-local storage; this table has no size */

static CUresult storage_put(CUcontext ctx, void *key, void *value, vg_storage_destructor destructor)
{
	const void *c = vg_export_owner(ctx);

	return c ? vg_storage_put(c, key, value, destructor) : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult storage_delete(CUcontext ctx, void *key)
{
	const void *c = vg_export_owner(ctx);

	return c ? vg_storage_delete(c, key) : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult storage_get(void **value, CUcontext ctx, void *key)
{
	const void *c = vg_export_owner(ctx);

	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	return c ? vg_storage_get(c, key, value) : CUDA_ERROR_INVALID_CONTEXT;
}

static void *const storage_table[4] = {
	SLOT(storage_put), SLOT(storage_delete), SLOT(storage_get), NULL,
};

/* -- checks of a context; bits that have never been seen set */

static CUresult context_check(CUcontext ctx, uint32_t *bits, void **more)
{
	(void)ctx;
	(void)more;
	if (bits)
		*bits = 0;
	return CUDA_SUCCESS;
}

static void *const checks_table[15] = {
	BYTES(15), SLOT(unknown_slot), SLOT(context_check), SLOT(nothing), SLOT(unknown_slot),
	SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot),
	SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot),
	SLOT(unknown_slot), SLOT(unknown_slot),
};

/* -- the integrity check */

#ifdef VG_INTEGRITY
static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint64_t out[2]);

static void *const integrity_table[3] = {
	BYTES(3), SLOT(integrity_check), SLOT(unknown_slot),
};

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint64_t out[2])
{
	struct vg_integrity in = {
		.version = version,
		.process = getpid(),
		.thread = (uint32_t)(uintptr_t)pthread_self(),
		.runtime_table = (uintptr_t)runtime_table,
		.integrity_table = (uintptr_t)integrity_table,
		.function = (uintptr_t)integrity_check,
		.unix_seconds = unix_seconds,
	};
	struct vg_integrity_device d[DEVICES_MAX];
	int count, driver;
	CUresult r = cuDeviceGetCount(&count);

	if (!r)
		r = cuDriverGetVersion(&driver);
	if (count > DEVICES_MAX)
		count = DEVICES_MAX;
	for (int i = 0; i < count && !r; i++) {
		CUuuid uuid;

		r = cuDeviceGetUuid_v2(&uuid, i);
		memcpy(d[i].uuid, &uuid, sizeof(d[i].uuid));
		r = r ? r : cuDeviceGetAttribute(&d[i].pci_domain,
						 CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, i);
		r = r ? r : cuDeviceGetAttribute(&d[i].pci_bus, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, i);
		r = r ? r : cuDeviceGetAttribute(&d[i].pci_device,
						 CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, i);
	}
	if (r)
		return r;
	in.driver_version = driver;
	vg_integrity_answer(&in, d, count, out);
	return CUDA_SUCCESS;
}
#endif

/* -- the tools' view of contexts, which cuBLAS asks for ids */

static CUresult tools_context_device(CUcontext ctx, CUdevice *dev)
{
	return cuCtxGetDevice_v2(dev, ctx);
}

static CUresult tools_context_id(CUcontext ctx, unsigned long long *id)
{
	return cuCtxGetId(ctx, id);
}

/*
 * cuBLAS keeps a workspace for each stream, by its id: first the stream that a handle
 * means, then that stream's id.
 */
static CUresult tools_stream(CUcontext ctx, CUstream s, CUstream *out, int per_thread)
{
	(void)ctx;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	*out = !s && per_thread ? CU_STREAM_PER_THREAD : s;
	return CUDA_SUCCESS;
}

static CUresult tools_stream_id(CUcontext ctx, CUstream s, unsigned long long *id)
{
	CUcontext popped;
	CUresult r;

	if (!ctx)
		return cuStreamGetId(s, id);
	r = cuCtxPushCurrent_v2(ctx);
	if (r)
		return r;
	r = cuStreamGetId(s, id);
	cuCtxPopCurrent_v2(&popped);
	return r;
}

#define UNKNOWN4 SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot)
#define UNKNOWN16 UNKNOWN4, UNKNOWN4, UNKNOWN4, UNKNOWN4

static void *const tools_context_table[93] = {
	BYTES(93), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(tools_context_device),
	SLOT(tools_context_id), UNKNOWN16, UNKNOWN16, SLOT(unknown_slot), SLOT(unknown_slot),
	SLOT(tools_stream_id), UNKNOWN4, UNKNOWN4, SLOT(unknown_slot), SLOT(unknown_slot),
	SLOT(unknown_slot), SLOT(tools_stream), UNKNOWN16, UNKNOWN16, UNKNOWN4, UNKNOWN4,
	SLOT(unknown_slot),
};

_Static_assert(sizeof(tools_context_table) == 93 * sizeof(void *), "as it says");

/* -- the tools' view of modules, which cuFFT asks for the functions of one */

/* Returns 1, and not CUDA_SUCCESS, when all went well. */
static int tools_module_functions(CUcontext ctx, CUmodule module,
				  void (*callback)(void *user, CUfunction f), void *user)
{
	CUfunction *functions;
	unsigned int count = 0;
	CUresult r;

	(void)ctx;
	if (!callback || cuModuleGetFunctionCount(&count, module))
		return 0;
	functions = calloc(count + 1, sizeof(*functions));
	if (!functions)
		return 0;
	r = cuModuleEnumerateFunctions(functions, count, module);
	for (unsigned int i = 0; !r && i < count; i++)
		callback(user, functions[i]);
	free(functions);
	return !r;
}

static void *const tools_module_table[16] = {
	BYTES(16), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot), SLOT(unknown_slot),
	SLOT(unknown_slot), SLOT(unknown_slot), SLOT(tools_module_functions), UNKNOWN4, UNKNOWN4,
};

static const struct {
	uint8_t id[16];
	void *const *table;
} tables[] = {
	{ { 0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd,
	    0x9d, 0xf9 }, runtime_table },
	{ { 0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c,
	    0x0a, 0x66 }, callbacks_table },
	{ { 0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a,
	    0xec, 0xdc }, tls_table },
	{ { 0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8,
	    0x95, 0x93 }, storage_table },
	{ { 0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d,
	    0xfa, 0x7e }, checks_table },
#ifdef VG_INTEGRITY
	{ { 0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66,
	    0xe1, 0xf2 }, integrity_table },
#endif
	{ { 0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24,
	    0xc8, 0xf2 }, tools_context_table },
	{ { 0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d, 0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1,
	    0x99, 0x1e }, tools_module_table },
	{ { 0x17, 0x34, 0xdc, 0x26, 0x80, 0x0d, 0x47, 0x45, 0x87, 0x26, 0xc0, 0xf1, 0xe7, 0xdd,
	    0x8b, 0xca }, vg_table_1734dc26 },
	{ { 0x69, 0xa2, 0x8e, 0x9f, 0x24, 0x49, 0x8b, 0x47, 0xb0, 0x30, 0xc5, 0xda, 0x33, 0x0e,
	    0xa4, 0xe9 }, vg_table_69a28e9f },
};

/* For whoever looks into why a library does not start: VGPU_DEBUG=1. */
static void note_absent(const CUuuid *id)
{
	const uint8_t *b = (const uint8_t *)id;
	char text[33];

	if (!getenv("VGPU_DEBUG"))
		return;
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", b[i]);
	fprintf(stderr, "vgpu: no export table %s\n", text);
}

const void *vg_export_table(const CUuuid *id)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!memcmp(tables[i].id, id, sizeof(tables[i].id)))
			return tables[i].table;
	note_absent(id);
	return NULL;
}
