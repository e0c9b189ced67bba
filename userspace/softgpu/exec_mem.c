// SPDX-License-Identifier: Apache-2.0
/* Loads, stores and the address checks. */
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "exec.h"
#include "ops.h"
#include "ptx.h"

static void bad_address(struct sg_exec *x, uint64_t addr, uint32_t bytes, int lane)
{
	const struct sg_warp *w = x->warp;

	sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
		 "access of %u bytes at 0x%llx lies outside every allocation, thread %u,%u,%u",
		 bytes, (unsigned long long)addr, w->tid[0][lane], w->tid[1][lane],
		 w->tid[2][lane]);
}

static void *global_lane(struct sg_exec *x, uint64_t addr, uint32_t bytes, int lane)
{
	struct sg_rcache *c = &x->cache[x->pc % SG_RCACHE];
	uint64_t generation = atomic_load_explicit(&sg_range_generation, memory_order_acquire);
	struct sg_range r;

	if (c->generation != generation || addr - c->lo >= c->span ||
	    c->span - (addr - c->lo) < bytes) {
		if (!sg_range_find(addr, &r) || r.size - (addr - r.addr) < bytes) {
			bad_address(x, addr, bytes, lane);
			return NULL;
		}
		*c = (struct sg_rcache){ r.addr, r.size, r.delta, generation };
	}
	return (void *)(uintptr_t)(addr + c->delta);
}

void *sg_mem_lane(struct sg_exec *x, uint64_t addr, uint32_t bytes, uint32_t align, int space,
		  int lane)
{
	uint64_t limit, off = addr;
	char *base;

	if (addr & (align - 1)) {
		sg_fault(x, CUDA_ERROR_MISALIGNED_ADDRESS, "access of %u bytes at 0x%llx",
			 bytes, (unsigned long long)addr);
		return NULL;
	}
	if (space == SP_GENERIC) {
		/* the windows are neighbours: one compare tells that it is none of them */
		if (addr - sg_win_shared >= 4 * SG_WINDOW)
			return global_lane(x, addr, bytes, lane);
		off = (addr - sg_win_shared) % SG_WINDOW;
		space = sg_in_window(addr, sg_win_shared) ? SP_SHARED :
			sg_in_window(addr, sg_win_local) ? SP_LOCAL :
			sg_in_window(addr, sg_win_param) ? SP_PARAM : SP_REG;
	}
	switch (space) {
	case SP_GLOBAL:
	case SP_CONST:
		return global_lane(x, addr, bytes, lane);
	case SP_SHARED:
		base = x->block->shared;
		limit = x->launch->shared_total;
		break;
	case SP_LOCAL:
		limit = x->launch->local_cap;
		base = x->warp->local + lane * limit;
		break;
	case SP_PARAM:
		base = x->launch->params;
		limit = x->launch->fn->param_bytes;
		break;
	case SP_FRAME:
		limit = x->frame->fn->frame_bytes;
		base = x->frame->params + lane * limit;
		break;
	default:
		bad_address(x, addr, bytes, lane);
		return NULL;
	}
	if (off > limit || limit - off < bytes) {
		bad_address(x, addr, bytes, lane);
		return NULL;
	}
	return base + off;
}

char *sg_mem_string(struct sg_exec *x, uint64_t addr, int lane)
{
	size_t n = 0, cap = 64;
	char *out = malloc(cap);

	for (; out; n++) {
		const char *p = sg_mem_lane(x, addr + n, 1, 1, SP_GENERIC, lane);

		if (!p) {
			free(out);
			return NULL;
		}
		if (n == cap) {
			char *bigger = realloc(out, cap *= 2);

			if (!bigger) {
				free(out);
				out = NULL;
				break;
			}
			out = bigger;
		}
		out[n] = *p;
		if (!*p)
			return out;
	}
	sg_fault(x, CUDA_ERROR_OUT_OF_MEMORY, "no host memory for a string");
	return NULL;
}

/*
 * An address in shared or local memory has 32 bits, whatever the size of the register that holds
 * it, and its sum with the offset wraps there. So does any address in a 32-bit register.
 */
static inline __attribute__((always_inline))
void addresses(struct sg_exec *x, const struct sg_insn *in, uint32_t m, uint64_t *addr)
{
	int64_t imm = in->imm;

	if (in->atype == T_U32) {
		const uint32_t *a = sg_slot(x, in->a);

		SG_EACH(m, addr[l] = (uint32_t)(a[l] + (uint32_t)imm));
	} else {
		const uint64_t *a = sg_slot(x, in->a);

		if (in->space == SP_SHARED || in->space == SP_LOCAL)
			SG_EACH(m, addr[l] = (uint32_t)(a[l] + imm));
		else
			SG_EACH(m, addr[l] = a[l] + imm);
	}
}

/*
 * Whether all lanes of m reach into the bytes from lo on, room bytes below the end at most, and are
 * aligned; host addresses are delta away, and apart by stride for each lane. The sign of a
 * difference tells of a lane outside, since room is below 2^63: no lane needs a branch.
 */
static inline __attribute__((always_inline))
bool resolve_all(const uint64_t *addr, uint32_t m, uint64_t lo, uint64_t room, uint32_t bytes,
		 int64_t delta, uint64_t stride, char **host)
{
	uint64_t far = 0, low = 0;

	SG_EACH(m, {
		uint64_t off = addr[l] - lo;

		far |= off | (room - off);
		low |= addr[l];
		host[l] = (char *)(uintptr_t)(addr[l] + delta + l * stride);
	});
	return !(far >> 63) && !(low & (bytes - 1));
}

SG_WITH("avx2")
static bool resolve(struct sg_exec *x, const struct sg_insn *in, uint32_t m, uint32_t bytes,
		    char **host)
{
	uint64_t addr[SG_LANES], lo = 0, size = 0, stride = 0;
	struct sg_rcache *c = &x->cache[x->pc % SG_RCACHE];
	int64_t delta = 0;

	addresses(x, in, m, addr);
	switch (in->space) {
	case SP_GLOBAL:
	case SP_GENERIC:
	case SP_CONST:
		/* one allocation for all lanes is the rule: check them together */
		if (c->generation == atomic_load_explicit(&sg_range_generation,
							  memory_order_acquire)) {
			lo = c->lo;
			size = c->span;
			delta = c->delta;
		}
		break;
	case SP_SHARED:
		size = x->launch->shared_total;
		delta = (intptr_t)x->block->shared;
		break;
	case SP_LOCAL:
		size = stride = x->launch->local_cap;
		delta = (intptr_t)x->warp->local;
		break;
	case SP_FRAME:
		size = stride = x->frame->fn->frame_bytes;
		delta = (intptr_t)x->frame->params;
		break;
	default:
		break;
	}
	if (size >= bytes && (stride ?
	    resolve_all(addr, m, lo, size - bytes, bytes, delta, stride, host) :
	    resolve_all(addr, m, lo, size - bytes, bytes, delta, 0, host)))
		return true;
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		host[l] = sg_mem_lane(x, addr[l], bytes, bytes, in->space, l);
		if (!host[l])
			return false;
	}
	return true;
}

/* Host addresses of an access by the lanes of m. False: x->fault is set. */
bool sg_mem_resolve(struct sg_exec *x, const struct sg_insn *in, uint32_t m, uint32_t bytes,
		    char **host)
{
	return resolve(x, in, m, bytes, host);
}

/* A destination may be wider than what is loaded: it is then zero- or sign-extended. */
static void load_widened(void *dst, int dsize, enum sg_type t, char **host, uint32_t off,
			 uint32_t m)
{
	bool sign = sg_type_signed(t);

	SG_EACH(m, {
		const char *p = host[l] + off;
		uint64_t v = 0;

		switch (sg_type_size(t)) {
		case 1:
			v = sign ? (uint64_t)*(const int8_t *)p : *(const uint8_t *)p;
			break;
		case 2:
			v = sign ? (uint64_t)*(const int16_t *)p : *(const uint16_t *)p;
			break;
		case 4:
			v = sign ? (uint64_t)*(const int32_t *)p : *(const uint32_t *)p;
			break;
		default:
			v = *(const uint64_t *)p;
			break;
		}
		if (dsize == 2)
			((uint16_t *)dst)[l] = v;
		else if (dsize == 4)
			((uint32_t *)dst)[l] = v;
		else
			((uint64_t *)dst)[l] = v;
	});
}

#define LOAD(T) do { \
		T *d = dst; \
		SG_EACH(m, d[l] = *(volatile T *)(host[l] + off)); \
	} while (0)

static void load_element(struct sg_exec *x, const struct sg_insn *in, int32_t slot, int dsize,
			 char **host, uint32_t off, uint32_t m)
{
	void *dst = sg_slot(x, slot);

	if (dsize != in->size)
		load_widened(dst, dsize, in->dtype, host, off, m);
	else if (dsize == 4)
		LOAD(uint32_t);
	else if (dsize == 8)
		LOAD(uint64_t);
	else
		LOAD(uint16_t);
}

void sg_op_ld(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	char *host[SG_LANES];
	const struct sg_vslot *v = in->extra;

	if (!sg_mem_resolve(x, in, m, in->size * in->vec, host))
		return;
	for (int i = 0; i < in->vec; i++)
		if (v[i].slot != SG_NOSLOT)
			load_element(x, in, v[i].slot, v[i].size, host, i * in->size, m);
	if (in->order & SG_ACQUIRE)
		atomic_thread_fence(memory_order_acquire);
}

/* A kernel parameter at a constant offset: one value for all lanes. */
void sg_op_ld_param(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	char *host[SG_LANES];
	const struct sg_vslot *v = in->extra;

	for (int l = 0; l < SG_LANES; l++)
		host[l] = x->launch->params + in->imm;
	for (int i = 0; i < in->vec; i++)
		if (v[i].slot != SG_NOSLOT)
			load_element(x, in, v[i].slot, v[i].size, host, i * in->size, m);
}

#define STORE(S, T) do { \
		const S *s = src; \
		SG_EACH(m, *(volatile T *)(host[l] + off) = s[l]); \
	} while (0)

/* A source may be wider than what is stored: the low bytes count. */
#define STORE_FROM(S) do { \
		switch (in->size) { \
		case 1: STORE(S, uint8_t); break; \
		case 2: STORE(S, uint16_t); break; \
		case 4: STORE(S, uint32_t); break; \
		default: STORE(S, uint64_t); break; \
		} \
	} while (0)

void sg_op_st(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	char *host[SG_LANES];
	const struct sg_vslot *v = in->extra;

	if (!sg_mem_resolve(x, in, m, in->size * in->vec, host))
		return;
	if (in->order & SG_RELEASE)
		atomic_thread_fence(memory_order_release);
	for (int i = 0; i < in->vec; i++) {
		const void *src = sg_slot(x, v[i].slot);
		uint32_t off = i * in->size;

		if (v[i].size == 2)
			STORE_FROM(uint16_t);
		else if (v[i].size == 4)
			STORE_FROM(uint32_t);
		else
			STORE_FROM(uint64_t);
	}
}

void sg_op_fence(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	(void)x;
	(void)in;
	(void)m;
	atomic_thread_fence(memory_order_seq_cst);
}

/* isspacep: which window an address lies in. */
void sg_op_isspacep(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint64_t *a = sg_slot(x, in->a);
	uint32_t out = 0;

	SG_EACH(m, {
		bool yes;

		switch (in->space) {
		case SP_SHARED:
			yes = sg_in_window(a[l], sg_win_shared);
			break;
		case SP_LOCAL:
			yes = sg_in_window(a[l], sg_win_local);
			break;
		case SP_PARAM:
			yes = sg_in_window(a[l], sg_win_param);
			break;
		default:
			yes = a[l] - sg_win_shared >= 4 * SG_WINDOW;
			break;
		}
		out |= (uint32_t)yes << l;
	});
	sg_pred_write(x, in->d, m, out);
}

/* The address of a .local variable: it depends on the depth of the call chain. */
void sg_op_local_addr(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint64_t v = x->frame->local_base + in->imm;

	if (in->size == 4) {
		uint32_t *d = sg_slot(x, in->d);

		SG_EACH(m, d[l] = v);
	} else {
		uint64_t *d = sg_slot(x, in->d);

		SG_EACH(m, d[l] = v);
	}
}
