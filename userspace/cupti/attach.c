// SPDX-License-Identifier: Apache-2.0
/* The guest's libcuda, which is found under the name by which CUDA's runtime finds it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cupti_internal.h"

static const struct vg_profile_table *table;
static CUptiResult why_not = CUPTI_ERROR_NOT_INITIALIZED;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find(void)
{
	static const uint8_t id[16] = VG_PROFILE_ID;
	CUresult (*get)(const void **, const CUuuid *);
	const void *found = NULL;
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
	CUuuid uuid;

	if (!library)
		return;
	get = (CUresult (*)(const void **, const CUuuid *))dlsym(library, "cuGetExportTable");
	memcpy(&uuid, id, sizeof(uuid));
	if (!get || get(&found, &uuid) || !found ||
	    ((const struct vg_profile_table *)found)->version != VG_PROFILE_VERSION) {
		fprintf(stderr, "vgpu: libcupti is for programs that use vgpu's libcuda.so.1, "
				"with version %u of what is between the two\n",
			VG_PROFILE_VERSION);
		why_not = CUPTI_ERROR_NOT_SUPPORTED;
		return;
	}
	table = found;
}

const struct vg_profile_table *vg_driver(CUptiResult *why)
{
	pthread_once(&once, find);
	if (!table && why)
		*why = why_not;
	return table;
}

CUptiResult vg_reattach(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	CUptiResult why;
	const struct vg_profile_table *t = vg_driver(&why);

	if (!t)
		return why;
	pthread_mutex_lock(&lock);
	t->attach(atomic_load(&vg_kinds) || atomic_load(&vg_callbacks_driver) ? &vg_hooks : NULL,
		  atomic_load(&vg_callbacks_context) ? vg_context_hook : NULL);
	pthread_mutex_unlock(&lock);
	return CUPTI_SUCCESS;
}
