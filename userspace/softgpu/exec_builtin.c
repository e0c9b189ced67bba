// SPDX-License-Identifier: Apache-2.0
/*
 * Functions a kernel finds without defining them: printf, malloc, free, assert and
 * cudaGraphSetConditional, which NVIDIA's have in their library of the device's runtime.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "exec.h"
#include "log.h"
#include "ptx.h"

struct text {
	char *p;
	size_t n, cap;
};

static void append(struct text *t, const char *s, size_t n)
{
	if (t->n + n + 1 > t->cap) {
		size_t cap = (t->n + n + 1) * 2;
		char *bigger = realloc(t->p, cap);

		if (!bigger)
			return;
		t->p = bigger;
		t->cap = cap;
	}
	memcpy(t->p + t->n, s, n);
	t->n += n;
	t->p[t->n] = 0;
}

static bool fetch(struct sg_exec *x, uint64_t *at, int bytes, int lane, void *out)
{
	const void *p;

	*at = (*at + bytes - 1) & ~(uint64_t)(bytes - 1);
	p = sg_mem_lane(x, *at, bytes, bytes, SP_GENERIC, lane);
	if (!p)
		return false;
	memcpy(out, p, bytes);
	*at += bytes;
	return true;
}

/* One conversion of the format, from f to the conversion character. Returns its end. */
static const char *convert(struct sg_exec *x, struct text *out, const char *f, uint64_t *at,
			   int lane)
{
	char spec[64], buf[512];
	size_t n = 0;
	int longs = 0, len = 0;
	const char *start = f;

	spec[n++] = *f++;
	while (*f && strchr("-+ #0123456789.*", *f) && n < 40) {
		if (*f == '*') {
			int32_t v;

			if (!fetch(x, at, 4, lane, &v))
				return NULL;
			n += snprintf(spec + n, 16, "%d", v);
			f++;
		} else {
			spec[n++] = *f++;
		}
	}
	while (*f && strchr("hljztL", *f)) {
		longs += *f == 'l' ? 1 : *f == 'j' || *f == 'z' || *f == 't' ? 2 : 0;
		f++;
	}
	switch (*f) {
	case 'd': case 'i': case 'u': case 'x': case 'X': case 'o': case 'c': {
		int64_t v = 0;
		int32_t w;

		if (longs && *f != 'c') {
			if (!fetch(x, at, 8, lane, &v))
				return NULL;
			spec[n++] = 'l';
			spec[n++] = 'l';
			spec[n++] = *f;
			spec[n] = 0;
			len = snprintf(buf, sizeof(buf), spec, v);
		} else {
			if (!fetch(x, at, 4, lane, &w))
				return NULL;
			spec[n++] = *f;
			spec[n] = 0;
			len = snprintf(buf, sizeof(buf), spec, w);
		}
		break;
	}
	case 'f': case 'F': case 'e': case 'E': case 'g': case 'G': case 'a': case 'A': {
		double v;

		if (!fetch(x, at, 8, lane, &v))
			return NULL;
		spec[n++] = *f;
		spec[n] = 0;
		len = snprintf(buf, sizeof(buf), spec, v);
		break;
	}
	case 'p': {
		uint64_t v;

		if (!fetch(x, at, 8, lane, &v))
			return NULL;
		len = snprintf(buf, sizeof(buf), "0x%" PRIx64, v);
		break;
	}
	case 's': {
		uint64_t v;
		char *s;

		if (!fetch(x, at, 8, lane, &v))
			return NULL;
		s = v ? sg_mem_string(x, v, lane) : strdup("(null)");
		if (!s)
			return NULL;
		spec[n++] = 's';
		spec[n] = 0;
		if (n == 2) {
			append(out, s, strlen(s));
		} else {
			len = snprintf(buf, sizeof(buf), spec, s);
		}
		free(s);
		break;
	}
	case '%':
		append(out, "%", 1);
		return f + 1;
	default:
		/* as it stands, like the C library */
		append(out, start, f - start + !!*f);
		return *f ? f + 1 : f;
	}
	if (len > 0)
		append(out, buf, (size_t)len < sizeof(buf) ? (size_t)len : sizeof(buf) - 1);
	return f + 1;
}

static int32_t print(struct sg_exec *x, uint64_t format, uint64_t args, int lane)
{
	char *fmt = sg_mem_string(x, format, lane);
	struct text out = { 0 };
	const char *f = fmt;

	while (f && *f) {
		const char *percent = strchr(f, '%');

		append(&out, f, percent ? (size_t)(percent - f) : strlen(f));
		f = percent ? convert(x, &out, percent, &args, lane) : NULL;
	}
	free(fmt);
	if (!x->fault && out.n) {
		fwrite(out.p, 1, out.n, stdout);
		fflush(stdout);
	}
	free(out.p);
	return x->fault ? -1 : (int32_t)out.n;
}

static void assert_failed(struct sg_exec *x, const uint64_t *arg, int lane)
{
	char *message = sg_mem_string(x, arg[0], lane), *file = sg_mem_string(x, arg[1], lane);
	char *function = arg[3] ? sg_mem_string(x, arg[3], lane) : NULL;
	const struct sg_block *b = x->block;
	const struct sg_warp *w = x->warp;

	if (message && file)
		fprintf(stderr, "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` "
			"failed.\n", file, (uint32_t)arg[2], function ? function : "",
			b->ctaid[0], b->ctaid[1], b->ctaid[2], w->tid[0][lane], w->tid[1][lane],
			w->tid[2][lane], message);
	free(message);
	free(file);
	free(function);
}

static uint64_t device_malloc(struct sg_exec *x, uint64_t size)
{
	struct sg_heap *h = x->launch->heap;
	uint64_t addr;

	if (!size || size > x->launch->malloc_limit ||
	    h->malloc_used > x->launch->malloc_limit - size)
		return 0;
	return sg_heap_alloc(h, size, 16, RG_MALLOC, NULL, &addr) ? 0 : addr;
}

void sg_call_builtin(struct sg_exec *x, const struct sg_call *c, struct sg_func *f, uint32_t m)
{
	struct sg_frame *frame = x->frame;
	uint32_t stride = frame->fn->frame_bytes;

	for (; m && !x->fault; m &= m - 1) {
		int l = __builtin_ctz(m);
		char *mine = frame->params + l * stride;
		uint64_t arg[5] = { 0 }, result = 0;
		struct sg_range r;

		for (int i = 0; i < c->nargs && i < 5; i++)
			memcpy(&arg[i], mine + c->args[i].offset,
			       c->args[i].size < 8 ? c->args[i].size : 8);
		switch (f->builtin) {
		case FN_VPRINTF:
			result = (uint32_t)print(x, arg[0], arg[1], l);
			break;
		case FN_MALLOC:
			result = device_malloc(x, arg[0]);
			break;
		case FN_FREE:
			if (arg[0] && (!sg_range_find(arg[0], &r) || r.kind != RG_MALLOC ||
				       sg_heap_free(x->launch->heap, arg[0])))
				sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
					 "free(0x%" PRIx64 ") was not allocated", arg[0]);
			break;
		case FN_SET_CONDITIONAL:
			if (!sg_condition_set(arg[0], (uint32_t)arg[1]))
				sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
					 "cudaGraphSetConditional: 0x%" PRIx64 " is no condition",
					 arg[0]);
			break;
		default:
			assert_failed(x, arg, l);
			if (!(m & (m - 1)))
				sg_fault(x, CUDA_ERROR_ASSERT, "device-side assert");
			break;
		}
		if (c->nrets)
			memcpy(mine + c->rets[0].offset, &result,
			       c->rets[0].size < 8 ? c->rets[0].size : 8);
	}
}
