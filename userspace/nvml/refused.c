// SPDX-License-Identifier: Apache-2.0
/* The functions that answer NVML_ERROR_NOT_SUPPORTED (refused.def). */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "host.h"

nvmlReturn_t nvml_refuse(const char *name, _Atomic bool *said)
{
	if (getenv("VGPU_DEBUG") && !atomic_exchange(said, true))
		fprintf(stderr, "vgpu: NVML: %s: not supported\n", name);
	return NVML_ERROR_NOT_SUPPORTED;
}

/* What follows the device, or all that there is, is not looked at. */
#define REFUSED(name) \
	FN(name, void) \
	{ \
		static _Atomic bool said; \
		nvmlReturn_t r = host_ready(); \
		return r ? r : nvml_refuse(#name, &said); \
	}
#define REFUSED_DEVICE(name) \
	FN(name, nvmlDevice_t device) \
	{ \
		static _Atomic bool said; \
		nvmlReturn_t r = nvml_asked(device, device); \
		return r ? r : nvml_refuse(#name, &said); \
	}
#include "refused.def"
