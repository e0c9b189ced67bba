// SPDX-License-Identifier: Apache-2.0
/*
 * Copies through the buffers of a stage, with a device that does what it is told some time
 * later: all bytes arrive, and only they; a buffer is not touched while the other side has
 * it; who loses his CPU in the middle holds nobody else up.
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/crew.h"
#include "shim/shim.h"
#include "shim_calls.h"
#include "shim/stage.h"
#include "common/storage.h"

#define GUARD 64
#define MOST (48u << 20)
#define EVENTS 64

long __real_sysconf(int name);
long __wrap_sysconf(int name);
void __real_vg_copy_past_caches(void *to, const void *from, size_t bytes);
void __wrap_vg_copy_past_caches(void *to, const void *from, size_t bytes);

/* With two CPUs there would be nobody to share with. */
long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? 12 : __real_sysconf(name);
}

/* -- the device: copies in order, each begun some time after it was asked for */

struct copy {
	struct copy *next;
	uint8_t *to;
	const uint8_t *from;
	size_t bytes;
};

static struct {
	pthread_mutex_t lock;
	struct copy *first, **last;
	uint64_t asked, done;
	uint64_t event[EVENTS];		/* done when so many copies are */
	unsigned int events;
	unsigned int random;
	CUresult failure;		/* of the copy `fail_at` and what follows */
	uint64_t fail_at;
	_Atomic uint64_t copies;
} device = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = &device.first };

static CUresult progress(uint64_t until)
{
	while (device.first && device.done < until) {
		struct copy *c = device.first;

		memcpy(c->to, c->from, c->bytes);
		device.first = c->next;
		if (!device.first)
			device.last = &device.first;
		free(c);
		device.done++;
	}
	return device.fail_at && device.done >= device.fail_at ? device.failure : CUDA_SUCCESS;
}

static CUresult enqueue(uint8_t *to, const uint8_t *from, size_t bytes)
{
	struct copy *c = malloc(sizeof(*c));

	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*c = (struct copy){ NULL, to, from, bytes };
	pthread_mutex_lock(&device.lock);
	*device.last = c;
	device.last = &c->next;
	device.asked++;
	pthread_mutex_unlock(&device.lock);
	atomic_fetch_add(&device.copies, 1);
	return CUDA_SUCCESS;
}

CUresult vgw_vgpu_stage_in(bool wait, CUdeviceptr dst, uint64_t va, uint64_t bytes, CUstream s)
{
	(void)wait;
	(void)s;
	return enqueue((uint8_t *)(uintptr_t)dst, (const uint8_t *)(uintptr_t)va, bytes);
}

CUresult vgw_vgpu_stage_out(bool wait, uint64_t va, CUdeviceptr src, uint64_t bytes, CUstream s)
{
	(void)wait;
	(void)s;
	return enqueue((uint8_t *)(uintptr_t)va, (const uint8_t *)(uintptr_t)src, bytes);
}

static CUresult device_reach(uint64_t copies)
{
	CUresult r;

	pthread_mutex_lock(&device.lock);
	r = progress(copies);
	pthread_mutex_unlock(&device.lock);
	return r;
}

CUresult vgh_cuStreamSynchronize(CUstream s)
{
	(void)s;
	return device_reach(UINT64_MAX);
}

CUresult cuEventCreate(CUevent *e, unsigned int flags)
{
	(void)flags;
	*e = (CUevent)&device.event[device.events++ % EVENTS];
	return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent e, CUstream s)
{
	(void)s;
	pthread_mutex_lock(&device.lock);
	*(uint64_t *)e = device.asked;
	pthread_mutex_unlock(&device.lock);
	return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent e)
{
	return device_reach(*(uint64_t *)e);
}

CUresult cuEventQuery(CUevent e)
{
	CUresult r;

	pthread_mutex_lock(&device.lock);
	device.random = device.random * 1103515245 + 12345;
	r = progress(device.done + (device.random >> 16) % 3);
	if (!r && device.done < *(uint64_t *)e)
		r = CUDA_ERROR_NOT_READY;
	pthread_mutex_unlock(&device.lock);
	return r;
}

/* -- what else the stage asks for */

CUresult cuMemHostAlloc(void **p, size_t bytes, unsigned int flags)
{
	(void)flags;
	return posix_memalign(p, 4096, bytes) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *p)
{
	free(p);
	return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext c)
{
	(void)c;
	return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *c)
{
	(void)c;
	return CUDA_SUCCESS;
}

bool vg_range_shared(uint64_t p, uint64_t bytes)
{
	return p && bytes;
}

size_t vg_arena_max(void)
{
	return 8u << 20;
}

bool vg_capturing(void)
{
	return false;
}

struct vg_context *vg_current(void)
{
	return NULL;
}

static void *stored;

CUresult vg_storage_get(const void *c, const void *key, void **value)
{
	(void)c;
	(void)key;
	*value = stored;
	return stored ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult vg_storage_put(const void *c, void *key, void *value,
			vg_storage_destructor end)
{
	(void)c;
	(void)key;
	(void)end;
	stored = value;
	return CUDA_SUCCESS;
}

/* -- a thread that is not let go on with its chunk until so many copies have been asked for */

static _Atomic uint64_t stall_until;	/* 0: nobody is */
static pthread_t owner;			/* of the copy; it is he who asks the device */
static _Atomic bool stalled, waited_long;

void __wrap_vg_copy_past_caches(void *to, const void *from, size_t bytes)
{
	uint64_t until = atomic_load(&stall_until);
	bool no = false;

	if (until && !pthread_equal(pthread_self(), owner) &&
	    atomic_compare_exchange_strong(&stalled, &no, true)) {
		for (int i = 0; atomic_load(&device.copies) < until; i++) {
			if (i == 10000) {
				atomic_store(&waited_long, true);
				break;
			}
			usleep(1000);
		}
	}
	__real_vg_copy_past_caches(to, from, bytes);
}

/* -- tests */

static void fill(uint8_t *p, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (seed = seed * 1103515245 + 12345) >> 16;
}

struct memory {
	uint8_t *from, *device, *to;
};

static void memory_new(struct memory *m, unsigned int seed)
{
	m->from = malloc(MOST);
	m->device = malloc(MOST + 2 * GUARD);
	m->to = malloc(MOST + 2 * GUARD);
	assert_non_null(m->from);
	assert_non_null(m->device);
	assert_non_null(m->to);
	fill(m->from, MOST, seed);
}

static void memory_free(struct memory *m)
{
	free(m->from);
	free(m->device);
	free(m->to);
}

static bool beside(const uint8_t *p, size_t bytes)
{
	for (int i = 0; i < GUARD; i++)
		if (p[i] != 0x5a || p[GUARD + bytes + i] != 0x5a)
			return false;
	return true;
}

/* In, and out again; an asynchronous copy in has taken the data when it returns. */
static bool there_and_back(struct memory *m, size_t bytes, bool wait)
{
	CUresult r;

	memset(m->device, 0x5a, bytes + 2 * GUARD);
	memset(m->to, 0x5a, bytes + 2 * GUARD);
	if (!vg_stage_in((uintptr_t)m->device + GUARD, m->from, bytes, NULL, wait, &r) || r)
		return false;
	if (wait && memcmp(m->device + GUARD, m->from, bytes))
		return false;
	if (!wait) {
		m->from[0] ^= 1;
		m->from[bytes - 1] ^= 1;
	}
	if (!vg_stage_out(m->to + GUARD, (uintptr_t)m->device + GUARD, bytes, NULL, &r) || r)
		return false;
	if (!wait) {
		m->from[0] ^= 1;
		m->from[bytes - 1] ^= 1;
	}
	return !memcmp(m->to + GUARD, m->from, bytes) && beside(m->device, bytes) &&
	       beside(m->to, bytes);
}

static void sizes(void **state)
{
	static const size_t bytes[] = {
		1, 4095, 128 << 10, (128 << 10) + 1, 1000003, (2 << 20) - 1, 2 << 20,
		(2 << 20) + 1, 8 << 20, (20 << 20) + 12345, 40 << 20, MOST - 7,
	};
	struct memory m;

	(void)state;
	memory_new(&m, 1);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		assert_true(there_and_back(&m, bytes[i], true));
		assert_true(there_and_back(&m, bytes[i], false));
	}
	memory_free(&m);
}

static void *one_of_several(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	struct memory m;
	bool ok = true;

	memory_new(&m, seed);
	for (unsigned int i = 0; i < 12 && ok; i++)
		ok = there_and_back(&m, 1 + (seed * 7919 + i * 1047297) % (12u << 20), i % 2);
	memory_free(&m);
	return ok ? arg : NULL;
}

static void several_at_once(void **state)
{
	pthread_t thread[4];
	void *ok;

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, one_of_several, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &ok);
		assert_non_null(ok);
	}
}

/* 20 pieces of 24 are under way before the one that is held up goes on. */
static void nobody_waits_for_a_sleeper(void **state)
{
	struct memory m;
	CUresult r;

	(void)state;
	memory_new(&m, 7);
	owner = pthread_self();
	for (int out = 0; out < 2; out++) {
		atomic_store(&stalled, false);
		/* On a busy machine the owner may have done all by himself. */
		for (int i = 0; i < 100 && !atomic_load(&stalled); i++) {
			atomic_store(&stall_until, atomic_load(&device.copies) + 20);
			if (out)
				assert_true(vg_stage_out(m.to, (uintptr_t)m.device, MOST, NULL, &r));
			else
				assert_true(vg_stage_in((uintptr_t)m.device, m.from, MOST, NULL,
							true, &r));
			assert_int_equal(r, CUDA_SUCCESS);
		}
		atomic_store(&stall_until, 0);
		assert_true(atomic_load(&stalled));
		assert_false(atomic_load(&waited_long));
		assert_memory_equal(m.device, m.from, MOST);
	}
	assert_memory_equal(m.to, m.from, MOST);
	memory_free(&m);
}

/* It is said, and the buffers are there for the next. */
static void device_fails(void **state)
{
	struct memory m;
	CUresult r;

	(void)state;
	memory_new(&m, 9);
	for (int out = 0; out < 2; out++) {
		device.failure = CUDA_ERROR_ILLEGAL_ADDRESS;
		device.fail_at = device.done + 5;
		if (out)
			assert_true(vg_stage_out(m.to, (uintptr_t)m.device, MOST, NULL, &r));
		else
			assert_true(vg_stage_in((uintptr_t)m.device, m.from, MOST, NULL, true, &r));
		assert_int_equal(r, CUDA_ERROR_ILLEGAL_ADDRESS);
		device.fail_at = 0;
		assert_true(there_and_back(&m, MOST - 2 * GUARD, true));
	}
	memory_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(nobody_waits_for_a_sleeper),
		cmocka_unit_test(device_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
