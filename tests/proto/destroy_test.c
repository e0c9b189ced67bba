// SPDX-License-Identifier: Apache-2.0
/*
 * Destruction, from a hostile program: what the driver keeps has its id and counts, and no call
 * works with what it has not named.  Needs a mediator at VGPU_TRANSPORT=unix:PATH, whose
 * executors load softgpu.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/ops_internal.h"
#include "executor/budget.h"
#include "executor/handles.h"
#include "peer.h"
#include "vg_wire.h"

enum { CTX = 1, OWN, STREAM = 10, ARRAY, MIPMAP, MODULE, POOL, MANY = 100 };

static struct channel open_with_context(void)
{
	struct channel ch = channel_open();
	struct vg_rq_vgpu_primary_retain q = { .dev = 0, .id = CTX };

	assert_int_equal(call(&ch, VG_OP_vgpu_primary_retain, &q, sizeof(q)), CUDA_SUCCESS);
	return ch;
}

/* A call whose request begins with one number. */
static int32_t with(struct channel *ch, uint16_t op, uint32_t ctx, uint64_t first)
{
	uint64_t q[1] = { first };

	return call_in(ch, op, ctx, q, sizeof(q), NULL, 0);
}

static int32_t stream_create(struct channel *ch, uint32_t id)
{
	struct vg_rq_cuStreamCreate q = { .phStream = id, .Flags = 1 };

	return call_in(ch, VG_OP_cuStreamCreate, CTX, &q, sizeof(q), NULL, 0);
}

static void make_all(struct channel *ch)
{
	static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n";
	struct vg_blob_append blob = { .blob = 1, .bytes = sizeof(ptx), .total = sizeof(ptx) };
	struct vg_rq_vgpu_module_load module = { .module = MODULE, .image = 1 };
	struct vg_rq_cuArrayCreate_v2 array = {
		.pHandle = ARRAY,
		.pAllocateArray = { .Width = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 },
	};
	struct vg_rq_cuMipmappedArrayCreate mipmap = {
		.pHandle = MIPMAP, .numMipmapLevels = 1,
		.pMipmappedArrayDesc = { .Width = 16, .Format = CU_AD_FORMAT_FLOAT,
					 .NumChannels = 1 },
	};

	assert_int_equal(stream_create(ch, STREAM), CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_cuArrayCreate_v2, CTX, &array, sizeof(array), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_cuMipmappedArrayCreate, CTX, &mipmap, sizeof(mipmap),
				 NULL, 0), CUDA_SUCCESS);
	memcpy(ch->base + ch->layout.arena_off, ptx, sizeof(ptx));
	assert_int_equal(call(ch, VG_OP_BLOB_APPEND, &blob, sizeof(blob)), CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_vgpu_module_load, CTX, &module, sizeof(module), NULL, 0),
			 CUDA_SUCCESS);
}

/* What the driver does not destroy keeps its id: here because no context is current. */
static void refused_destruction_keeps_the_id(void **state)
{
	static const struct {
		uint16_t op;
		uint32_t id;
		CUresult gone;	/* to the id, when nothing has it any more */
	} all[] = {
		{ VG_OP_cuStreamDestroy_v2, STREAM, CUDA_ERROR_CONTEXT_IS_DESTROYED },
		{ VG_OP_cuArrayDestroy, ARRAY, CUDA_ERROR_INVALID_VALUE },
		{ VG_OP_cuMipmappedArrayDestroy, MIPMAP, CUDA_ERROR_INVALID_VALUE },
		{ VG_OP_cuModuleUnload, MODULE, CUDA_ERROR_INVALID_HANDLE },
	};
	struct vg_rq_vgpu_pool_default pool = { .dev = 0, .pool = POOL };
	struct channel ch = open_with_context();

	(void)state;
	make_all(&ch);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (int again = 0; again < 2; again++)
			assert_int_equal(with(&ch, all[i].op, 0, all[i].id),
					 CUDA_ERROR_INVALID_CONTEXT);
		assert_int_equal(stream_create(&ch, all[i].id), CUDA_ERROR_INVALID_HANDLE);
		assert_int_equal(with(&ch, all[i].op, CTX, all[i].id), CUDA_SUCCESS);
		assert_int_equal(with(&ch, all[i].op, CTX, all[i].id), all[i].gone);
	}
	/* The device's own pool is nobody's to destroy. */
	assert_int_equal(call(&ch, VG_OP_vgpu_pool_default, &pool, sizeof(pool)), CUDA_SUCCESS);
	for (int again = 0; again < 2; again++)
		assert_int_equal(with(&ch, VG_OP_cuMemPoolDestroy, 0, POOL),
				 CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

/* Streams that are refused to go count as before. */
static void refused_destruction_counts(void **state)
{
	const uint32_t most = VG_OBJECTS_MAX / VG_STREAM_BYTES;
	struct channel ch = open_with_context();
	int32_t r = CUDA_SUCCESS;
	uint32_t n;

	(void)state;
	for (n = 0; n <= most && !r; n++) {
		r = stream_create(&ch, MANY + n);
		if (!r)
			assert_int_equal(with(&ch, VG_OP_cuStreamDestroy_v2, 0, MANY + n),
					 CUDA_ERROR_INVALID_CONTEXT);
	}
	assert_int_equal(r, CUDA_ERROR_OUT_OF_MEMORY);
	channel_close(&ch);
}

/* What has an address in place of an id: a refused free or end can be asked for again. */
static void refused_free_can_be_repeated(void **state)
{
	struct vg_rq_cuMemAlloc_v2 alloc = { .bytesize = 4096 };
	struct vg_rp_cuMemAlloc_v2 p = { 0 };
	struct vg_rq_cuMemFreeAsync async = { 0 };
	struct channel ch = open_with_context();

	(void)state;
	assert_int_equal(call_in(&ch, VG_OP_cuMemAlloc_v2, CTX, &alloc, sizeof(alloc), &p,
				 sizeof(p)), CUDA_SUCCESS);
	for (int again = 0; again < 2; again++)
		assert_int_equal(with(&ch, VG_OP_cuMemFree_v2, 0, p.dptr),
				 CUDA_ERROR_INVALID_CONTEXT);
	async.dptr = p.dptr;
	for (int again = 0; again < 2; again++)
		assert_int_equal(call_in(&ch, VG_OP_cuMemFreeAsync, 0, &async, sizeof(async), NULL,
					 0), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(with(&ch, VG_OP_cuMemFree_v2, CTX, p.dptr), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuMemFree_v2, CTX, p.dptr), CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_destruction_keeps_the_id),
		cmocka_unit_test(refused_destruction_counts),
		cmocka_unit_test(refused_free_can_be_repeated),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("destroy", tests, NULL, NULL);
}
