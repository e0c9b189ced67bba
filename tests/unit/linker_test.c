// SPDX-License-Identifier: Apache-2.0
/* Whoever asks, one thread links, with the context of whoever asks. */
#include "unit.h"

#include <pthread.h>
#include <stdbool.h>

#include "linker.h"
#include "vg_cuda.h"

#define CALLERS 8
#define CALLS 200

struct vg_cuda cu;

static __thread CUcontext current;

static CUresult get_current(CUcontext *context)
{
	*context = current;
	return CUDA_SUCCESS;
}

static CUresult set_current(CUcontext context)
{
	current = context;
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
	current = arg;
	for (int i = 0; i < CALLS; i++) {
		CUresult r = vg_linker_run(work, arg);

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
	cu.cuCtxGetCurrent = get_current;
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
}

static CUresult no_context(CUcontext context)
{
	(void)context;
	return CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static void what_cannot_be_current(void **state)
{
	int before = calls;

	(void)state;
	cu.cuCtxSetCurrent = no_context;
	current = (CUcontext)77;
	assert_int_equal(vg_linker_run(work, current), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(calls, before);
	cu.cuCtxSetCurrent = set_current;
	assert_in_range(vg_linker_run(work, current), 0, CUDA_ERROR_INVALID_PTX);
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
