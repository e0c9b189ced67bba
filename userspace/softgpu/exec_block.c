// SPDX-License-Identifier: Apache-2.0
/* Scheduling: which lanes of which warp run next, and for how long. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "exec.h"

/* A warp runs so many instructions before its siblings get a turn: some wait for each other. */
#define WARP_SLICE 8192
/* Diverged lanes that spin on a lane further on would starve it; after so many steps it runs. */
#define STARVE_STEPS 65536
#define STARVE_SLICE 512

static void launch_index(const struct sg_launch *l, uint64_t index, uint32_t out[3])
{
	out[0] = index % l->grid[0];
	out[1] = index / l->grid[0] % l->grid[1];
	out[2] = index / ((uint64_t)l->grid[0] * l->grid[1]);
}

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

void sg_block_free(struct sg_block *b)
{
	if (!b)
		return;
	for (uint32_t i = 0; b->warps && i < b->nwarps; i++) {
		struct sg_warp *w = &b->warps[i];

		/* a faulted block still has frames of its calls */
		for (int l = 0; l < SG_LANES; l++) {
			struct sg_frame *f = w->frame[l];

			while (f && f->parent) {
				struct sg_frame *up = f->parent;

				f->mask &= ~(1u << l);
				if (!f->mask)
					free(f);
				f = up;
			}
		}
		free(w->root);
	}
	free(b->warps);
	free(b->shared);
	free(b->local);
	free(b->regs);
	free(b);
}

struct sg_block *sg_block_new(struct sg_launch *l, uint64_t index)
{
	struct sg_block *b = calloc(1, sizeof(*b));
	size_t reg_bytes = round64(l->fn->reg_bytes);
	size_t param_bytes = round64((size_t)l->fn->frame_bytes * SG_LANES);
	uint64_t local = (uint64_t)l->local_cap * SG_LANES;

	if (!b)
		return NULL;
	b->launch = l;
	b->nthreads = l->block[0] * l->block[1] * l->block[2];
	b->nwarps = (b->nthreads + SG_LANES - 1) / SG_LANES;
	b->warps = calloc(b->nwarps, sizeof(*b->warps));
	b->shared = aligned_alloc(128, (l->shared_total + 255) & ~(size_t)127);
	b->regs = aligned_alloc(64, b->nwarps * (reg_bytes + param_bytes) + 64);
	if (local)
		b->local = calloc(b->nwarps, local);
	if (!b->warps || !b->shared || !b->regs || (local && !b->local))
		goto fail;
	/* a register is defined before it is read; zeroes make a mistake repeatable */
	memset(b->regs, 0, b->nwarps * (reg_bytes + param_bytes));
	for (uint32_t i = 0; i < b->nwarps; i++) {
		struct sg_warp *w = &b->warps[i];
		struct sg_frame *f = calloc(1, sizeof(*f));

		if (!f)
			goto fail;
		w->index = i;
		w->root = f;
		f->fn = l->fn;
		f->regs = b->regs + i * (reg_bytes + param_bytes);
		f->params = f->regs + reg_bytes;
		if (local)
			w->local = b->local + i * local;
		for (uint32_t k = 0; k < SG_LANES; k++) {
			uint32_t t = i * SG_LANES + k;

			w->tid[0][k] = t % l->block[0];
			w->tid[1][k] = t / l->block[0] % l->block[1];
			w->tid[2][k] = t / (l->block[0] * l->block[1]);
		}
	}
	sg_block_reset(b, index);
	return b;
fail:
	sg_block_free(b);
	return NULL;
}

void sg_block_reset(struct sg_block *b, uint64_t index)
{
	launch_index(b->launch, index, b->ctaid);
	b->live_threads = b->nthreads;
	b->next_warp = 0;
	memset(b->bar, 0, sizeof(b->bar));
	memset(b->shared, 0, b->launch->shared_total);
	for (uint32_t i = 0; i < b->nwarps; i++) {
		struct sg_warp *w = &b->warps[i];
		uint32_t n = b->nthreads - i * SG_LANES;

		w->live = n >= SG_LANES ? SG_FULL : (1u << n) - 1;
		w->ready = w->live;
		w->bar_wait = w->sync_wait = w->steps = 0;
		w->force = false;
		w->root->mask = w->live;
		memset(w->pc, 0, sizeof(w->pc));
		for (int k = 0; k < SG_LANES; k++)
			w->frame[k] = w->live >> k & 1 ? w->root : NULL;
	}
}

struct group {
	struct sg_frame *frame;
	uint32_t pc, mask;
	uint32_t limit;		/* another group of this frame stands here */
};

static void pick(struct sg_warp *w, struct group *g, bool starved)
{
	uint32_t left = w->ready;
	int lead = __builtin_ctz(left);

	g->limit = UINT32_MAX;
	if (starved) {
		/* whoever stands furthest is what the others wait for */
		for (uint32_t r = left; r; r &= r - 1) {
			int l = __builtin_ctz(r);

			if (w->frame[l]->depth < w->frame[lead]->depth ||
			    (w->frame[l]->depth == w->frame[lead]->depth && w->pc[l] > w->pc[lead]))
				lead = l;
		}
	} else {
		for (uint32_t r = left & (left - 1); r; r &= r - 1) {
			int l = __builtin_ctz(r);

			if (w->frame[l]->depth > w->frame[lead]->depth ||
			    (w->frame[l]->depth == w->frame[lead]->depth && w->pc[l] < w->pc[lead]))
				lead = l;
		}
	}
	g->frame = w->frame[lead];
	g->pc = w->pc[lead];
	g->mask = 0;
	for (; left; left &= left - 1) {
		int l = __builtin_ctz(left);

		if (w->frame[l] != g->frame)
			continue;
		if (w->pc[l] == g->pc)
			g->mask |= 1u << l;
		else if (w->pc[l] > g->pc && w->pc[l] < g->limit)
			g->limit = w->pc[l];
	}
}

static void spill(struct sg_warp *w, uint32_t mask, uint32_t pc)
{
	for (; mask; mask &= mask - 1)
		w->pc[__builtin_ctz(mask)] = pc;
}

static void lanes_exit(struct sg_exec *x, uint32_t m)
{
	struct sg_warp *w = x->warp;
	struct sg_frame *f = x->frame, *up;

	for (; f; f = up) {
		up = f->parent;
		sg_frame_drop(x, f, m);
	}
	for (uint32_t r = m; r; r &= r - 1)
		w->frame[__builtin_ctz(r)] = NULL;
	w->live &= ~m;
	w->ready &= ~m;
	/* collectives wait for live lanes only: let them look again */
	w->ready |= w->sync_wait;
	w->sync_wait = 0;
	x->block->live_threads -= __builtin_popcount(m);
	sg_barrier_recheck(x->block);
}

/* The lanes that a waiting lane's instruction names. */
static uint32_t lane_mask(struct sg_warp *w, int l)
{
	const struct sg_frame *f = w->frame[l];
	int32_t slot = f->fn->code[w->pc[l]].c;
	const uint32_t *mask = (void *)(slot >= 0 ? f->regs + slot : f->fn->consts + ~slot);

	return mask[l];
}

/*
 * A collective runs once every live lane named in its mask stands at it. Lanes of a different
 * branch may stand at another instance of the same kind, which does for a pure rendezvous.
 * Returns the lanes that may go; the others are parked.
 */
static uint32_t sync_gate(struct sg_exec *x, const struct sg_insn *in, uint32_t m, uint32_t pc)
{
	struct sg_warp *w = x->warp;
	uint32_t here = m, go = 0;

	if (w->force)
		return m;
	for (uint32_t r = w->sync_wait; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		if (in->fn ? w->frame[l] == x->frame && w->pc[l] == pc :
			     !w->frame[l]->fn->code[w->pc[l]].fn)
			here |= 1u << l;
	}
	for (uint32_t r = here; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		if (!(lane_mask(w, l) & w->live & ~here))
			go |= 1u << l;
	}
	w->sync_wait = (w->sync_wait | here) & ~go;
	w->ready = (w->ready & ~here) | go;
	return go;
}

static void indirect_call(struct sg_exec *x, const struct sg_insn *in, uint32_t m, uint32_t pc)
{
	const struct sg_call *c = in->extra;
	const uint64_t *to = sg_slot(x, in->a);
	struct sg_frame *frame = x->frame;
	uint32_t left = m;

	while (left && !x->fault) {
		uint64_t addr = to[__builtin_ctz(left)];
		struct sg_func *f = sg_func_at(addr);
		uint32_t same = 0;

		for (uint32_t r = left; r; r &= r - 1)
			if (to[__builtin_ctz(r)] == addr)
				same |= r & -r;
		left &= ~same;
		if (!f || f->is_entry || f->nparams != c->nargs || f->nrets != c->nrets) {
			sg_fault(x, CUDA_ERROR_INVALID_PC, "call to 0x%llx",
				 (unsigned long long)addr);
			return;
		}
		if (f->lacks) {
			sg_fault(x, CUDA_ERROR_ILLEGAL_INSTRUCTION,
				 "call of %s, which cannot run here", f->name);
			return;
		}
		if (f->builtin)
			sg_call_builtin(x, c, f, same);
		else
			sg_frame_push(x, c, f, same, pc + 1);
		x->frame = frame;
		x->regs = frame->regs;
		x->consts = frame->fn->consts;
	}
}

/* Runs one warp; false when the launch has failed. */
static bool warp_run(struct sg_exec *x, struct sg_warp *w, int64_t budget)
{
	bool starved = false;
	struct group g;
	const struct sg_insn *code, *in;
	uint32_t pc, m;

	x->warp = w;
again:
	if (x->fault)
		return false;
	if (!w->ready || budget <= 0)
		return true;
	if (w->steps > STARVE_STEPS) {
		w->steps = 0;
		starved = true;
		if (budget > STARVE_SLICE)
			budget = STARVE_SLICE;
	}
	pick(w, &g, starved);
	pc = g.pc;
	x->frame = g.frame;
	x->regs = g.frame->regs;
	x->consts = g.frame->fn->consts;
	code = g.frame->fn->code;
	for (;;) {
		in = &code[pc];
		m = g.mask;
		if (in->guard != SG_NOSLOT) {
			uint32_t p = *(uint32_t *)(x->regs + in->guard);

			m &= in->guard_not ? ~p : p;
		}
		budget--;
		switch (in->kind) {
		case K_PLAIN:
			if (m)
				in->fn(x, in, m);
			pc++;
			break;
		case K_MEM:
			if (m) {
				x->pc = pc;
				in->fn(x, in, m);
				if (x->fault)
					return false;
			}
			pc++;
			break;
		case K_BRA:
			if (m == g.mask) {
				if (g.mask == w->ready && budget > 0) {
					pc = in->imm;
					continue;
				}
				spill(w, m, in->imm);
			} else if (!m) {
				pc++;
				break;
			} else {
				spill(w, m, in->imm);
				spill(w, g.mask & ~m, pc + 1);
			}
			if (g.mask != w->ready || m != g.mask)
				w->steps++;
			goto again;
		case K_BRX: {
			const struct sg_brx *t = in->extra;
			const uint32_t *idx = sg_slot(x, in->a);

			spill(w, g.mask & ~m, pc + 1);
			for (uint32_t r = m; r; r &= r - 1) {
				int l = __builtin_ctz(r);

				if (idx[l] >= (uint32_t)t->n) {
					x->pc = pc;
					sg_fault(x, CUDA_ERROR_INVALID_PC, "brx.idx out of range");
					return false;
				}
				w->pc[l] = t->targets[idx[l]];
			}
			goto again;
		}
		case K_CALL: {
			const struct sg_call *c = in->extra;

			x->pc = pc;
			spill(w, g.mask, pc + 1);
			if (m && !c->callee)
				indirect_call(x, in, m, pc);
			else if (m && c->callee->builtin)
				sg_call_builtin(x, c, c->callee, m);
			else if (m)
				sg_frame_push(x, c, c->callee, m, pc + 1);
			goto again;
		}
		case K_RET:
			spill(w, g.mask & ~m, pc + 1);
			if (m && g.frame->parent)
				sg_frame_return(x, g.frame, m);
			else if (m)
				lanes_exit(x, m);
			goto again;
		case K_EXIT:
			spill(w, g.mask & ~m, pc + 1);
			if (m)
				lanes_exit(x, m);
			goto again;
		case K_TRAP:
			if (m) {
				x->pc = pc;
				sg_fault(x, CUDA_ERROR_LAUNCH_FAILED, "trap");
				return false;
			}
			pc++;
			break;
		case K_YIELD:
			spill(w, g.mask, pc + 1);
			if (m) {
				w->steps += 256;
				return true;
			}
			goto again;
		case K_BAR:
			spill(w, g.mask & ~m, pc + 1);
			spill(w, m, pc);
			if (m) {
				x->pc = pc;
				sg_barrier_arrive(x, in, m);
			}
			goto again;
		case K_SYNC: {
			uint32_t go;

			x->pc = pc;
			if (m == w->live) {
				if (in->fn)
					in->fn(x, in, m);
				if (x->fault)
					return false;
				pc++;
				break;
			}
			spill(w, g.mask, pc + 1);
			if (!m)
				goto again;
			spill(w, m, pc);
			go = sync_gate(x, in, m, pc);
			if (in->fn && go)
				in->fn(x, in, go);
			/* a rendezvous may release lanes that stand elsewhere */
			for (uint32_t r = go; r; r &= r - 1)
				w->pc[__builtin_ctz(r)]++;
			goto again;
		}
		}
		if (pc >= g.limit || budget <= 0) {
			spill(w, g.mask, pc);
			if (g.mask != w->ready)
				w->steps++;
			else
				w->steps = 0;
			goto again;
		}
	}
}

enum sg_run sg_block_run(struct sg_exec *x, struct sg_block *b, uint64_t budget)
{
	x->block = b;
	x->launch = b->launch;
	x->fault = 0;
	while (b->live_threads) {
		bool ran = false;

		for (uint32_t i = 0; i < b->nwarps; i++) {
			struct sg_warp *w = &b->warps[i];

			if (!w->ready)
				continue;
			ran = true;
			if (!warp_run(x, w, WARP_SLICE))
				return RUN_FAULT;
		}
		if (!ran) {
			/* lanes that wait for lanes which went elsewhere: run what is there */
			for (uint32_t i = 0; i < b->nwarps && !ran; i++) {
				struct sg_warp *w = &b->warps[i];

				if (!w->sync_wait || w->force)
					continue;
				w->force = ran = true;
				w->ready |= w->sync_wait;
				w->sync_wait = 0;
			}
			if (!ran) {
				sg_fault(x, CUDA_ERROR_LAUNCH_TIMEOUT,
					 "all threads of a block wait for each other");
				return RUN_FAULT;
			}
			continue;
		}
		if (atomic_load_explicit(&b->launch->error, memory_order_relaxed))
			return RUN_FAULT;
		if (budget <= (uint64_t)b->nwarps * WARP_SLICE) {
			if (b->live_threads)
				return RUN_YIELD;
		} else {
			budget -= (uint64_t)b->nwarps * WARP_SLICE;
		}
	}
	return RUN_DONE;
}
