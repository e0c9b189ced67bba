// SPDX-License-Identifier: Apache-2.0
/* Fields by number: each has a result of its own. */
#include <time.h>

#include "host.h"

#define FIELD_LAST 511		/* of questions.def */

FN(nvmlDeviceGetFieldValues, nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
	nvmlReturn_t r = nvml_asked(device, values);
	struct timespec now;

	if (r || count <= 0)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	clock_gettime(CLOCK_REALTIME, &now);
	for (int i = 0; i < count; i++) {
		nvmlFieldValue_t *v = &values[i];
		vgpu_answer a;

		v->nvmlReturn = host_ask(device, ASK_nvmlDeviceGetFieldValues, v->fieldId,
					 v->scopeId, 0, &a);
		/* A number that no field has is refused on its way. */
		if (v->nvmlReturn == NVML_ERROR_INVALID_ARGUMENT && v->fieldId > FIELD_LAST)
			v->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
		v->timestamp = now.tv_sec * 1000000LL + now.tv_nsec / 1000;
		v->latencyUsec = 0;
		if (v->nvmlReturn)
			continue;
		v->valueType = a.type;
		v->value.ullVal = a.value[0];
	}
	return NVML_SUCCESS;
}
