// SPDX-License-Identifier: Apache-2.0
/*
 * Linking.  Whoever consumes the ring waits for each of these calls, so no call is in a
 * link when another ends it; the driver's part runs on the linker's thread (linker.h).
 */
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "calls_jit.h"
#include "linker.h"
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

/* What the driver is asked, on the linker's thread. */
struct work {
	struct link *link;
	CUjitInputType type;
	const void *image;
	size_t bytes;
	const char *name;
	struct vg_x_jit *options;
	void *cubin;
};

static CUresult create(void *arg)
{
	struct link *l = ((struct work *)arg)->link;

	return cu.cuLinkCreate_v2(l->options.count, l->options.key, l->options.value, &l->state);
}

static CUresult add(void *arg)
{
	struct work *w = arg;

	return cu.cuLinkAddData_v2(w->link->state, w->type, (void *)w->image, w->bytes, w->name,
				   w->options->count, w->options->key, w->options->value);
}

static CUresult complete(void *arg)
{
	struct work *w = arg;

	return cu.cuLinkComplete(w->link->state, &w->cubin, &w->bytes);
}

static CUresult destroy(void *arg)
{
	return cu.cuLinkDestroy(((struct work *)arg)->link->state);
}

/*
 * Have it done on the linker's thread.  The caller's context is current there, or the primary
 * one in place of a green context; none if the id leads to none, and then the driver answers.
 */
static CUresult run(struct vg_exec *x, const struct vg_req *rq, CUresult (*what)(void *),
		    struct work *w)
{
	uint64_t context = 0;

	if (rq->ctx)
		vg_handle_get(vg_exec_handles(x), vg_x_home(rq->ctx), VG_CONTEXT, &context);
	return vg_linker_run((CUcontext)(uintptr_t)context, what, w);
}

CUresult vge_vgpu_link_create(struct vg_exec *x, const struct vg_req *rq, CUlinkState *state,
			      unsigned int log, const unsigned int *keys, const uint64_t *values,
			      unsigned int count)
{
	struct link *l;
	CUresult r;

	if (!cu.cuLinkCreate_v2 || !cu.cuLinkDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_x_jit_take(&l->options, keys, values, count, log);
	if (!r && !hold(l, (uint64_t)l->options.log.bytes[0] + l->options.log.bytes[1]))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (!r)
		r = run(x, rq, create, &(struct work){ .link = l });
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
		r = run(x, rq, add, &(struct work){ .link = l, .type = type, .image = image,
						    .bytes = bytes, .name = name,
						    .options = &o });
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
	struct work w = { .link = l };
	CUresult r;

	if (!cu.cuLinkComplete)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = run(x, rq, complete, &w);
	l->bytes = w.bytes;
	if (!r && !hold(l, l->bytes))
		r = CUDA_ERROR_OUT_OF_MEMORY;	/* the result goes with the link */
	l->cubin = r ? NULL : w.cubin;
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

	if (!cu.cuLinkDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = run(x, rq, destroy, &(struct work){ .link = l });
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
