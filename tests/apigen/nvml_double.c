// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for the host's NVML: each function says which it was and what it was given.
 * Two fail, to see that a failure comes through as it is.
 */
#include <stdio.h>
#include <string.h>

#include "nvml/nvml.h"

#define ANSWER(id, a, b, c)	((id) * 10000u + (a) * 100 + (b) * 10 + (c))

static int the_device;

static nvmlReturn_t result(void *device, unsigned int id)
{
	if (device != &the_device)
		return NVML_ERROR_INVALID_ARGUMENT;
	return id == 6 ? NVML_ERROR_NO_PERMISSION : id == 29 ? NVML_ERROR_NOT_SUPPORTED :
							       NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlInit_v2(void);
NVML_API nvmlReturn_t nvmlInit_v2(void)
{
	return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, void **device);
NVML_API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
	*device = &the_device;
	return strlen(uuid) == 40 && !strncmp(uuid, "GPU-", 4) ? NVML_SUCCESS :
								 NVML_ERROR_NOT_FOUND;
}

#define DEFINE_SYSTEM_TEXT(id, name) FN(name, char *out, unsigned int room) \
	{ snprintf(out, room, "580.0.%u", id); return NVML_SUCCESS; }
#define DEFINE_TEXT(id, name) FN(name, void *d, char *out, unsigned int room) \
	{ snprintf(out, room, "text %u", id); return result(d, id); }
#define DEFINE_U32(id, name) FN(name, void *d, unsigned int *out) \
	{ *out = ANSWER(id, 0, 0, 0); return result(d, id); }
#define DEFINE_U32_U32(id, name) FN(name, void *d, unsigned int *one, unsigned int *two) \
	{ *one = ANSWER(id, 0, 0, 0); *two = ~*one; return result(d, id); }
#define DEFINE_PAIR(id, name) FN(name, void *d, nvmlUtilization_t *u) \
	{ u->gpu = ANSWER(id, 0, 0, 0); u->memory = ~u->gpu; return result(d, id); }
#define DEFINE_U64(id, name) FN(name, void *d, unsigned long long *out) \
	{ *out = (unsigned long long)ANSWER(id, 0, 0, 0) << 32 | 7; return result(d, id); }
#define DEFINE_IN_U32(id, name) FN(name, void *d, unsigned int a, unsigned int *out) \
	{ *out = ANSWER(id, a, 0, 0); return result(d, id); }
#define DEFINE_WITH_ITSELF(id, name) \
	FN(name, void *d, void *same, unsigned int a, unsigned int *out) \
	{ *out = ANSWER(id, a, 0, 0); return d == same ? result(d, id) : 2; }
#define DEFINE_IN_IN_U32(id, name) \
	FN(name, void *d, unsigned int a, unsigned int b, unsigned int *out) \
	{ *out = ANSWER(id, a, b, 0); return result(d, id); }
#define DEFINE_IN_IN_U64(id, name) \
	FN(name, void *d, unsigned int a, unsigned int b, unsigned long long *out) \
	{ *out = (unsigned long long)ANSWER(id, a, b, 0) << 32 | 7; return result(d, id); }
#define DEFINE_IN_IN_IN_U64(id, name) \
	FN(name, void *d, unsigned int a, unsigned int b, unsigned int c, unsigned long long *out) \
	{ *out = (unsigned long long)ANSWER(id, a, b, c) << 32 | 7; return result(d, id); }
#define DEFINE_PCI(id, name) FN(name, void *d, nvmlPciInfo_t *pci) \
	{ \
		*pci = (nvmlPciInfo_t){ .bus = 0xee, .pciDeviceId = 0x233010de, \
					.pciSubSystemId = 0x16c110de }; \
		return result(d, id); \
	}
/* Field 186 is known, 187 is not supported. */
#define DEFINE_FIELD(id, name) FN(name, void *d, int count, nvmlFieldValue_t *v) \
	{ \
		v->valueType = 1; \
		v->value.ullVal = v->fieldId * 10 + v->scopeId; \
		v->nvmlReturn = v->fieldId == 187 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS; \
		return count == 1 ? result(d, id) : NVML_ERROR_INVALID_ARGUMENT; \
	}

#define QUESTION(id, name, shape, ...) DEFINE_##shape(id##u, name)
#include "nvml/questions.def"
