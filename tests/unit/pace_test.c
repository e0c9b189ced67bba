// SPDX-License-Identifier: Apache-2.0
/* What is held behind a copy, and for how long: with a clock and a device of the test's own. */
#include "unit.h"

#include <stdlib.h>
#include <time.h>

#include "calls.h"
#include "common/clock.h"
#include "common/log.h"
#include "exec_internal.h"
#include "vg_cuda.h"

struct vg_cuda cu;

#define KIB 1024u

/* -- a clock that goes on by looking at it */

static uint64_t clock_ns = 1000000;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	clock_ns += 10;
	ts->tv_sec = clock_ns / 1000000000;
	ts->tv_nsec = clock_ns % 1000000000;
	return 0;
}

static uint64_t held_ns(void)
{
	uint64_t began = clock_ns;

	vg_pace_call(VG_OP_cuGraphLaunch);
	return clock_ns - began;
}

/* Held until then: the clock's steps, one of them before the time was taken, come on top. */
static void assert_held(uint64_t ns)
{
	assert_in_range(held_ns(), ns - 10, ns + 10);
}

/* -- a device whose engines wait for each other */

static struct {
	uint64_t start_ns, ns_per_mib;	/* of a copy */
	uint64_t lookup_ns;		/* from one look whether to go on to the next */
	uint64_t other_ns;		/* what somebody else's work adds */
	uint64_t copied, done;
	int left;			/* copies before one fails; below 0: none does */
	int allocated;
} device;

static CUresult copy_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream s)
{
	(void)dst;
	(void)src;
	(void)s;
	if (!device.left)
		return CUDA_ERROR_INVALID_VALUE;
	device.left--;
	clock_ns += 3000;
	device.copied = clock_ns + device.start_ns + bytes * device.ns_per_mib / (KIB * KIB);
	device.done = device.copied;
	return CUDA_SUCCESS;
}

static CUresult set(CUdeviceptr p, unsigned char value, size_t n, CUstream s)
{
	(void)p;
	(void)value;
	(void)n;
	(void)s;
	clock_ns += 1000;
	device.done = clock_ns >= device.copied ? clock_ns : clock_ns + device.lookup_ns;
	return CUDA_SUCCESS;
}

static CUresult wait_for(CUstream s)
{
	(void)s;
	if (clock_ns < device.done)
		clock_ns = device.done;
	clock_ns += 1000 + device.other_ns;
	return CUDA_SUCCESS;
}

static CUresult mem_alloc(CUdeviceptr *p, size_t bytes)
{
	(void)bytes;
	*p = 0x1000;
	device.allocated++;
	return CUDA_SUCCESS;
}

static CUresult mem_free(CUdeviceptr p)
{
	(void)p;
	device.allocated--;
	return CUDA_SUCCESS;
}

static CUresult host_alloc(void **p, size_t bytes, unsigned int flags)
{
	(void)flags;
	*p = malloc(bytes);
	device.allocated++;
	return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult host_free(void *p)
{
	free(p);
	device.allocated--;
	return CUDA_SUCCESS;
}

static CUresult push(CUcontext ctx)
{
	(void)ctx;
	device.allocated++;
	return CUDA_SUCCESS;
}

static CUresult pop(CUcontext *ctx)
{
	(void)ctx;
	device.allocated--;
	return CUDA_SUCCESS;
}

static struct vg_copy_time measured(uint64_t lookup_ns, uint64_t other_ns, int left)
{
	assert_true(vg_pace_parse("0,0"));
	device.start_ns = 1700;
	device.ns_per_mib = 18000;
	device.lookup_ns = lookup_ns;
	device.other_ns = other_ns;
	device.left = left;
	vg_x_pace_measure(NULL);
	assert_int_equal(device.allocated, 0);
	return vg_pace_copy_time();
}

static int give_device(void **state)
{
	(void)state;
	vg_log_init("pace", VG_ERROR);
	cu.cuMemcpyHtoDAsync_v2 = copy_in;
	cu.cuMemsetD8Async = set;
	cu.cuStreamSynchronize = wait_for;
	cu.cuMemAlloc_v2 = mem_alloc;
	cu.cuMemFree_v2 = mem_free;
	cu.cuMemHostAlloc = host_alloc;
	cu.cuMemFreeHost = host_free;
	cu.cuCtxPushCurrent_v2 = push;
	cu.cuCtxPopCurrent_v2 = pop;
	return 0;
}

/* -- tests */

static void holds_what_follows(void **state)
{
	uint64_t began;

	(void)state;
	assert_true(vg_pace_parse("2000,16384"));
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	assert_held(2000 + 1024);
	/* Once. */
	assert_int_equal(held_ns(), 0);
	/* The last of several copies counts, which do not wait for each other. */
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	vg_x_pace_copy(128 * KIB);
	vg_x_pace_copied(128 * KIB);
	assert_held(2000 + 2048);
	/* A kernel for less long, since the driver takes longer with it. */
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	began = clock_ns;
	vg_pace_call(VG_OP_vgpu_launch);
	assert_in_range(clock_ns - began, 2000 + 1024 - 1010, 2000 + 1024 - 990);
}

static void does_not_hold(void **state)
{
	uint64_t began;

	(void)state;
	assert_true(vg_pace_parse("2000,16384"));
	/* Nobody has waited for the device, */
	vg_x_pace_copied(64 * KIB);
	assert_int_equal(held_ns(), 0);
	/* or there was something else before the copy; */
	vg_pace_waited();
	vg_pace_call(VG_OP_cuGraphLaunch);
	vg_x_pace_copied(64 * KIB);
	assert_int_equal(held_ns(), 0);
	/* it takes long; */
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	vg_x_pace_copied(1024 * KIB);
	assert_int_equal(held_ns(), 0);
	/* or the copy is late itself. */
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	clock_ns += 5000;
	assert_in_range(held_ns(), 0, 10);
	/* How long one takes is not known. */
	assert_true(vg_pace_parse("0,0"));
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	assert_int_equal(held_ns(), 0);
	/* A copy of few bytes is held as anything else. */
	assert_true(vg_pace_parse("2000,16384"));
	vg_pace_waited();
	vg_x_pace_copied(64 * KIB);
	began = clock_ns;
	vg_x_pace_copy(16 * KIB);
	assert_in_range(clock_ns - began, 3000, 3040);
}

static void measures(void **state)
{
	struct vg_copy_time t = measured(8000, 0, -1);

	(void)state;
	assert_in_range(t.ns_per_mib, 17800, 18200);
	/* Enough, and not much more. */
	assert_in_range(t.start_ns, 1700, 3200);
	/* What is known stays. */
	device.lookup_ns = 0;
	vg_x_pace_measure(NULL);
	assert_int_equal(vg_pace_copy_time().start_ns, t.start_ns);
}

static void measures_nothing(void **state)
{
	(void)state;
	/* A device that looks often, one that is somebody else's too, and one that fails. */
	assert_int_equal(measured(500, 0, -1).ns_per_mib, 0);
	assert_int_equal(measured(8000, 130000, -1).ns_per_mib, 0);
	assert_int_equal(measured(8000, 0, 25).ns_per_mib, 0);
	cu.cuMemsetD8Async = NULL;
	assert_int_equal(measured(8000, 0, -1).ns_per_mib, 0);
	cu.cuMemsetD8Async = set;
}

static void parses(void **state)
{
	static const char *const bad[] = {
		"", "1", "1,", "1,2,", "1,2x", "4001,1", "1,200001", "-1,1", "99999999999,1",
	};

	(void)state;
	assert_true(vg_pace_parse("4000,200000"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(vg_pace_parse(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_follows),
		cmocka_unit_test(does_not_hold),
		cmocka_unit_test(measures),
		cmocka_unit_test(measures_nothing),
		cmocka_unit_test(parses),
	};

	return cmocka_run_group_tests(tests, give_device, NULL);
}
