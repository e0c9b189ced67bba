// SPDX-License-Identifier: Apache-2.0
/*
 * Texture and surface references, deprecated and still asked for by old modules.  What
 * is bound to one is remembered here: value[0] of an object is its array, value[1] its
 * mipmapped array, as the program's own handles.
 */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

/* References of modules: a name gives the same one each time. */
struct named {
	struct named *next;
	struct vg_object *module, *reference;
	uint32_t module_generation, generation;
	char name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* the list */
static struct named *list;

static bool lives(const struct vg_object *o, uint32_t generation)
{
	return atomic_load(&o->generation) == generation;
}

/* With the lock held.  Of what has gone with its module nothing is kept. */
static struct vg_object *known(const struct vg_object *m, const char *name, enum vg_kind kind)
{
	struct vg_object *found = NULL;

	for (struct named **at = &list; *at;) {
		struct named *n = *at;

		if (!lives(n->module, n->module_generation) ||
		    !lives(n->reference, n->generation)) {
			*at = n->next;
			free(n);
			continue;
		}
		if (n->module == m && n->reference->born == kind && !strcmp(n->name, name))
			found = n->reference;
		at = &n->next;
	}
	return found;
}

static void remember(struct vg_object *m, struct vg_object *reference, const char *name)
{
	struct named *n = malloc(sizeof(*n) + strlen(name) + 1);

	vg_object_own(reference, m->id);	/* it goes with its module */
	if (!n)
		return;			/* asked for again it will be another handle, as good */
	*n = (struct named){ list, m, reference, atomic_load(&m->generation),
			     atomic_load(&reference->generation) };
	strcpy(n->name, name);
	list = n;
}

CUresult vgh_cuModuleGetTexRef(CUtexref *out, CUmodule module, const char *name)
{
	struct vg_object *m = vg_object_get(module, VG_MODULE), *o;
	CUresult r = CUDA_SUCCESS;

	if (!out || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&lock);
	o = known(m, name, VG_TEXREF);
	if (o) {
		*out = (CUtexref)o;
	} else {
		r = vgw_cuModuleGetTexRef(out, module, name);
		if (!r)
			remember(m, (struct vg_object *)*out, name);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuModuleGetSurfRef(CUsurfref *out, CUmodule module, const char *name)
{
	struct vg_object *m = vg_object_get(module, VG_MODULE), *o;
	CUresult r = CUDA_SUCCESS;

	if (!out || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&lock);
	o = known(m, name, VG_SURFREF);
	if (o) {
		*out = (CUsurfref)o;
	} else {
		r = vgw_cuModuleGetSurfRef(out, module, name);
		if (!r)
			remember(m, (struct vg_object *)*out, name);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/* -- what is bound */

static CUresult bound(CUresult r, const void *reference, enum vg_kind kind, const void *array,
		      const void *mipmap)
{
	struct vg_object *o = r ? NULL : vg_object_get(reference, kind);

	if (o) {
		o->value[0] = (uintptr_t)array;
		o->value[1] = (uintptr_t)mipmap;
	}
	return r;
}

CUresult vgh_cuTexRefSetArray(CUtexref t, CUarray array, unsigned int flags)
{
	return bound(vgw_cuTexRefSetArray(t, array, flags), t, VG_TEXREF, array, NULL);
}

CUresult vgh_cuTexRefSetMipmappedArray(CUtexref t, CUmipmappedArray mipmap, unsigned int flags)
{
	return bound(vgw_cuTexRefSetMipmappedArray(t, mipmap, flags), t, VG_TEXREF, NULL, mipmap);
}

CUresult vgh_cuTexRefSetAddress_v2(size_t *offset, CUtexref t, CUdeviceptr p, size_t bytes)
{
	return bound(vgw_cuTexRefSetAddress_v2(offset, t, p, bytes), t, VG_TEXREF, NULL, NULL);
}

CUresult vgh_cuTexRefSetAddress2D_v3(CUtexref t, const CUDA_ARRAY_DESCRIPTOR *d, CUdeviceptr p,
				     size_t pitch)
{
	return bound(vgw_cuTexRefSetAddress2D_v3(t, d, p, pitch), t, VG_TEXREF, NULL, NULL);
}

CUresult vgh_cuSurfRefSetArray(CUsurfref s, CUarray array, unsigned int flags)
{
	return bound(vgw_cuSurfRefSetArray(s, array, flags), s, VG_SURFREF, array, NULL);
}

/* One that has been destroyed since is none. */
static CUresult bound_to(const void *reference, enum vg_kind kind, int which,
			 enum vg_kind wanted, void **out)
{
	struct vg_object *o = vg_object_get(reference, kind);

	if (!o)
		return vg_object_wrong(reference, kind);
	if (!out || !vg_object_get((void *)(uintptr_t)o->value[which], wanted))
		return CUDA_ERROR_INVALID_VALUE;
	*out = (void *)(uintptr_t)o->value[which];
	return CUDA_SUCCESS;
}

CUresult vgh_cuTexRefGetArray(CUarray *out, CUtexref t)
{
	return bound_to(t, VG_TEXREF, 0, VG_ARRAY, (void **)out);
}

CUresult vgh_cuTexRefGetMipmappedArray(CUmipmappedArray *out, CUtexref t)
{
	return bound_to(t, VG_TEXREF, 1, VG_MIPMAP, (void **)out);
}

CUresult vgh_cuSurfRefGetArray(CUarray *out, CUsurfref s)
{
	return bound_to(s, VG_SURFREF, 0, VG_ARRAY, (void **)out);
}

/* A module's references are there for each of its launches, whether said so or not. */
CUresult vgh_cuParamSetTexRef(CUfunction f, int unit, CUtexref t)
{
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (unit != CU_PARAM_TR_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	return vg_object_get(f, VG_FUNCTION) && vg_object_get(t, VG_TEXREF) ?
	       CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}
