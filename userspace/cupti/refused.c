// SPDX-License-Identifier: Apache-2.0
/* The functions that say that they are not supported; their arguments are not looked at. */
#include "cupti_internal.h"

#define OFFERED(name)
#define REFUSED(name) \
	CUptiResult name(void); \
	VG_EXPORT CUptiResult name(void) { return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED); }
/* NVTX calls these if told to, and takes 0 for "do without". */
#define NVTX(name) \
	int name(void); \
	VG_EXPORT int name(void) { return 0; }
#include "functions.def"
