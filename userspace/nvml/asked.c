// SPDX-License-Identifier: Apache-2.0
/* The functions that the host's NVML answers (questions.def), by the shape of each. */
#include <stddef.h>

#include "host.h"

static nvmlReturn_t u32(nvmlDevice_t device, unsigned int question, unsigned int first,
			unsigned int second, unsigned int *out)
{
	vgpu_answer a;
	nvmlReturn_t r = nvml_asked(device, out);

	if (!r)
		r = host_ask(device, question, first, second, 0, &a);
	if (!r)
		*out = (unsigned int)a.value[0];
	return r;
}

static nvmlReturn_t u32_u32(nvmlDevice_t device, unsigned int question, unsigned int *one,
			    unsigned int *two)
{
	vgpu_answer a;
	nvmlReturn_t r = nvml_asked(device, one);

	if (!r && !two)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (!r)
		r = host_ask(device, question, 0, 0, 0, &a);
	if (r)
		return r;
	*one = (unsigned int)a.value[0];
	*two = (unsigned int)a.value[1];
	return NVML_SUCCESS;
}

static nvmlReturn_t u64(nvmlDevice_t device, unsigned int question, unsigned int first,
			unsigned int second, unsigned int third, unsigned long long *out)
{
	vgpu_answer a;
	nvmlReturn_t r = nvml_asked(device, out);

	if (!r)
		r = host_ask(device, question, first, second, third, &a);
	if (!r)
		*out = a.value[0];
	return r;
}

static nvmlReturn_t text(nvmlDevice_t device, unsigned int question, char *out, unsigned int room)
{
	vgpu_answer a;
	nvmlReturn_t r = nvml_asked(device, out);

	if (!r)
		r = host_ask(device, question, 0, 0, 0, &a);
	return r ? r : nvml_text(out, room, a.text);
}

#define DEFINE_TEXT(id, name) \
	FN(name, nvmlDevice_t d, char *out, unsigned int room) \
	{ return text(d, id, out, room); }
#define DEFINE_U32(id, name) \
	FN(name, nvmlDevice_t d, unsigned int *out) { return u32(d, id, 0, 0, out); }
#define DEFINE_U32_U32(id, name) \
	FN(name, nvmlDevice_t d, unsigned int *one, unsigned int *two) \
	{ return u32_u32(d, id, one, two); }
#define DEFINE_U64(id, name) \
	FN(name, nvmlDevice_t d, unsigned long long *out) { return u64(d, id, 0, 0, 0, out); }
#define DEFINE_IN_U32(id, name) \
	FN(name, nvmlDevice_t d, unsigned int a, unsigned int *out) \
	{ return u32(d, id, a, 0, out); }
#define DEFINE_IN_IN_U32(id, name) \
	FN(name, nvmlDevice_t d, unsigned int a, unsigned int b, unsigned int *out) \
	{ return u32(d, id, a, b, out); }
#define DEFINE_IN_IN_U64(id, name) \
	FN(name, nvmlDevice_t d, unsigned int a, unsigned int b, unsigned long long *out) \
	{ return u64(d, id, a, b, 0, out); }
#define DEFINE_IN_IN_IN_U64(id, name) \
	FN(name, nvmlDevice_t d, unsigned int a, unsigned int b, unsigned int c, \
	   unsigned long long *out) \
	{ return u64(d, id, a, b, c, out); }

#define INQUIRY(...)
#define QUESTION(id, name, shape, ...) DEFINE_##shape(id, name)
#include "questions.def"

/* Its old name. */
SAME(nvmlDeviceGetPowerState, nvmlDeviceGetPerformanceState, nvmlDevice_t d, unsigned int *out)

/* -- by hand */

FN(nvmlDeviceGetUtilizationRates, nvmlDevice_t device, nvmlUtilization_t *utilization)
{
	vgpu_answer a;
	nvmlReturn_t r = nvml_asked(device, utilization);

	if (!r)
		r = host_ask(device, ASK_nvmlDeviceGetUtilizationRates, 0, 0, 0, &a);
	if (!r)
		*utilization = (nvmlUtilization_t){ (unsigned int)a.value[0],
						    (unsigned int)a.value[1] };
	return r;
}

/* nvidia-smi draws no topology of a device that has none. */
FN(nvmlDeviceGetBrand, nvmlDevice_t device, nvmlBrandType_t *type)
{
	nvmlReturn_t r = u32(device, ASK_nvmlDeviceGetBrand, 0, 0, type);

	if (r != NVML_ERROR_NOT_SUPPORTED)
		return r;
	*type = NVML_BRAND_UNKNOWN;
	return NVML_SUCCESS;
}

FN(nvmlDeviceGetTemperatureV, nvmlDevice_t device, nvmlTemperature_t *temperature)
{
	vgpu_answer a;
	nvmlReturn_t r = nvml_asked(device, temperature);

	if (r)
		return r;
	if (temperature->version != nvmlTemperature_v1)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	r = host_ask(device, ASK_nvmlDeviceGetTemperature, temperature->sensorType, 0, 0, &a);
	if (!r)
		temperature->temperature = (int)a.value[0];
	return r;
}
