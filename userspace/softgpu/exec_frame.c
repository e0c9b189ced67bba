// SPDX-License-Identifier: Apache-2.0
/* Calls, returns, block barriers and faults. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "exec.h"
#include "log.h"

/* A call costs at least so much of the stack limit, so that endless recursion ends. */
#define MIN_FRAME 16

static void copy_params(const char *from, uint32_t from_stride, const struct sg_param *src,
			char *to, uint32_t to_stride, const struct sg_param *dst, int n, uint32_t m)
{
	for (int i = 0; i < n; i++) {
		uint32_t bytes = src[i].size < dst[i].size ? src[i].size : dst[i].size;

		for (uint32_t r = m; r; r &= r - 1) {
			int l = __builtin_ctz(r);

			memcpy(to + l * to_stride + dst[i].offset,
			       from + l * from_stride + src[i].offset, bytes);
		}
	}
}

bool sg_frame_push(struct sg_exec *x, const struct sg_call *c, struct sg_func *f, uint32_t m,
		   uint32_t ret_pc)
{
	struct sg_frame *up = x->frame, *n;
	size_t head = (sizeof(*n) + 63) & ~(size_t)63;
	size_t regs = (f->reg_bytes + 63) & ~(size_t)63;
	uint64_t own = up->fn->local_bytes > MIN_FRAME ? up->fn->local_bytes : MIN_FRAME;
	uint64_t local = up->local_base + own;

	if (local + f->local_bytes > x->launch->local_cap) {
		sg_fault(x, CUDA_ERROR_HARDWARE_STACK_ERROR,
			 "stack overflow calling %s (%u bytes a thread)", f->name,
			 x->launch->local_cap);
		return false;
	}
	n = aligned_alloc(64, head + regs + ((size_t)f->frame_bytes * SG_LANES + 63) / 64 * 64);
	if (!n) {
		sg_fault(x, CUDA_ERROR_OUT_OF_MEMORY, "no host memory for a call frame");
		return false;
	}
	*n = (struct sg_frame){
		.parent = up, .fn = f, .call = c, .mask = m, .depth = up->depth + 1,
		.ret_pc = ret_pc, .local_base = local, .regs = (char *)n + head,
		.params = (char *)n + head + regs,
	};
	copy_params(up->params, up->fn->frame_bytes, c->args, n->params, f->frame_bytes, f->params,
		    c->nargs, m);
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		x->warp->frame[l] = n;
		x->warp->pc[l] = 0;
	}
	return true;
}

void sg_frame_drop(struct sg_exec *x, struct sg_frame *f, uint32_t m)
{
	(void)x;
	f->mask &= ~m;
	if (!f->mask && f->parent)
		free(f);
}

void sg_frame_return(struct sg_exec *x, struct sg_frame *f, uint32_t m)
{
	struct sg_frame *up = f->parent;

	copy_params(f->params, f->fn->frame_bytes, f->fn->rets, up->params, up->fn->frame_bytes,
		    f->call->rets, f->call->nrets, m);
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		x->warp->frame[l] = up;
		x->warp->pc[l] = f->ret_pc;
	}
	sg_frame_drop(x, f, m);
}

static void release(struct sg_block *b, uint32_t id)
{
	struct sg_barrier *bar = &b->bar[id];

	for (uint32_t i = 0; i < b->nwarps; i++) {
		struct sg_warp *w = &b->warps[i];

		for (uint32_t r = w->bar_wait; r; r &= r - 1) {
			int l = __builtin_ctz(r);
			const struct sg_insn *in = &w->frame[l]->fn->code[w->pc[l]];

			if (w->bar_id[l] != id)
				continue;
			if (in->sub == BAR_POPC) {
				((uint32_t *)(w->frame[l]->regs + in->d))[l] = bar->pop;
			} else if (in->sub == BAR_AND || in->sub == BAR_OR) {
				uint32_t *p = (uint32_t *)(w->frame[l]->regs + in->d);
				bool v = in->sub == BAR_AND ? bar->all == bar->pop : bar->any;

				*p = (*p & ~(1u << l)) | (uint32_t)v << l;
			}
			w->bar_wait &= ~(1u << l);
			w->ready |= 1u << l;
			w->pc[l]++;
		}
	}
	*bar = (struct sg_barrier){ 0 };
}

void sg_barrier_recheck(struct sg_block *b)
{
	for (uint32_t id = 0; id < SG_BARRIERS; id++) {
		struct sg_barrier *bar = &b->bar[id];

		if (bar->arrived && bar->arrived >= (bar->expected ? bar->expected :
						     b->live_threads))
			release(b, id);
	}
}

void sg_barrier_arrive(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	struct sg_warp *w = x->warp;
	struct sg_block *b = x->block;
	int lead = __builtin_ctz(m);
	uint32_t id = ((uint32_t *)sg_slot(x, in->a))[lead];
	uint32_t count = in->b == SG_NOSLOT ? 0 : ((uint32_t *)sg_slot(x, in->b))[lead];
	struct sg_barrier *bar;
	uint32_t pred = 0;

	if (id >= SG_BARRIERS || count % SG_LANES) {
		sg_fault(x, CUDA_ERROR_ILLEGAL_INSTRUCTION, "barrier %u with %u threads", id,
			 count);
		return;
	}
	bar = &b->bar[id];
	if (in->sub >= BAR_POPC) {
		pred = *(uint32_t *)sg_slot(x, in->c);
		bar->pop += __builtin_popcount(pred & m);
		bar->any |= (pred & m) != 0;
		/* "all" holds when as many were true as arrived */
		bar->all += __builtin_popcount(m);
	}
	bar->arrived += __builtin_popcount(m);
	bar->expected = count;
	if (in->sub == BAR_ARRIVE) {
		for (uint32_t r = m; r; r &= r - 1)
			w->pc[__builtin_ctz(r)]++;
	} else {
		w->ready &= ~m;
		w->bar_wait |= m;
		for (uint32_t r = m; r; r &= r - 1)
			w->bar_id[__builtin_ctz(r)] = id;
	}
	/* a count is in whole warps: lanes that do not exist or have left count as present */
	if (count && !(w->live & ~m))
		bar->arrived += SG_LANES - __builtin_popcount(w->live);
	sg_barrier_recheck(b);
}

void sg_fault(struct sg_exec *x, int code, const char *fmt, ...)
{
	char what[256];
	int none = 0;
	va_list ap;
	int line = x->frame && x->frame->fn->code ? x->frame->fn->code[x->pc].line : 0;

	x->fault = code;
	if (!atomic_compare_exchange_strong(&x->launch->error, &none, code))
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	sg_log("kernel %s: %s (block %u,%u,%u, function %s, PTX line %d)", x->launch->fn->name,
	       what,
	       x->block->ctaid[0], x->block->ctaid[1], x->block->ctaid[2],
	       x->frame ? x->frame->fn->name : "?", line);
}
