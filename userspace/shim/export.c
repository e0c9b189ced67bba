// SPDX-License-Identifier: Apache-2.0
/*
 * cuGetExportTable(): the tables of common/export_tables.c, and those that only a guest has:
 * what NVRTC has compiled before, and the profiler's.
 */
#include <stdlib.h>
#include <string.h>

#include "common/export_tables.h"
#include "compile_cache.h"
#include "profile.h"
#include "shim.h"
#include "shim_calls.h"

CUresult vg_export_refuse(const char *name, const char *why)
{
	return vg_refuse(name, why);
}

CUresult vg_export_primary(CUcontext *ctx, CUdevice dev)
{
	struct vg_device *d;
	CUresult r = vg_ready();

	if (r)
		return r;
	d = vg_device(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	*ctx = (CUcontext)d->primary;
	return CUDA_SUCCESS;
}

const void *vg_export_owner(CUcontext ctx)
{
	struct vg_object *o;

	if (!ctx)
		return vg_current();
	o = vg_object_get(ctx, VG_CONTEXT);
	return o ? vg_context_of(o) : NULL;
}

/* -- what NVRTC has compiled before */

static CUresult cache_key(void **key, uint32_t kind, const void *source, size_t bytes,
			  const char *options, const char *host, const char *built, uint32_t arch)
{
	const struct vg_compiled c = { kind, arch, source, bytes, options, host, built };

	if (!key || !source)
		return CUDA_ERROR_INVALID_VALUE;
	*key = vg_cache_key(&c);
	return *key ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult cache_key_free(void *key)
{
	free(key);
	return CUDA_SUCCESS;
}

static CUresult cache_find(void *key, void *zero, void **data, uint32_t *bytes)
{
	(void)zero;
	return key && data && bytes ? vg_cache_find(key, data, bytes) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult cache_add(void *key, void *zero, const void *data, uint32_t bytes)
{
	(void)zero;
	return key && data ? vg_cache_add(key, data, bytes) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult cache_data_free(void *data)
{
	free(data);
	return CUDA_SUCCESS;
}

static CUresult cache_unknown(void)
{
	return vg_refuse("an export table's function", "nothing is known of it");
}

static void *const cache_table[7] = {
	(void *)sizeof(cache_table), (void *)cache_key, (void *)cache_key_free,
	(void *)cache_find, (void *)cache_add, (void *)cache_unknown, (void *)cache_data_free,
};

static const struct {
	uint8_t id[16];
	const void *table;
} own[] = {
	{ { 0xda, 0x91, 0x51, 0xd3, 0x3a, 0xe6, 0xcc, 0x41, 0xa5, 0xc0, 0x4f, 0x26, 0xd5, 0x33,
	    0xe3, 0x28 }, cache_table },
	/* Ours, for the guest's libcupti. */
	{ VG_PROFILE_ID, &vg_profile_table },
};

CUresult vgh_cuGetExportTable(const void **table, const CUuuid *id)
{
	if (!table || !id)
		return CUDA_ERROR_INVALID_VALUE;
	*table = NULL;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && !*table; i++)
		if (!memcmp(own[i].id, id, sizeof(own[i].id)))
			*table = own[i].table;
	if (!*table)
		*table = vg_export_table(id);
	return *table ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
