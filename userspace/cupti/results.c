// SPDX-License-Identifier: Apache-2.0
/* Result codes, and the version. */
#include "cupti_internal.h"

static __thread CUptiResult last;

CUptiResult vg_cupti_said(CUptiResult r)
{
	if (r)
		last = r;
	return r;
}

static const char *name_of(CUptiResult r)
{
#define RESULT(number, name) case name: return #name;
	switch (r) {
#include "results.def"
	}
#undef RESULT
	return NULL;
}

VG_EXPORT CUptiResult cuptiGetResultString(CUptiResult r, const char **text)
{
	const char *name = name_of(r);

	if (!text || !name)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*text = name;
	return CUPTI_SUCCESS;
}

/* NVIDIA's are sentences; here they are the names. */
VG_EXPORT CUptiResult cuptiGetErrorMessage(CUptiResult r, const char **text)
{
	return cuptiGetResultString(r, text);
}

VG_EXPORT CUptiResult cuptiGetLastError(void)
{
	CUptiResult r = last;

	last = CUPTI_SUCCESS;
	return r;
}

VG_EXPORT CUptiResult cuptiGetVersion(uint32_t *version)
{
	if (!version)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*version = VG_CUPTI_VERSION;
	return CUPTI_SUCCESS;
}
