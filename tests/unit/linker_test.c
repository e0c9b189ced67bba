// SPDX-License-Identifier: Apache-2.0
/* Whoever asks, one thread links, with the context that is asked for, and keeps none. */
#include "unit.h"

#include <pthread.h>
#include <stdbool.h>

#include "linker.h"
#include "vg_cuda.h"

#define CALLERS 8
#define CALLS 200

struct vg_cuda cu;

static __thread CUcontext current;
static CUcontext left;			/* current when the thread was asked last */

static CUresult set_current(CUcontext context)
{
	current = context;
	left = context;
	return CUDA_SUCCESS;
}

static pthread_t links_on;
static bool known, inside;
static int calls, wrong;

static CUresult work(void *arg)
{
	/* No lock: if two were in it at once, that would be wrong, too. */
	wrong += inside;
	inside = true;
	if (!known)
		links_on = pthread_self();
	known = true;
	wrong += !pthread_equal(links_on, pthread_self());
	wrong += current != arg;
	calls++;
	inside = false;
	return (CUresult)(calls % 2 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX);
}

static void *caller(void *arg)
{
	for (int i = 0; i < CALLS; i++) {
		CUresult r = vg_linker_run(arg, work, arg);

		if (r != CUDA_SUCCESS && r != CUDA_ERROR_INVALID_PTX)
			return arg;
	}
	return NULL;
}

static void one_thread_links(void **state)
{
	pthread_t threads[CALLERS];
	void *bad;

	(void)state;
	cu.cuCtxSetCurrent = set_current;
	for (size_t i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, caller, (void *)(i + 1)), 0);
	for (int i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
		assert_false(pthread_equal(threads[i], links_on));
	}
	assert_int_equal(calls, CALLERS * CALLS);
	assert_int_equal(wrong, 0);
	assert_null(left);
	assert_null(current);
}

static CUresult no_context(CUcontext context)
{
	(void)context;
	return CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static void what_cannot_be_current(void **state)
{
	CUcontext context = (CUcontext)77;
	int before = calls;

	(void)state;
	cu.cuCtxSetCurrent = no_context;
	assert_int_equal(vg_linker_run(context, work, context), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(calls, before);
	cu.cuCtxSetCurrent = set_current;
	assert_in_range(vg_linker_run(context, work, context), 0, CUDA_ERROR_INVALID_PTX);
	assert_int_equal(calls, before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_links),
		cmocka_unit_test(what_cannot_be_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
