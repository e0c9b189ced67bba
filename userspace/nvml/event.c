// SPDX-License-Identifier: Apache-2.0
/*
 * Sets of events.  A vGPU is told of none of its device's events, so none can be
 * registered, and to wait for one is to wait for the time to pass.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "host.h"

struct nvmlEventSet_st {
	struct nvmlEventSet_st *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* sets */
static struct nvmlEventSet_st *sets;

static struct nvmlEventSet_st **find(nvmlEventSet_t set)
{
	for (struct nvmlEventSet_st **p = &sets; *p; p = &(*p)->next)
		if (*p == set)
			return p;
	return NULL;
}

static bool known(nvmlEventSet_t set)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = set && find(set);
	pthread_mutex_unlock(&lock);
	return is;
}

FN(nvmlEventSetCreate, nvmlEventSet_t *set)
{
	nvmlReturn_t r = host_ready();
	struct nvmlEventSet_st *s;

	if (r || !set)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NVML_ERROR_MEMORY;
	pthread_mutex_lock(&lock);
	s->next = sets;
	sets = s;
	pthread_mutex_unlock(&lock);
	*set = s;
	return NVML_SUCCESS;
}

FN(nvmlEventSetFree, nvmlEventSet_t set)
{
	nvmlReturn_t r = host_ready();
	struct nvmlEventSet_st **p, *s = NULL;

	if (r)
		return r;
	pthread_mutex_lock(&lock);
	p = set ? find(set) : NULL;
	if (p) {
		s = *p;
		*p = s->next;
	}
	pthread_mutex_unlock(&lock);
	free(s);
	return s ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

FN(nvmlDeviceGetSupportedEventTypes, nvmlDevice_t device, unsigned long long *types)
{
	nvmlReturn_t r = nvml_asked(device, types);

	if (!r)
		*types = 0;
	return r;
}

FN(nvmlDeviceRegisterEvents, nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
	static _Atomic bool said;
	nvmlReturn_t r = nvml_asked(device, set);

	if (r || !known(set))
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	return types ? nvml_refuse("nvmlDeviceRegisterEvents", &said) : NVML_SUCCESS;
}

FN(nvmlEventSetWait_v2, nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeoutms)
{
	struct timespec left = { timeoutms / 1000, timeoutms % 1000 * 1000000L };
	nvmlReturn_t r = host_ready();

	if (r || !data || !known(set))
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
	return NVML_ERROR_TIMEOUT;
}
SAME(nvmlEventSetWait, nvmlEventSetWait_v2, nvmlEventSet_t set, nvmlEventData_t *data,
     unsigned int timeoutms)
