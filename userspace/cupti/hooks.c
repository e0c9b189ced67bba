// SPDX-License-Identifier: Apache-2.0
/*
 * Around each call that the program makes of the driver's interface: its correlation id, its
 * DRIVER record, external ids, callbacks, and, for what gives the device work, the tag.
 * Calls that libcuda makes of itself within one are part of that.
 */
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cupti_internal.h"

/* Bits of vg_api_call.what. */
enum { API_RECORD = 1, CALLBACK = 2, NESTED = 4, WAIT = 8 };

/* vg_api.number: the callback id, above it the description, what it is, and that it is known. */
#define CBID_BITS	16
#define WAITS		(1 << 29)
#define LOOKED_UP	(1 << 30)

static _Atomic uint32_t correlations;
static __thread unsigned int depth;
static _Atomic uint32_t thread_id_type;	/* 0: pthread_self(), 1: gettid() */

#define CBID(number, name) [number] = #name,
static const char *const cbids[] = {
#include "driver_cbid.def"
};
#undef CBID

#define CBIDS (sizeof(cbids) / sizeof(cbids[0]))

unsigned int vg_cbid_end(void)
{
	return CBIDS;
}

const char *vg_cbid_name(unsigned int cbid)
{
	return cbid < CBIDS ? cbids[cbid] : NULL;
}

unsigned int vg_cbid_of(const char *name)
{
	for (unsigned int i = 0; i < CBIDS; i++)
		if (cbids[i] && !strcmp(cbids[i], name))
			return i;
	return 0;
}

static unsigned int look_up(struct vg_api *api)
{
	int n = atomic_load_explicit(&api->number, memory_order_relaxed);

	if (!n) {
		n = LOOKED_UP | (vg_waits(api->name) ? WAITS : 0) |
		    vg_described(api->name) << CBID_BITS | vg_cbid_of(api->name);
		atomic_store_explicit(&api->number, n, memory_order_relaxed);
	}
	return n & ~LOOKED_UP;
}

uint32_t vg_thread_id(void)
{
	return atomic_load_explicit(&thread_id_type, memory_order_relaxed) ?
		       (uint32_t)syscall(SYS_gettid) : (uint32_t)pthread_self();
}

static void set_correlation(union vg_record *r, uint32_t correlation)
{
	switch (r->kind) {
	case CUPTI_ACTIVITY_KIND_MEMCPY:
		r->memcpy.correlationId = correlation;
		break;
	case CUPTI_ACTIVITY_KIND_MEMCPY2:
		r->memcpy2.correlationId = correlation;
		break;
	case CUPTI_ACTIVITY_KIND_MEMSET:
		r->memset.correlationId = correlation;
		break;
	case CUPTI_ACTIVITY_KIND_GRAPH_TRACE:
		r->graph.correlationId = correlation;
		break;
	default:
		r->kernel.correlationId = correlation;
		r->kernel.gridId = correlation;
	}
}

static void enter(struct vg_api_call *call)
{
	unsigned int number, cbid, which;
	union vg_record record;

	if (depth++) {
		call->what = NESTED;
		return;
	}
	number = look_up(call->api);
	cbid = number & ((1 << CBID_BITS) - 1);
	which = (number & ~WAITS) >> CBID_BITS;
	call->correlation = atomic_fetch_add(&correlations, 1) + 1;
	if (cbid && atomic_load_explicit(&vg_callbacks_driver, memory_order_relaxed)) {
		call->what |= CALLBACK;
		vg_callback_driver(call, cbid, VG_CUPTI_ENTER, NULL);
	}
	call->start = vg_clock_now();
	if (cbid && vg_kind_on(CUPTI_ACTIVITY_KIND_DRIVER) && vg_driver_api_wanted(cbid))
		call->what |= API_RECORD;
	if (number & WAITS) {
		call->what |= WAIT;
		call->waited_after = vg_work_last();
	}
	if (which && atomic_load_explicit(&vg_kinds, memory_order_relaxed) & VG_TIMED_KINDS &&
	    vg_describe(which, call, &record)) {
		set_correlation(&record, call->correlation);
		call->tag = vg_work_begin(&record, call->start);
	}
	if (call->what & API_RECORD || call->tag) {
		vg_buffer_ensure();
		if (vg_kind_on(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION))
			vg_external_put(call->correlation);
	}
}

static void put_api(const struct vg_api_call *call, unsigned int cbid, CUresult result)
{
	struct cupti_api r = {
		.kind = CUPTI_ACTIVITY_KIND_DRIVER, .cbid = cbid, .start = call->start,
		.end = vg_clock_now(), .processId = getpid(), .threadId = vg_thread_id(),
		.correlationId = call->correlation, .returnValue = result,
	};

	vg_buffer_put(&r, sizeof(r));
}

static void leave(struct vg_api_call *call, CUresult result)
{
	uint32_t context, stream;
	unsigned int cbid;

	if (call->what & NESTED) {
		depth--;
		return;
	}
	if (call->what & WAIT && !result && vg_waited_for(call, &context, &stream))
		vg_work_waited(call->waited_after, context, stream);
	cbid = look_up(call->api) & ((1 << CBID_BITS) - 1);
	if (call->what & API_RECORD)
		put_api(call, cbid, result);
	if (call->tag)
		vg_work_end(call->tag, call->records);
	if (call->what & CALLBACK)
		vg_callback_driver(call, cbid, VG_CUPTI_EXIT, &result);
	depth--;
}

const struct vg_profile_hooks vg_hooks = { .enter = enter, .exit = leave };

void vg_context_hook(CUcontext ctx, bool made)
{
	vg_callback_context(ctx, made);
}

VG_EXPORT CUptiResult cuptiSetThreadIdType(uint32_t type)
{
	if (type > 1)
		return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);
	atomic_store(&thread_id_type, type);
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiGetThreadIdType(uint32_t *type)
{
	if (!type)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*type = atomic_load(&thread_id_type);
	return CUPTI_SUCCESS;
}
