// SPDX-License-Identifier: Apache-2.0
/*
 * Linking.  All of it runs on the ring's own thread, so that no call is in a
 * link when another ends it.
 */
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "calls_jit.h"
#include "vg_cuda.h"

/* What an id of this kind leads to, in place of the driver's handle. */
struct link {
	CUlinkState state;
	struct vg_x_jit options;	/* the driver goes on writing to these */
	const void *cubin;		/* the driver's, until the state goes */
	size_t bytes;
	uint64_t held;			/* of the budget for images, until the state goes */
};

static bool hold(struct link *l, uint64_t bytes)
{
	if (!vg_budget_take(VG_BUDGET_IMAGES, bytes))
		return false;
	l->held += bytes;
	return true;
}

static void let_go(struct link *l, uint64_t bytes)
{
	vg_budget_give(VG_BUDGET_IMAGES, bytes);
	l->held -= bytes;
}

static struct link *link_of(CUlinkState s)
{
	return (struct link *)s;
}

CUresult vge_vgpu_link_create(struct vg_exec *x, const struct vg_req *rq, CUlinkState *state,
			      unsigned int log, const unsigned int *keys, const uint64_t *values,
			      unsigned int count)
{
	struct link *l;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuLinkCreate_v2 || !cu.cuLinkDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_x_jit_take(&l->options, keys, values, count, log);
	if (!r && !hold(l, (uint64_t)l->options.log.bytes[0] + l->options.log.bytes[1]))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (!r)
		r = cu.cuLinkCreate_v2(l->options.count, l->options.key, l->options.value, &l->state);
	if (r) {
		let_go(l, l->held);
		vg_x_jit_keep(&l->options);
		free(l);
		return r;
	}
	*state = (CUlinkState)l;
	return CUDA_SUCCESS;
}

static bool whole(CUjitInputType type, const void *image, size_t bytes)
{
	switch (type) {
	case CU_JIT_INPUT_CUBIN:
	case CU_JIT_INPUT_FATBINARY:
	case CU_JIT_INPUT_OBJECT:
	case CU_JIT_INPUT_PTX:		/* with the NUL at its end */
		return vg_x_image_whole(image, bytes);
	default:
		return true;
	}
}

CUresult vge_vgpu_link_add(struct vg_exec *x, const struct vg_req *rq, CUlinkState state,
			   CUjitInputType type, const char *name, const unsigned int *keys,
			   const uint64_t *values, unsigned int count, const void *image,
			   size_t bytes)
{
	struct link *l = link_of(state);
	struct vg_x_jit o;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuLinkAddData_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (type >= CU_JIT_NUM_INPUT_TYPES)
		return CUDA_ERROR_INVALID_VALUE;
	if (!whole(type, image, bytes))
		return CUDA_ERROR_INVALID_IMAGE;
	/* The driver keeps a copy, or what it has made of the image. */
	if (!hold(l, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_x_jit_take(&o, keys, values, count, 0);
	if (!r)
		r = cu.cuLinkAddData_v2(l->state, type, (void *)image, bytes, name, o.count, o.key,
					o.value);
	if (r)
		let_go(l, bytes);
	vg_x_jit_keep(&o);
	vg_x_jit_show(&l->options);
	return r;
}

CUresult vge_vgpu_link_complete(struct vg_exec *x, const struct vg_req *rq, CUlinkState state,
				uint64_t *bytes)
{
	struct link *l = link_of(state);
	void *cubin = NULL;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuLinkComplete)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuLinkComplete(l->state, &cubin, &l->bytes);
	if (!r && !hold(l, l->bytes))
		r = CUDA_ERROR_OUT_OF_MEMORY;	/* the result goes with the link */
	l->cubin = r ? NULL : cubin;
	*bytes = r ? 0 : l->bytes;
	vg_x_jit_show(&l->options);
	return r;
}

CUresult vge_vgpu_link_cubin(struct vg_exec *x, const struct vg_req *rq, CUlinkState state,
			     uint64_t offset, unsigned int room, void *data)
{
	struct link *l = link_of(state);

	(void)x;
	(void)rq;
	if (!l->cubin || offset > l->bytes || room > l->bytes - offset)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(data, (const uint8_t *)l->cubin + offset, room);
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_link_destroy(struct vg_exec *x, const struct vg_req *rq, CUlinkState state)
{
	struct link *l = link_of(state);
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuLinkDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuLinkDestroy(l->state);
	/* If the driver kept it, it may yet write to the options. */
	if (!r)
		vg_x_link_gone(state);
	return r;
}

void vg_x_link_gone(CUlinkState state)
{
	struct link *l = link_of(state);

	let_go(l, l->held);
	l->options.log.key = 0;		/* nobody asks any more */
	vg_x_jit_keep(&l->options);
	free(l);
}
