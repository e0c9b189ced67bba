// SPDX-License-Identifier: Apache-2.0
/*
 * Context-local storage: values that the runtime and the libraries hang on a
 * context by key, with a destructor that runs when the context goes.
 */
#include "storage.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
	struct entry *next;
	const void *owner;
	void *key, *value;
	vg_storage_destructor destructor;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;

static struct entry **find(const void *owner, const void *key)
{
	struct entry **e = &entries;

	while (*e && ((*e)->owner != owner || (*e)->key != key))
		e = &(*e)->next;
	return e;
}

CUresult vg_storage_put(const void *owner, void *key, void *value,
			vg_storage_destructor destructor)
{
	CUresult r = CUDA_SUCCESS;
	struct entry **e;

	pthread_mutex_lock(&lock);
	e = find(owner, key);
	if (!*e) {
		*e = calloc(1, sizeof(**e));
		if (!*e)
			r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (*e) {
		(*e)->owner = owner;
		(*e)->key = key;
		(*e)->value = value;
		(*e)->destructor = destructor;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vg_storage_get(const void *owner, const void *key, void **value)
{
	CUresult r = CUDA_ERROR_INVALID_HANDLE;
	struct entry *e;

	pthread_mutex_lock(&lock);
	e = *find(owner, key);
	if (e) {
		*value = e->value;
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vg_storage_delete(const void *owner, const void *key)
{
	struct entry **at, *e;

	pthread_mutex_lock(&lock);
	at = find(owner, key);
	e = *at;
	if (e)
		*at = e->next;
	pthread_mutex_unlock(&lock);
	free(e);
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Destructors may themselves use the storage, so each runs without the lock. */
void vg_storage_end(const void *owner, CUcontext handle)
{
	for (;;) {
		struct entry **at = &entries, *e;

		pthread_mutex_lock(&lock);
		while (*at && (*at)->owner != owner)
			at = &(*at)->next;
		e = *at;
		if (e)
			*at = e->next;
		pthread_mutex_unlock(&lock);
		if (!e)
			return;
		if (e->destructor)
			e->destructor(handle, e->key, e->value);
		free(e);
	}
}
