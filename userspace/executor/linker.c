// SPDX-License-Identifier: Apache-2.0
/* The thread that links (linker.h). */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "linker.h"
#include "vg_cuda.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started, taken, done;
	CUresult (*run)(void *arg);	/* NULL while there is nothing to do */
	void *arg;
	CUcontext context;
	CUresult result;
} linker = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static CUresult set_current(CUcontext context)
{
	return cu.cuCtxSetCurrent ? cu.cuCtxSetCurrent(context) : CUDA_SUCCESS;
}

static void *serve(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&linker.lock);
	for (;;) {
		while (!linker.run)
			pthread_cond_wait(&linker.changed, &linker.lock);
		pthread_mutex_unlock(&linker.lock);
		linker.result = set_current(linker.context);
		if (!linker.result)
			linker.result = linker.run(linker.arg);
		set_current(NULL);
		pthread_mutex_lock(&linker.lock);
		linker.run = NULL;
		linker.done = true;
		pthread_cond_broadcast(&linker.changed);
	}
	return NULL;
}

static bool start(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!linker.started)
		linker.started = !pthread_create(&thread, &attr, serve, NULL);
	pthread_attr_destroy(&attr);
	return linker.started;
}

CUresult vg_linker_run(CUcontext context, CUresult (*run)(void *arg), void *arg)
{
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	pthread_mutex_lock(&linker.lock);
	while (linker.taken)
		pthread_cond_wait(&linker.changed, &linker.lock);
	linker.taken = true;
	if (start()) {
		linker.context = context;
		linker.arg = arg;
		linker.done = false;
		linker.run = run;
		pthread_cond_broadcast(&linker.changed);
		while (!linker.done)
			pthread_cond_wait(&linker.changed, &linker.lock);
		result = linker.result;
	}
	linker.taken = false;
	pthread_cond_broadcast(&linker.changed);
	pthread_mutex_unlock(&linker.lock);
	return result;
}
