// SPDX-License-Identifier: Apache-2.0
/*
 * Ids of green contexts, from a hostile program: none may lead to a context that the
 * driver has destroyed.  Needs a mediator at VGPU_TRANSPORT=unix:PATH, whose executors
 * load the stand-in for the driver (tests/apigen/double_green.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer.h"
#include "vg_wire.h"

#define PRIMARY	1u
#define OTHER	2u		/* a context of the program's own */
#define GREEN	3u
#define CONTEXT	4u		/* what a green context is as a context */
#define LINK	5u
#define STREAM	6u

static int32_t retain(struct channel *ch)
{
	struct vg_rq_vgpu_primary_retain q = { .dev = 0, .id = PRIMARY };

	return call(ch, VG_OP_vgpu_primary_retain, &q, sizeof(q));
}

static int32_t create(struct channel *ch, uint32_t id)
{
	struct vg_rq_vgpu_context_create q = { .ctx = id, .dev = 0 };

	return call(ch, VG_OP_vgpu_context_create, &q, sizeof(q));
}

static int32_t destroy(struct channel *ch, uint32_t id)
{
	struct vg_rq_vgpu_context_destroy q = { .ctx = id };

	return call(ch, VG_OP_vgpu_context_destroy, &q, sizeof(q));
}

static int32_t use(struct channel *ch, uint32_t ctx)
{
	return call_in(ch, VG_OP_cuCtxSynchronize, ctx, NULL, 0, NULL, 0);
}

/* All of the device's multiprocessors: as a resource, and what a green context is made of. */
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

static int32_t green(struct channel *ch, uint32_t id, uint32_t primary)
{
	struct vg_rq_vgpu_green_create q = {
		.green = id, .context = CONTEXT, .primary = primary, .desc = description(ch),
		.dev = 0, .flags = CU_GREEN_CTX_DEFAULT_STREAM,
	};

	return call(ch, VG_OP_vgpu_green_create, &q, sizeof(q));
}

static struct channel open_with_contexts(void)
{
	struct channel ch = channel_open();

	assert_int_equal(retain(&ch), CUDA_SUCCESS);
	assert_int_equal(create(&ch, OTHER), CUDA_SUCCESS);
	return ch;
}

/* A green context is not made without an id, or if its context can have none. */
static void green_without_an_id(void **state)
{
	struct vg_rq_cuGreenCtxDestroy gone = { .hCtx = GREEN };
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(green(&ch, OTHER, PRIMARY), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(use(&ch, CONTEXT), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(create(&ch, CONTEXT), CUDA_SUCCESS);
	assert_int_equal(green(&ch, GREEN, PRIMARY), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(call(&ch, VG_OP_cuGreenCtxDestroy, &gone, sizeof(gone)),
			 CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(destroy(&ch, CONTEXT), CUDA_SUCCESS);
	assert_int_equal(green(&ch, GREEN, PRIMARY), CUDA_SUCCESS);
	assert_int_equal(use(&ch, CONTEXT), CUDA_SUCCESS);
	channel_close(&ch);
}

/* Its ids go when the primary context does, so no other context may stand for that. */
static void green_is_of_the_primary_context(void **state)
{
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(green(&ch, GREEN, OTHER), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(green(&ch, GREEN, CONTEXT), CUDA_ERROR_INVALID_CONTEXT);
	channel_close(&ch);
}

/* Nothing of a green context is remembered that went with the primary one. */
static void green_goes_with_the_primary_context(void **state)
{
	struct vg_rq_vgpu_primary_release release = { .dev = 0, .id = PRIMARY };
	struct vg_rq_cuGreenCtxDestroy gone = { .hCtx = GREEN };
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(green(&ch, GREEN, PRIMARY), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_release, &release, sizeof(release)),
			 CUDA_SUCCESS);
	assert_int_equal(use(&ch, CONTEXT), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(call(&ch, VG_OP_cuGreenCtxDestroy, &gone, sizeof(gone)),
			 CUDA_ERROR_CONTEXT_IS_DESTROYED);
	/* The id is an ordinary context's now. */
	assert_int_equal(retain(&ch), CUDA_SUCCESS);
	assert_int_equal(create(&ch, CONTEXT), CUDA_SUCCESS);
	assert_int_equal(destroy(&ch, CONTEXT), CUDA_SUCCESS);
	channel_close(&ch);
}

/* It is made where the primary context is current, and goes with that. */
static void link_in_green(void **state)
{
	struct vg_rq_vgpu_primary_release release = { .dev = 0, .id = PRIMARY };
	struct vg_rq_cuGreenCtxDestroy gone = { .hCtx = GREEN };
	struct vg_rq_vgpu_link_create link = { .state = LINK };
	struct vg_rq_vgpu_link_complete complete = { .state = LINK };
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(green(&ch, GREEN, PRIMARY), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_link_create, CONTEXT, &link, sizeof(link), NULL,
				 0), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_cuGreenCtxDestroy, &gone, sizeof(gone)), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_link_complete, PRIMARY, &complete,
				 sizeof(complete), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_release, &release, sizeof(release)),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_link_complete, OTHER, &complete,
				 sizeof(complete), NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	channel_close(&ch);
}

/* With its streams their captures may end, in graphs that nobody may use any more. */
static void green_stays_while_captured(void **state)
{
	struct vg_rq_cuStreamCreate s = { .phStream = STREAM, .Flags = CU_STREAM_NON_BLOCKING };
	struct vg_rq_cuStreamBeginCapture_v2 begin = { .hStream = STREAM };
	struct vg_rq_cuGreenCtxDestroy gone = { .hCtx = GREEN };
	struct vg_rq_vgpu_capture_end end = { .stream = STREAM };
	struct channel ch = open_with_contexts();

	(void)state;
	assert_int_equal(green(&ch, GREEN, PRIMARY), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuStreamCreate, CONTEXT, &s, sizeof(s), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuStreamBeginCapture_v2, CONTEXT, &begin,
				 sizeof(begin), NULL, 0), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_cuGreenCtxDestroy, &gone, sizeof(gone)),
			 CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_capture_end, CONTEXT, &end, sizeof(end), NULL,
				 0), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_cuGreenCtxDestroy, &gone, sizeof(gone)), CUDA_SUCCESS);
	channel_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(green_without_an_id),
		cmocka_unit_test(green_is_of_the_primary_context),
		cmocka_unit_test(green_goes_with_the_primary_context),
		cmocka_unit_test(link_in_green),
		cmocka_unit_test(green_stays_while_captured),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("greens", tests, NULL, NULL);
}
