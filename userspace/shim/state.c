// SPDX-License-Identifier: Apache-2.0
/*
 * What the process has done (cuInit, fork, exit) and what each thread has: its stack
 * of contexts, which never leaves the guest, and its per-thread streams.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

enum { UNREADY, READY, FORKED, ENDED };

static _Atomic int state;
static _Atomic int pending;	/* a failure that no call has reported yet */

/* A context in a thread's stack; the generation tells a slot that was reused. */
struct entry {
	struct vg_object *object;
	uint32_t generation;
};

struct own_stream {
	struct entry context, stream;
};

static __thread struct {
	struct entry *stack;
	unsigned int depth, room;
	struct own_stream *streams;
	unsigned int stream_count;
	bool registered;
	bool callback;		/* it runs the program's host functions */
} self;

static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool alive(const struct entry *e, enum vg_kind kind)
{
	return atomic_load(&e->object->generation) == e->generation &&
	       atomic_load(&e->object->kind) == kind;
}

static struct entry entry_of(void *object)
{
	struct vg_object *o = object;

	return (struct entry){ o, atomic_load(&o->generation) };
}

/* -- the process */

static void after_fork(void)
{
	if (atomic_load(&state) == READY)
		atomic_store(&state, FORKED);
}

CUresult vg_ready(void)
{
	int now = atomic_load_explicit(&state, memory_order_acquire);

	if (likely(now == READY))
		return CUDA_SUCCESS;
	return now == ENDED ? CUDA_ERROR_DEINITIALIZED : CUDA_ERROR_NOT_INITIALIZED;
}

/* The process ends: what runs later (handlers older than cuInit(), destructors) has no CUDA. */
static void at_exit(void)
{
	atomic_compare_exchange_strong(&state, &(int){ READY }, ENDED);
}

bool vg_forked(void)
{
	return atomic_load(&state) == FORKED;
}

static void thread_exit(void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < self.stream_count; i++) {
		struct own_stream *s = &self.streams[i];

		if (alive(&s->stream, VG_STREAM) && !vg_ready())
			vgw_cuStreamDestroy_v2((CUstream)s->stream.object);
	}
	free(self.streams);
	free(self.stack);
	memset(&self, 0, sizeof(self));
	vg_thread_tag = 0;
}

static void start(void)
{
	pthread_key_create(&exit_key, thread_exit);
	pthread_atfork(NULL, NULL, after_fork);
	atexit(at_exit);
}

static void register_thread(void)
{
	pthread_once(&once, start);
	if (!self.registered) {
		self.registered = true;
		pthread_setspecific(exit_key, &self);
	}
}

void vg_set_ready(void)
{
	pthread_once(&once, start);
	vg_channel_keep();
	atomic_store_explicit(&state, READY, memory_order_release);
}

/* -- the thread's contexts */

static void set_tag(void)
{
	vg_thread_tag = self.depth ? self.stack[self.depth - 1].object->id : 0;
}

struct vg_context *vg_current(void)
{
	if (!self.depth || !alive(&self.stack[self.depth - 1], VG_CONTEXT))
		return NULL;
	return vg_context_of(self.stack[self.depth - 1].object);
}

CUresult vg_context_ready(void)
{
	struct vg_context *c;
	int poison;

	if (unlikely(!self.depth))
		return self.callback ? CUDA_ERROR_NOT_PERMITTED : CUDA_ERROR_INVALID_CONTEXT;
	c = vg_current();
	if (unlikely(!c || !atomic_load(&c->active)))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	poison = atomic_load_explicit(&c->poison, memory_order_relaxed);
	if (likely(!poison))
		return CUDA_SUCCESS;
	/* Told now, if it was still to be told. */
	atomic_compare_exchange_strong(&pending, &(int){ poison }, 0);
	return (CUresult)poison;
}

void vg_callback_thread(void)
{
	self.callback = true;
}

bool vg_lend_context(struct vg_context *c)
{
	return c && !self.depth && !vg_context_push(c->object);
}

bool vg_lend_by(const void *handle, enum vg_kind kind)
{
	return handle && vg_lend_context(vg_object_context(handle, kind));
}

void vg_lend_end(void)
{
	struct vg_object *o;

	vg_context_pop(&o);
}

CUresult vg_context_push(struct vg_object *o)
{
	if (self.callback)
		return CUDA_ERROR_NOT_PERMITTED;
	register_thread();
	if (self.depth == self.room) {
		unsigned int room = self.room ? self.room * 2 : 8;
		struct entry *p = realloc(self.stack, room * sizeof(*p));

		if (!p)
			return CUDA_ERROR_OUT_OF_MEMORY;
		self.stack = p;
		self.room = room;
	}
	self.stack[self.depth++] = entry_of(o);
	set_tag();
	return CUDA_SUCCESS;
}

CUresult vg_context_pop(struct vg_object **o)
{
	if (!self.depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	*o = self.stack[--self.depth].object;
	set_tag();
	return CUDA_SUCCESS;
}

CUresult vg_context_replace(struct vg_object *o)
{
	if (self.depth)
		self.depth--;
	set_tag();
	return o ? vg_context_push(o) : CUDA_SUCCESS;
}

/* -- streams that stand for others */

static CUresult own_stream(struct vg_object **out)
{
	struct vg_context *c = vg_current();
	struct own_stream *s;
	CUstream made;
	CUresult r;

	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	register_thread();
	for (unsigned int i = 0; i < self.stream_count; i++) {
		s = &self.streams[i];
		if (s->context.object != c->object)
			continue;
		if (alive(&s->context, VG_CONTEXT) && alive(&s->stream, VG_STREAM)) {
			*out = s->stream.object;
			return CUDA_SUCCESS;
		}
		self.streams[i--] = self.streams[--self.stream_count];
	}
	s = realloc(self.streams, (self.stream_count + 1) * sizeof(*s));
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	self.streams = s;
	r = vgw_cuStreamCreate(false, &made, CU_STREAM_DEFAULT);
	if (r)
		return r;
	s[self.stream_count++] = (struct own_stream){ entry_of(c->object), entry_of(made) };
	*out = (struct vg_object *)made;
	return CUDA_SUCCESS;
}

CUresult vg_stream_id(CUstream s, uint32_t *id)
{
	struct vg_object *o;
	CUresult r;

	if (!s || s == CU_STREAM_LEGACY) {
		*id = (uint32_t)(uintptr_t)s;
		return CUDA_SUCCESS;
	}
	if (s != CU_STREAM_PER_THREAD)
		return vg_object_id(s, VG_STREAM, id);
	r = own_stream(&o);
	if (!r)
		*id = o->id;
	return r;
}

CUresult vg_stream_object(CUstream s, struct vg_object **o)
{
	*o = NULL;
	if (!s || s == CU_STREAM_LEGACY)
		return CUDA_SUCCESS;
	if (s == CU_STREAM_PER_THREAD)
		return own_stream(o);
	*o = vg_object_get(s, VG_STREAM);
	return *o ? CUDA_SUCCESS : vg_object_wrong(s, VG_STREAM);
}

/* -- results */

/* Errors after which CUDA leaves a context of no use. */
static bool sticky(CUresult r)
{
	switch (r) {
	case CUDA_ERROR_ECC_UNCORRECTABLE:
	case CUDA_ERROR_NVLINK_UNCORRECTABLE:
	case CUDA_ERROR_CONTAINED:
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
	case CUDA_ERROR_TENSOR_MEMORY_LEAK:
		return true;
	default:
		return false;
	}
}

static void note(CUresult r)
{
	struct vg_context *c;

	if (!sticky(r))
		return;
	c = vg_current();
	if (c)
		atomic_store(&c->poison, r);
}

CUresult vg_failed(CUresult r)
{
	/* Success without an answer is no success. */
	if (!r)
		r = CUDA_ERROR_UNKNOWN;
	note(r);
	return r;
}

/* A posted call has failed: it is told by the next call that returns nothing else. */
static void deferred(CUresult failure)
{
	int none = 0;

	note(failure);
	atomic_compare_exchange_strong(&pending, &none, failure);
}

__attribute__((constructor)) static void listen_for_deferred(void)
{
	vg_on_deferred = deferred;
}

CUresult vg_succeeded(CUresult r)
{
	int failure = atomic_load_explicit(&pending, memory_order_relaxed);

	if (likely(!r && !failure))
		return CUDA_SUCCESS;
	note(r);
	/* With the outputs valid, only what has ended the context is told. */
	if (!r && sticky(failure))
		r = atomic_exchange(&pending, 0);
	return r;
}

CUresult vg_answered(CUresult r)
{
	if (likely(!r)) {
		if (unlikely(atomic_load_explicit(&pending, memory_order_relaxed)))
			r = atomic_exchange(&pending, 0);
		return r;
	}
	note(r);
	return r;
}

CUresult vg_refuse(const char *name, const char *why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const char *said[1024];
	static unsigned int count;
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < count && said[i] != name; i++)
		;
	if (i == count && count < 1024) {
		said[count++] = name;
		fprintf(stderr, "vgpu: %s is not supported: %s\n", name, why);
	}
	pthread_mutex_unlock(&lock);
	vg_log_refusal(name, why);
	return CUDA_ERROR_NOT_SUPPORTED;
}
