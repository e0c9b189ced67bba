// SPDX-License-Identifier: Apache-2.0
/*
 * Turns on the GPU, the executor's side (executor/turn.c), with a driver of the test's own, whose
 * events happen when the test says so: no event is used after its context or stream has gone, none
 * is recorded in a stream under capture, and none is left behind, whatever others write into the
 * account page.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "common/ops_internal.h"
#include "exec_calls.h"
#include "exec_internal.h"
#include "vg_cuda.h"
#include "vg_wire.h"

struct vg_cuda cu;
_Atomic bool vg_capture_any;

/* -- the driver */

struct fake_event {
	int context;
	unsigned int record;		/* the number of the record that it was used in last */
};

#define CONTEXTS	3
#define STREAMS		10		/* ids from 2 on; each context has all of them */
#define CONTEXT_IDS	100

static int current = 1;
static bool gone[CONTEXTS], stream_gone[STREAMS], capturing[STREAMS];
static unsigned int live_events, records;
static bool hang;			/* events do not happen, but for the first so many records */
static unsigned int happened;

static CUresult get_current(CUcontext *ctx)
{
	*ctx = (CUcontext)(uintptr_t)current;
	return CUDA_SUCCESS;
}

static int before;

static CUresult push(CUcontext ctx)
{
	assert_false(gone[(uintptr_t)ctx]);
	before = current;
	current = (uintptr_t)ctx;
	return CUDA_SUCCESS;
}

static CUresult pop(CUcontext *ctx)
{
	*ctx = (CUcontext)(uintptr_t)current;
	current = before;
	return CUDA_SUCCESS;
}

static struct fake_event *event(CUevent e)
{
	struct fake_event *f = (struct fake_event *)e;

	assert_false(gone[f->context]);
	return f;
}

static CUresult event_create(CUevent *e, unsigned int flags)
{
	struct fake_event *f = calloc(1, sizeof(*f));

	(void)flags;
	f->context = current;
	live_events++;
	*e = (CUevent)f;
	return CUDA_SUCCESS;
}

static CUresult event_destroy(CUevent e)
{
	free(event(e));
	live_events--;
	return CUDA_SUCCESS;
}

static CUresult event_record(CUevent e, CUstream s)
{
	uintptr_t which = (uintptr_t)s;

	assert_false(stream_gone[which]);
	assert_false(capturing[which]);
	event(e)->record = ++records;
	return CUDA_SUCCESS;
}

static CUresult event_query(CUevent e)
{
	return hang && event(e)->record > happened ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

static CUresult is_capturing(CUstream s, CUstreamCaptureStatus *status)
{
	*status = capturing[(uintptr_t)s] ? CU_STREAM_CAPTURE_STATUS_ACTIVE :
					    CU_STREAM_CAPTURE_STATUS_NONE;
	return CUDA_SUCCESS;
}

/* -- the executor */

static struct vg_account account;
static struct vg_exec x = { .account = &account, .entry = &account.entry[0], .turn_bell = -1 };

struct vg_handles *vg_exec_handles(struct vg_exec *e)
{
	(void)e;
	return NULL;
}

bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *v)
{
	(void)h;
	*v = id < CONTEXT_IDS ? id : id - CONTEXT_IDS;
	return kind == (id < CONTEXT_IDS ? VG_STREAM : VG_CONTEXT);
}

bool vg_x_stream(struct vg_exec *e, uint32_t id, CUstream *s)
{
	(void)e;
	*s = (CUstream)(uintptr_t)id;
	return true;
}

/* A call after which streams may wait for the host. */
static void wait_in(uint32_t stream)
{
	static const struct vg_adds adds = { 0 };
	static const struct vg_op op = { .adds = &adds };
	struct vg_req rq = { .op = VG_OP_cuStreamWaitValue32_v2, .bytes = sizeof(stream),
			     .payload = &stream };
	struct vg_work w;

	assert_false(vg_turn_take(&x, &op, &rq, &w));
}

static void take(uint32_t stream, struct vg_work *w)
{
	static const struct vg_adds adds = { 0 };
	static const struct vg_op op = { .adds = &adds };
	struct vg_req rq = { .op = VG_OP_vgpu_launch, .bytes = sizeof(stream), .payload = &stream };

	assert_true(vg_turn_take(&x, &op, &rq, w));
}

static void work(uint32_t stream)
{
	struct vg_work w;

	take(stream, &w);
	vg_turn_taken(&x, &w);
}

/* Work whose batch is open, as a launch takes next to nothing. */
static void quick_work(uint32_t stream)
{
	for (int i = 0; i < 200; i++) {
		work(stream);
		vg_turn_idle(&x);
	}
	records = 0;
	work(stream);
	assert_int_equal(records, 0);
}

static int set_up(void **state)
{
	(void)state;
	hang = false;
	happened = 0;
	/* Whatever another test has left. */
	vg_turn_before_end(&x, CONTEXT_IDS + 1);
	memset(gone, 0, sizeof(gone));
	memset(stream_gone, 0, sizeof(stream_gone));
	memset(capturing, 0, sizeof(capturing));
	vg_capture_any = false;
	memset(&account, 0, sizeof(account));
	account.turns = 1;
	account.turn_until = UINT64_MAX;
	current = 1;
	records = 0;
	live_events = 0;
	return 0;
}

/* -- tests */

/* A context takes its own events along, and none of the others'. */
static void contexts_that_go(void **state)
{
	(void)state;
	hang = true;
	for (int i = 0; i < 20; i++)
		work(2);
	assert_true(live_events > 1);
	for (int i = 0; i < 10; i++) {
		current = 2;
		work(3);
		current = 1;
		vg_turn_before_end(&x, CONTEXT_IDS + 2);
		gone[2] = true;
		work(2);
		vg_turn_idle(&x);
		gone[2] = false;
	}
	vg_turn_before_end(&x, CONTEXT_IDS + 1);
	assert_int_equal(live_events, 0);
}

/* Also while no batch can be closed. */
static void streams_that_go(void **state)
{
	struct vg_work a, b;

	(void)state;
	quick_work(2);
	vg_turn_before_end(&x, 2);
	assert_int_equal(records, 1);
	stream_gone[2] = true;
	vg_turn_idle(&x);
	hang = true;
	for (int i = 0; i < 31; i++) {
		work(3);
		vg_turn_idle(&x);
	}
	/* Two threads are let through, and the first fills the last batch. */
	take(3, &a);
	take(4, &b);
	vg_turn_taken(&x, &a);
	vg_turn_idle(&x);
	vg_turn_taken(&x, &b);
	vg_turn_before_end(&x, 4);
	stream_gone[4] = true;
	hang = false;
	vg_turn_idle(&x);
	vg_turn_idle(&x);
}

/* Another executor of the vGPU may write there. */
static void account_page(void **state)
{
	(void)state;
	quick_work(2);
	vg_turn_before_end(&x, CONTEXT_IDS + 1);
	work(2);
	account.entry[0].turn = 0;
	vg_turn_before_end(&x, 2);
	stream_gone[2] = true;
	work(3);
	vg_turn_idle(&x);
}

static void captures(void **state)
{
	(void)state;
	quick_work(2);
	vg_turn_before_capture();
	assert_int_equal(records, 1);
	capturing[2] = vg_capture_any = true;
	work(3);
	vg_turn_idle(&x);
}

/* As many looks as an idle executor has in some 60 ms and more. */
static bool is_left(void)
{
	bool left = true;

	for (int i = 0; i < 60 && left; i++) {
		usleep(1000);
		left = vg_turn_idle(&x);
	}
	return left;
}

/* Work that a stream does not come to, because it waits for the host, counts no more. */
static void work_that_waits(void **state)
{
	(void)state;
	quick_work(2);
	vg_turn_before_end(&x, CONTEXT_IDS + 1);
	wait_in(2);
	records = 0;
	hang = true;
	work(2);
	assert_true(is_left() == false);
	vg_turn_before_end(&x, CONTEXT_IDS + 1);
	assert_int_equal(live_events, 0);
}

/* Work that has begun does, however long it takes, and also where streams may wait. */
static void long_work(void **state)
{
	(void)state;
	wait_in(2);
	records = 0;
	hang = true;
	happened = 1;			/* the event before it */
	work(2);
	assert_true(is_left());
	/* What comes behind another wait is of its own, and has not begun. */
	wait_in(2);
	work(2);
	assert_true(is_left());
	happened = 2;			/* and the one behind it */
	assert_false(is_left());
	vg_turn_before_end(&x, CONTEXT_IDS + 1);
	assert_int_equal(live_events, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(contexts_that_go, set_up),
		cmocka_unit_test_setup(streams_that_go, set_up),
		cmocka_unit_test_setup(account_page, set_up),
		cmocka_unit_test_setup(captures, set_up),
		/* From here on this process counts as one whose streams may wait. */
		cmocka_unit_test_setup(work_that_waits, set_up),
		cmocka_unit_test_setup(long_work, set_up),
	};

	cu.cuCtxGetCurrent = get_current;
	cu.cuCtxPushCurrent_v2 = push;
	cu.cuCtxPopCurrent_v2 = pop;
	cu.cuEventCreate = event_create;
	cu.cuEventDestroy_v2 = event_destroy;
	cu.cuEventRecord = event_record;
	cu.cuEventQuery = event_query;
	cu.cuStreamIsCapturing = is_capturing;
	return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
