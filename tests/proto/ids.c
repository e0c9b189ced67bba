// SPDX-License-Identifier: Apache-2.0
/*
 * Ids of parts of objects, from a hostile program: none may lead to what the driver has
 * destroyed, and what can have no id is not made.  Needs a mediator at
 * VGPU_TRANSPORT=unix:PATH, whose executors load the stand-in for the driver, which lets
 * anybody destroy a part (tests/apigen/double_parts.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/ops_internal.h"
#include "peer.h"
#include "vg_wire.h"

enum { PRIMARY = 1, OTHER, GREEN, CONTEXT, LIBRARY = 10, MODULE, AGAIN, FUNCTION, KERNEL, OF_KERNEL,
       NEW, MIPMAP = 20, LEVEL, LEVEL_AGAIN, PLANE, PLANE_AGAIN, ARRAY, STREAM = 30, EVENT, LINK };

static struct channel open_with_contexts(void)
{
	struct channel ch = channel_open();
	struct vg_rq_vgpu_primary_retain primary = { .dev = 0, .id = PRIMARY };
	struct vg_rq_vgpu_context_create other = { .ctx = OTHER, .dev = 0 };

	assert_int_equal(call(&ch, VG_OP_vgpu_primary_retain, &primary, sizeof(primary)),
			 CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_context_create, &other, sizeof(other)),
			 CUDA_SUCCESS);
	return ch;
}

/* A call whose request is one id. */
static int32_t with(struct channel *ch, uint16_t op, uint32_t ctx, uint32_t id)
{
	uint32_t q[2] = { id };

	return call_in(ch, op, ctx, q, sizeof(q), NULL, 0);
}

static int32_t get(struct channel *ch, uint16_t op, uint32_t ctx, uint32_t part, uint32_t of)
{
	uint32_t q[4] = { part, of };	/* and the first level, or plane */
	bool indexed = op == VG_OP_cuMipmappedArrayGetLevel || op == VG_OP_cuArrayGetPlane;

	return call_in(ch, op, ctx, q, indexed ? 16 : 8, NULL, 0);
}

static int32_t get_named(struct channel *ch, uint16_t op, uint32_t ctx, uint32_t part, uint32_t of)
{
	struct {
		struct vg_rq_cuModuleGetFunction q;
		char name[8];
	} q = { { part, of, 4, { 0 } }, "add" };

	return call_in(ch, op, ctx, &q, sizeof(q), NULL, 0);
}

static int32_t function_info(struct channel *ch, uint32_t f)
{
	struct vg_rq_vgpu_function_info q = { .f = f };

	return call_in(ch, VG_OP_vgpu_function_info, PRIMARY, &q, sizeof(q), NULL, 0);
}

static void load_library(struct channel *ch)
{
	static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n";
	struct vg_blob_append blob = { .blob = 1, .bytes = sizeof(ptx), .total = sizeof(ptx) };
	struct vg_rq_vgpu_library_load load = { .library = LIBRARY, .image = 1 };

	memcpy(ch->base + ch->layout.arena_off, ptx, sizeof(ptx));
	assert_int_equal(call(ch, VG_OP_BLOB_APPEND, &blob, sizeof(blob)), CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_vgpu_library_load, PRIMARY, &load, sizeof(load), NULL,
				 0), CUDA_SUCCESS);
}

/* Two ids of one module: neither destroys it, and both go with the library. */
static void module_goes_with_its_library(void **state)
{
	struct channel ch = open_with_contexts();

	(void)state;
	load_library(&ch);
	assert_int_equal(get(&ch, VG_OP_cuLibraryGetModule, PRIMARY, MODULE, LIBRARY),
			 CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuLibraryGetModule, PRIMARY, AGAIN, LIBRARY), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuModuleUnload, PRIMARY, MODULE),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(get_named(&ch, VG_OP_cuModuleGetFunction, PRIMARY, FUNCTION, AGAIN),
			 CUDA_SUCCESS);
	assert_int_equal(function_info(&ch, FUNCTION), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuLibraryUnload, PRIMARY, LIBRARY), CUDA_SUCCESS);
	for (uint32_t id = MODULE; id <= AGAIN; id++)
		assert_int_equal(get_named(&ch, VG_OP_cuModuleGetFunction, PRIMARY, NEW, id),
				 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(function_info(&ch, FUNCTION), CUDA_ERROR_INVALID_HANDLE);
	channel_close(&ch);
}

/* A library outlives contexts; what it has in one of them does not. */
static void module_goes_with_its_context(void **state)
{
	struct channel ch = open_with_contexts();

	(void)state;
	load_library(&ch);
	assert_int_equal(get(&ch, VG_OP_cuLibraryGetModule, OTHER, MODULE, LIBRARY), CUDA_SUCCESS);
	assert_int_equal(get_named(&ch, VG_OP_cuLibraryGetKernel, OTHER, KERNEL, LIBRARY),
			 CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuKernelGetFunction, OTHER, OF_KERNEL, KERNEL),
			 CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_vgpu_context_destroy, 0, OTHER), CUDA_SUCCESS);
	assert_int_equal(get_named(&ch, VG_OP_cuModuleGetFunction, PRIMARY, NEW, MODULE),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(function_info(&ch, OF_KERNEL), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(get(&ch, VG_OP_cuKernelGetFunction, PRIMARY, NEW, KERNEL), CUDA_SUCCESS);
	channel_close(&ch);
}

static void is_array(struct channel *ch, uint32_t id, int32_t result)
{
	assert_int_equal(with(ch, VG_OP_cuArray3DGetDescriptor_v2, PRIMARY, id), result);
}

static void level_goes_with_its_array(void **state)
{
	struct vg_rq_cuMipmappedArrayCreate mipmap = {
		.pMipmappedArrayDesc = { .Width = 16, .NumChannels = 1 }, .pHandle = MIPMAP,
		.numMipmapLevels = 2,
	};
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(call_in(&ch, VG_OP_cuMipmappedArrayCreate, PRIMARY, &mipmap,
				 sizeof(mipmap), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuMipmappedArrayGetLevel, PRIMARY, LEVEL, MIPMAP),
			 CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuMipmappedArrayGetLevel, PRIMARY, LEVEL_AGAIN, MIPMAP),
			 CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuArrayGetPlane, PRIMARY, PLANE, LEVEL), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuArrayDestroy, PRIMARY, LEVEL),
			 CUDA_ERROR_INVALID_HANDLE);
	is_array(&ch, LEVEL, CUDA_SUCCESS);
	is_array(&ch, LEVEL_AGAIN, CUDA_SUCCESS);
	is_array(&ch, PLANE, CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuMipmappedArrayDestroy, PRIMARY, MIPMAP), CUDA_SUCCESS);
	is_array(&ch, LEVEL, CUDA_ERROR_INVALID_VALUE);
	is_array(&ch, LEVEL_AGAIN, CUDA_ERROR_INVALID_VALUE);
	is_array(&ch, PLANE, CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

static void plane_goes_with_its_array(void **state)
{
	struct vg_rq_cuArray3DCreate_v2 array = {
		.pAllocateArray = { .Width = 16, .Height = 16, .NumChannels = 1 }, .pHandle = ARRAY,
	};
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(call_in(&ch, VG_OP_cuArray3DCreate_v2, PRIMARY, &array, sizeof(array),
				 NULL, 0), CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuArrayGetPlane, PRIMARY, PLANE, ARRAY), CUDA_SUCCESS);
	assert_int_equal(get(&ch, VG_OP_cuArrayGetPlane, PRIMARY, PLANE_AGAIN, ARRAY),
			 CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuArrayDestroy, PRIMARY, PLANE),
			 CUDA_ERROR_INVALID_HANDLE);
	is_array(&ch, PLANE, CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuArrayDestroy, PRIMARY, ARRAY), CUDA_SUCCESS);
	is_array(&ch, PLANE, CUDA_ERROR_INVALID_VALUE);
	is_array(&ch, PLANE_AGAIN, CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

static uint32_t description(struct channel *ch)
{
	struct vg_rq_vgpu_device_resource q = { .dev = 0, .type = CU_DEV_RESOURCE_TYPE_SM };
	struct vg_rp_vgpu_device_resource p = { 0 };
	struct {
		struct vg_rq_vgpu_resource_describe q;
		uint32_t ids[2];
	} d = { .q = { .count = 1 } };
	struct vg_rp_vgpu_resource_describe desc = { 0 };

	assert_int_equal(call_in(ch, VG_OP_vgpu_device_resource, 0, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	d.ids[0] = p.resource.id;
	assert_int_equal(call_in(ch, VG_OP_vgpu_resource_describe, 0, &d, sizeof(d), &desc,
				 sizeof(desc)), CUDA_SUCCESS);
	return desc.desc;
}

/* What was made in a green context goes with the primary one, also if the green one went first. */
static void made_in_green_goes_with_the_primary_context(void **state)
{
	struct channel ch = open_with_contexts();
	struct vg_rq_vgpu_green_create green = {
		.green = GREEN, .context = CONTEXT, .primary = PRIMARY, .desc = description(&ch),
		.dev = 0, .flags = CU_GREEN_CTX_DEFAULT_STREAM,
	};
	struct vg_rq_cuGreenCtxStreamCreate stream = { .phStream = STREAM, .greenCtx = GREEN };
	struct vg_rq_vgpu_primary_release release = { .dev = 0, .id = PRIMARY };
	struct vg_rq_cuEventCreate event = { .phEvent = EVENT };

	(void)state;
	assert_int_equal(call(&ch, VG_OP_vgpu_green_create, &green, sizeof(green)), CUDA_SUCCESS);
	/* In no context, so that only the green one tells where the stream belongs. */
	assert_int_equal(call(&ch, VG_OP_cuGreenCtxStreamCreate, &stream, sizeof(stream)),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuEventCreate, CONTEXT, &event, sizeof(event), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuGreenCtxDestroy, 0, GREEN), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuStreamQuery, OTHER, STREAM), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuEventQuery, OTHER, EVENT), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_release, &release, sizeof(release)),
			 CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_cuStreamQuery, OTHER, STREAM),
			 CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(with(&ch, VG_OP_cuEventQuery, OTHER, EVENT),
			 CUDA_ERROR_CONTEXT_IS_DESTROYED);
	channel_close(&ch);
}

static int32_t link_create(struct channel *ch, uint32_t ctx, uint32_t id)
{
	struct vg_rq_vgpu_link_create q = { .state = id };

	return call_in(ch, VG_OP_vgpu_link_create, ctx, &q, sizeof(q), NULL, 0);
}

static void link_goes_with_its_context(void **state)
{
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(link_create(&ch, OTHER, LINK), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_vgpu_link_complete, OTHER, LINK), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_vgpu_context_destroy, 0, OTHER), CUDA_SUCCESS);
	assert_int_equal(with(&ch, VG_OP_vgpu_link_complete, PRIMARY, LINK),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(link_create(&ch, PRIMARY, LINK), CUDA_SUCCESS);
	channel_close(&ch);
}

/* A link whose id cannot be had is not made: the stand-in has no more than four. */
static void link_without_an_id(void **state)
{
	struct channel ch = open_with_contexts();

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(link_create(&ch, PRIMARY, OTHER), CUDA_ERROR_INVALID_HANDLE);
	for (uint32_t id = LINK; id < LINK + 4; id++)
		assert_int_equal(link_create(&ch, PRIMARY, id), CUDA_SUCCESS);
	assert_int_equal(link_create(&ch, PRIMARY, LINK + 4), CUDA_ERROR_UNKNOWN);
	channel_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module_goes_with_its_library),
		cmocka_unit_test(module_goes_with_its_context),
		cmocka_unit_test(level_goes_with_its_array),
		cmocka_unit_test(plane_goes_with_its_array),
		cmocka_unit_test(made_in_green_goes_with_the_primary_context),
		cmocka_unit_test(link_goes_with_its_context),
		cmocka_unit_test(link_without_an_id),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}
