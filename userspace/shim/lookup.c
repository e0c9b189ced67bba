// SPDX-License-Identifier: Apache-2.0
/* Tables that are looked up: symbols by name and version, result codes. */
#include <limits.h>
#include <stdlib.h>

#include "shim.h"
#include "shim_calls.h"

static const struct vg_error *find_error(CUresult code)
{
	for (unsigned int i = 0; i < vg_error_count; i++)
		if (vg_errors[i].code == (int)code)
			return &vg_errors[i];
	return NULL;
}

CUresult vgh_cuGetErrorName(CUresult code, const char **text)
{
	const struct vg_error *e = find_error(code);

	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	*text = e ? e->name : NULL;
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuGetErrorString(CUresult code, const char **text)
{
	const struct vg_error *e = find_error(code);

	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	*text = e ? e->text : NULL;
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* The first entry of a name, or the table's end. */
static unsigned int first(const char *name)
{
	unsigned int lo = 0, hi = vg_symbol_count;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (strcmp(vg_symbols[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * The newest variant not above the version asked for; its per-thread-stream
 * form if that is asked for and there is one.  A driver that reports an older
 * version than ours has no newer symbols.
 */
static CUdriverProcAddressQueryResult find_symbol(const char *name, int version, cuuint64_t flags,
						  void **fn)
{
	const struct vg_symbol *legacy = NULL, *per_thread = NULL, *s;
	bool seen = false;

	if (version < 0)	/* as the driver has it: whatever there is */
		version = INT_MAX;
	for (unsigned int i = first(name); i < vg_symbol_count; i++) {
		s = &vg_symbols[i];
		if (strcmp(s->name, name))
			break;
		seen = true;
		if (s->version > version || s->version > vg_driver_version())
			continue;
		if (s->flag && (!per_thread || s->version > per_thread->version))
			per_thread = s;
		else if (!s->flag && (!legacy || s->version > legacy->version))
			legacy = s;
	}
	s = legacy;
	if ((flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) && per_thread)
		s = per_thread;
	*fn = s ? s->function : NULL;
	if (s)
		return CU_GET_PROC_ADDRESS_SUCCESS;
	return seen ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT :
		      CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
}

#define FLAGS_ALL (CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)

CUresult vgh_cuGetProcAddress_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
				 CUdriverProcAddressQueryResult *status)
{
	CUdriverProcAddressQueryResult found;

	if (!symbol || !pfn || flags & ~(cuuint64_t)FLAGS_ALL)
		return CUDA_ERROR_INVALID_VALUE;
	found = find_symbol(symbol, version, flags, pfn);
	if (status)
		*status = found;
	return CUDA_SUCCESS;
}

CUresult vgh_cuGetProcAddress(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
	CUdriverProcAddressQueryResult status;
	void *found;
	CUresult r;

	if (!pfn)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgh_cuGetProcAddress_v2(symbol, &found, version, flags, &status);
	if (r)
		return r;
	if (status != CU_GET_PROC_ADDRESS_SUCCESS)
		return CUDA_ERROR_NOT_FOUND;
	*pfn = found;
	return CUDA_SUCCESS;
}

CUresult vgh_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	const char *e = getenv("CUDA_MODULE_LOADING");

	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	/* What the driver does when nothing is said, since CUDA 12.2. */
	*mode = e && !strcasecmp(e, "EAGER") ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
	return CUDA_SUCCESS;
}
