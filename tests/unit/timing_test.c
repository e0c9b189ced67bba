// SPDX-License-Identifier: Apache-2.0
/*
 * When the device ran what records brought (executor/timing.c), with a driver of the test's own,
 * whose events happen when the test says so: what a guest can make it hold is bounded, whatever
 * it sends, no event is used after it has gone, and times keep their resolution.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "budget.h"
#include "common/clock.h"
#include "common/ops_internal.h"
#include "exec_calls.h"
#include "exec_internal.h"
#include "timing.h"
#include "vg_cuda.h"

struct vg_cuda cu;
_Atomic bool vg_capture_any;

#define span_ok(s) assert_int_equal((s).flags, 0)

/* -- the driver */

struct fake_event {
	uint32_t magic;
	uint32_t context;
	bool recorded, happened;
	double at;		/* ns */
};

#define MAGIC 0x65766e74

static unsigned int live_events, live_streams, records;
static unsigned int current = 1;	/* context */
static double device_now = 1e9;		/* ns of the device's clock */
static bool real_clock;			/* the device's is ours, with an offset */
static bool hang;			/* events do not happen */
static bool capturing;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

/* But for one test, the executor's clock is the device's, and goes on a little when looked at. */
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t ns;

	if (real_clock)
		return __real_clock_gettime(id, ts);
	device_now += 50;
	ns = (uint64_t)device_now + 5000000000ull;
	*ts = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	return 0;
}

static double device_time(void)
{
	return real_clock ? (double)vg_now_ns() - 5e9 : device_now;
}

static struct fake_event *event(CUevent e)
{
	struct fake_event *f = (struct fake_event *)e;

	assert_non_null(f);
	assert_int_equal(f->magic, MAGIC);
	return f;
}

static CUresult event_create(CUevent *e, unsigned int flags)
{
	struct fake_event *f = calloc(1, sizeof(*f));

	assert_int_equal(flags, CU_EVENT_DEFAULT);
	f->magic = MAGIC;
	f->context = current;
	live_events++;
	*e = (CUevent)f;
	return CUDA_SUCCESS;
}

static CUresult event_destroy(CUevent e)
{
	struct fake_event *f = event(e);

	assert_int_equal(f->context, current);
	f->magic = 0;
	live_events--;
	free(f);
	return CUDA_SUCCESS;
}

static CUresult event_record(CUevent e, CUstream s)
{
	struct fake_event *f = event(e);

	(void)s;
	assert_int_equal(f->context, current);
	records++;
	f->recorded = true;
	f->happened = !hang;
	f->at = device_time();
	return CUDA_SUCCESS;
}

static CUresult event_query(CUevent e)
{
	return event(e)->happened ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult event_elapsed(float *ms, CUevent a, CUevent b)
{
	if (!event(a)->happened || !event(b)->happened)
		return CUDA_ERROR_NOT_READY;
	*ms = (float)((event(b)->at - event(a)->at) / 1e6);
	return CUDA_SUCCESS;
}

static CUresult stream_create(CUstream *s, unsigned int flags)
{
	assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
	*s = malloc(1);
	live_streams++;
	return CUDA_SUCCESS;
}

static CUresult stream_destroy(CUstream s)
{
	free(s);
	live_streams--;
	return CUDA_SUCCESS;
}

static CUresult is_capturing(CUstream s, CUstreamCaptureStatus *status)
{
	(void)s;
	*status = capturing ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	return CUDA_SUCCESS;
}

static unsigned int pushed[8], depth;

static CUresult push(CUcontext ctx)
{
	pushed[depth++] = current;
	current = (uintptr_t)ctx;
	return CUDA_SUCCESS;
}

static CUresult pop(CUcontext *ctx)
{
	*ctx = (CUcontext)(uintptr_t)current;
	current = pushed[--depth];
	return CUDA_SUCCESS;
}

/* -- the executor */

struct vg_handles *vg_exec_handles(struct vg_exec *x)
{
	(void)x;
	return NULL;
}

/* A context's handle is its id; streams have ids up to 99. */
bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	(void)h;
	assert_int_equal(kind, VG_CONTEXT);
	*value = id;
	return id < 1000;
}

bool vg_x_stream(struct vg_exec *x, uint32_t id, CUstream *s)
{
	(void)x;
	*s = (CUstream)(uintptr_t)(0x1000 + id);
	return id < 100;
}

static const struct vg_adds adds = { .stream_at = 4 };
static const struct vg_op in_stream = { .name = "in_stream", .adds = &adds };
static const struct vg_op elsewhere = { .name = "elsewhere" };

static void run(const struct vg_op *op, uint32_t tag, uint32_t stream, uint32_t ctx, CUresult r)
{
	uint32_t payload[2] = { 0, stream };
	struct vg_req rq = { .flags = VGPU_REC_TIMED, .ctx = ctx, .timed = tag, .bytes = 8,
			     .payload = payload };

	current = ctx;
	vg_timing_begin(NULL, op, &rq);
	device_now += 1000;
	vg_timing_end(r);
}

static vgpu_span spans[160];
static uint64_t lost;

static unsigned int take(unsigned int fresh)
{
	unsigned int count = 9999;

	assert_int_equal(vge_vgpu_timing_take(NULL, NULL, fresh, 160, &count, &lost, spans), 0);
	assert_true(count <= 160);
	return count;
}

static CUresult timing(unsigned int on)
{
	return vge_vgpu_timing(NULL, NULL, on);
}

static int begin(void **state)
{
	(void)state;
	cu.cuEventCreate = event_create;
	cu.cuEventDestroy_v2 = event_destroy;
	cu.cuEventRecord = event_record;
	cu.cuEventQuery = event_query;
	cu.cuEventElapsedTime = event_elapsed;
	cu.cuStreamCreate = stream_create;
	cu.cuStreamDestroy_v2 = stream_destroy;
	cu.cuStreamIsCapturing = is_capturing;
	cu.cuCtxPushCurrent_v2 = push;
	cu.cuCtxPopCurrent_v2 = pop;
	hang = capturing = real_clock = false;
	device_now = 1e9;
	vg_capture_any = false;
	return timing(1);
}

/* Nothing of the driver's and of the budget stays. */
static int end(void **state)
{
	(void)state;
	hang = false;
	assert_int_equal(timing(0), CUDA_SUCCESS);
	assert_int_equal(live_events, 0);
	assert_int_equal(live_streams, 0);
	assert_int_equal(depth, 0);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), 0);
	return 0;
}

/* -- tests */

static void test_not_enabled(void **state)
{
	unsigned int count;

	(void)state;
	assert_int_equal(timing(0), CUDA_SUCCESS);
	assert_int_equal(timing(0), CUDA_SUCCESS);
	assert_int_equal(timing(2), CUDA_ERROR_INVALID_VALUE);
	run(&in_stream, 1, 3, 1, CUDA_SUCCESS);
	vg_timing_none(2, VG_SPAN_FAILED);
	vg_timing_mark();
	vg_timing_context_gone(1);
	assert_int_equal(take(VG_TIMING_WAIT), 0);
	assert_int_equal(vge_vgpu_timing_take(NULL, NULL, 3, 160, &count, &lost, spans),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(live_events, 0);
}

static void test_spans(void **state)
{
	(void)state;
	run(&in_stream, 7, 3, 1, CUDA_SUCCESS);
	run(&elsewhere, 8, 0, 1, CUDA_SUCCESS);
	run(&in_stream, 9, 100, 1, CUDA_SUCCESS);		/* no such stream */
	run(&in_stream, 10, 3, 1, CUDA_ERROR_INVALID_VALUE);	/* refused by the driver */
	run(&in_stream, 11, 3, 1000, CUDA_SUCCESS);		/* no such context */
	run(&in_stream, 12, 3, 0, CUDA_SUCCESS);
	assert_int_equal(take(VG_TIMING_LOOK), 6);
	for (unsigned int i = 0; i < 6; i++) {
		static const uint32_t want[][2] = {
			{ 8, VG_SPAN_NOTHING }, { 9, VG_SPAN_FAILED }, { 10, VG_SPAN_FAILED },
			{ 11, VG_SPAN_FAILED }, { 12, VG_SPAN_FAILED }, { 7, 0 },
		};

		assert_int_equal(spans[i].tag, want[i][0]);
		assert_int_equal(spans[i].flags, want[i][1]);
	}
	assert_int_equal(spans[5].nanoseconds, 1000);
	assert_int_equal(take(VG_TIMING_LOOK), 0);
}

/* What is recorded in a stream under capture would become a part of the program's graph. */
static void test_captures(void **state)
{
	unsigned int before;

	(void)state;
	run(&in_stream, 1, 3, 1, CUDA_SUCCESS);
	before = records;
	vg_capture_any = capturing = true;
	run(&in_stream, 2, 3, 1, CUDA_SUCCESS);
	assert_int_equal(records, before);
	assert_int_equal(take(VG_TIMING_KNOWN), 1);
	assert_int_equal(spans[0].flags, VG_SPAN_CAPTURED);
	capturing = false;
	run(&in_stream, 3, 3, 1, CUDA_SUCCESS);
	assert_true(records > before);
}

/* A stream that never goes on: the oldest are given up. */
static void test_pending(void **state)
{
	struct vg_timing_held held;
	unsigned int given_up = 0, n;

	(void)state;
	run(&in_stream, 1, 3, 1, CUDA_SUCCESS);
	take(VG_TIMING_LOOK);
	hang = true;
	for (uint32_t i = 0; i < 3 * VG_TIMING_PAIRS; i++) {
		run(&in_stream, 100 + i, 3, 1, CUDA_SUCCESS);
		vg_timing_held(&held);
		assert_true(held.pending <= VG_TIMING_PAIRS && held.pairs <= VG_TIMING_PAIRS);
	}
	assert_true(live_events <= 2 * VG_TIMING_PAIRS + 2);
	while ((n = take(VG_TIMING_LOOK))) {
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(spans[i].flags, VG_SPAN_LOST);
			assert_int_equal(spans[i].tag, 100 + given_up++);
		}
		assert_int_equal(lost, 0);
	}
	vg_timing_held(&held);
	assert_int_equal(held.pending + given_up, 3 * VG_TIMING_PAIRS);
}

/* A guest that takes nothing. */
static void test_untaken(void **state)
{
	struct vg_timing_held held;
	const uint32_t many = VG_TIMING_SPANS + 2 * VG_TIMING_PAIRS;
	uint64_t all_lost = 0;
	unsigned int n, got = 0;

	(void)state;
	for (uint32_t i = 0; i < many; i++)
		run(&in_stream, 1 + i, i % 50, 1, CUDA_SUCCESS);
	vg_timing_held(&held);
	assert_true(held.spans <= VG_TIMING_SPANS && held.pairs <= VG_TIMING_PAIRS);
	while ((n = take(VG_TIMING_LOOK))) {
		got += n;
		all_lost += lost;
	}
	assert_int_equal(got + all_lost, many);
	assert_true(all_lost >= 1 && spans[0].tag > all_lost);
}

static void test_contexts(void **state)
{
	struct vg_timing_held held;
	unsigned int timed = 0, n;

	(void)state;
	for (uint32_t ctx = 1; ctx <= 3 * VG_TIMING_LINES; ctx++)
		run(&in_stream, ctx, 3, ctx, CUDA_SUCCESS);
	vg_timing_held(&held);
	assert_int_equal(held.lines, VG_TIMING_LINES);
	n = take(VG_TIMING_LOOK);
	assert_int_equal(n, 3 * VG_TIMING_LINES);
	for (unsigned int i = 0; i < n; i++)
		timed += !spans[i].flags;
	assert_int_equal(timed, VG_TIMING_LINES);
}

/* A context goes: so do its events, before it; what they have said stays. */
static void test_context_gone(void **state)
{
	unsigned int events;

	(void)state;
	run(&in_stream, 1, 3, 1, CUDA_SUCCESS);
	events = live_events;
	run(&in_stream, 2, 3, 2, CUDA_SUCCESS);
	hang = true;
	run(&in_stream, 3, 3, 2, CUDA_SUCCESS);
	vg_timing_context_gone(2);
	assert_int_equal(live_events, events);
	assert_int_equal(live_streams, 1);
	assert_int_equal(take(VG_TIMING_LOOK), 3);
	assert_int_equal(spans[0].tag, 2);
	span_ok(spans[0]);
	assert_true(spans[0].start);
	assert_int_equal(spans[1].tag, 3);
	assert_int_equal(spans[1].flags, VG_SPAN_FAILED);
	/* Its id comes again, for another. */
	hang = false;
	run(&in_stream, 4, 3, 2, CUDA_SUCCESS);
	assert_int_equal(take(VG_TIMING_LOOK), 1);
	span_ok(spans[0]);
	/* All the pairs are there again. */
	for (uint32_t i = 0; i < 5 * VG_TIMING_PAIRS; i++) {
		run(&in_stream, 5, 3, 7, CUDA_SUCCESS);
		if (i % 1000 == 0)
			vg_timing_context_gone(7);
	}
	vg_timing_context_gone(7);
	take(VG_TIMING_LOOK);
	assert_int_equal(lost, 0);
}

/* A context, and all, end while a record runs on another thread. */
static void test_open(void **state)
{
	uint32_t payload[2] = { 0, 3 };
	struct vg_req rq = { .flags = VGPU_REC_TIMED, .ctx = 1, .timed = 5, .bytes = 8,
			     .payload = payload };

	(void)state;
	current = 1;
	vg_timing_begin(NULL, &in_stream, &rq);
	assert_int_equal(timing(0), CUDA_ERROR_NOT_READY);
	vg_timing_end(CUDA_SUCCESS);
	assert_int_equal(take(VG_TIMING_LOOK), 1);
	span_ok(spans[0]);
	/* The end is told before the call waits. */
	vg_timing_begin(NULL, &in_stream, &rq);
	device_now += 500;
	assert_true(vg_timing_mark());
	assert_false(vg_timing_mark());
	device_now += 100000;
	vg_timing_end(CUDA_SUCCESS);
	assert_int_equal(take(VG_TIMING_LOOK), 1);
	assert_int_equal(spans[0].nanoseconds, 500);
}

/* A float of milliseconds tells nothing finer than a microsecond after some seconds. */
static void test_resolution(void **state)
{
	uint64_t before = 0;
	double was = 0;

	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		double at = device_now;

		run(&in_stream, 1 + i, 3, 1, CUDA_SUCCESS);
		assert_int_equal(take(VG_TIMING_LOOK), 1);
		span_ok(spans[0]);
		assert_in_range(spans[0].nanoseconds, 999, 1001);
		/* Each start is so long after the one before: 50 ms, and 100 s after all. */
		if (i > 2)
			assert_in_range(spans[0].start - before + 1000,
					(uint64_t)(at - was) + 980, (uint64_t)(at - was) + 1020);
		before = spans[0].start;
		was = at;
		device_now += 5e7;
	}
}

/* The device's clock is another. */
static void test_host_clock(void **state)
{
	uint64_t before, after;

	(void)state;
	timing(0);
	real_clock = true;
	assert_int_equal(timing(1), CUDA_SUCCESS);
	for (int i = 0; i < 20; i++) {
		before = vg_now_ns();
		run(&in_stream, 1, 3, 1, CUDA_SUCCESS);
		after = vg_now_ns();
		while (vg_now_ns() - after < 3000000)
			;
		assert_int_equal(take(VG_TIMING_LOOK), 1);
		/* Within what a busy machine may do to an anchor. */
		assert_true(spans[0].start + 20000000 > before && spans[0].start < after + 20000000);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(not_enabled), T(spans), T(captures), T(pending), T(untaken), T(contexts),
		T(context_gone), T(open), T(resolution), T(host_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
