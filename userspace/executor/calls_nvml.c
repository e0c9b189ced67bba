// SPDX-License-Identifier: Apache-2.0
/*
 * What the host's NVML knows of a device that a guest sees: the questions of
 * nvml/questions.def, and no others.  The host may have no NVML; then nothing is known.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

#include "nvml/nvml.h"

enum shape { SYSTEM_TEXT = 1, TEXT, U32, U32_U32, U64, IN_U32, IN_IN_U32, IN_IN_U64, IN_IN_IN_U64,
	     PAIR, PCI, FIELD, WITH_ITSELF };

struct question {
	const char *name;
	enum shape shape;
	unsigned int most[3];		/* of what goes in */
};

static const struct question questions[] = {
#define QUESTION(id, name, shape, a, b, c) [id] = { #name, shape, { a, b, c } },
#include "nvml/questions.def"
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

/* Fields that are of the device as a whole, and of no other guest. */
static const unsigned short fields[] = {
	82, 83,				/* memory's temperature, energy */
	94, 95,				/* replays on its link */
	185, 186, 187, 188, 189, 190,	/* power: average, now, limits */
	191, 192,			/* energy, the limit that was asked for */
	193, 194, 195, 196,		/* how far it is from being too hot */
};

static void *functions[QUESTIONS];
static nvmlReturn_t (*by_uuid)(const char *uuid, void **device);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	nvmlReturn_t (*init)(void);
	void *p;

	/* Whoever asks here is a monitor, which has no context: it is not to hold one. */
	vg_x_warm_drop();
	if (!library)
		return;
	p = dlsym(library, "nvmlInit_v2");
	memcpy(&init, &p, sizeof(p));
	if (!init || init())
		return;
	for (size_t i = 0; i < QUESTIONS; i++)
		if (questions[i].name)
			functions[i] = dlsym(library, questions[i].name);
	p = dlsym(library, "nvmlDeviceGetHandleByUUID");
	memcpy(&by_uuid, &p, sizeof(p));
}

/* The device of NVML's that is CUDA's, or NULL. */
static void *find(int ordinal)
{
	void *device = NULL;
	char text[64] = "GPU-";
	char *p = text + 4;
	CUdevice dev;
	CUuuid uuid;

	if (!cu.cuDeviceGetUuid_v2 || !cu.cuDeviceGet || cu.cuDeviceGet(&dev, ordinal) ||
	    cu.cuDeviceGetUuid_v2(&uuid, dev))
		return NULL;
	pthread_once(&once, load);
	if (!by_uuid)
		return NULL;
	for (int i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     (unsigned char)uuid.bytes[i]);
	return by_uuid(text, &device) ? NULL : device;
}

static nvmlReturn_t ask_pci(void *function, void *device, vgpu_answer *a)
{
	nvmlReturn_t (*f)(void *, nvmlPciInfo_t *);
	nvmlPciInfo_t pci = { .domain = 0 };
	nvmlReturn_t r;

	memcpy(&f, &function, sizeof(f));
	r = f(device, &pci);
	a->value[0] = pci.pciDeviceId;
	a->value[1] = pci.pciSubSystemId;
	return r;
}

static nvmlReturn_t ask_field(void *function, void *device, unsigned int id, unsigned int scope,
			      vgpu_answer *a)
{
	nvmlReturn_t (*f)(void *, int, nvmlFieldValue_t *);
	nvmlFieldValue_t field = { .fieldId = id, .scopeId = scope };
	bool known = false;
	nvmlReturn_t r;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		known |= fields[i] == id;
	if (!known)
		return NVML_ERROR_NOT_SUPPORTED;
	memcpy(&f, &function, sizeof(f));
	r = f(device, 1, &field);
	if (r)
		return r;
	a->type = field.valueType;
	a->value[0] = field.value.ullVal;
	return field.nvmlReturn;
}

/* Text and two words of answers, by the shape of the function. */
static nvmlReturn_t ask(unsigned int question, void *device, const unsigned int *in,
			vgpu_answer *a)
{
	unsigned long long u64 = 0;
	unsigned int u32[2] = { 0, 0 };
	nvmlReturn_t r = NVML_ERROR_NOT_SUPPORTED;
	union {
		void *p;
		nvmlReturn_t (*system_text)(char *, unsigned int);
		nvmlReturn_t (*text)(void *, char *, unsigned int);
		nvmlReturn_t (*u32)(void *, unsigned int *);
		nvmlReturn_t (*u32_u32)(void *, unsigned int *, unsigned int *);
		nvmlReturn_t (*u64)(void *, unsigned long long *);
		nvmlReturn_t (*in_u32)(void *, unsigned int, unsigned int *);
		nvmlReturn_t (*with_itself)(void *, void *, unsigned int, unsigned int *);
		nvmlReturn_t (*in_in_u32)(void *, unsigned int, unsigned int, unsigned int *);
		nvmlReturn_t (*in_in_u64)(void *, unsigned int, unsigned int, unsigned long long *);
		nvmlReturn_t (*in_in_in_u64)(void *, unsigned int, unsigned int, unsigned int,
					     unsigned long long *);
	} f = { functions[question] };

	if (!f.p)
		return r;
	switch (questions[question].shape) {
	case SYSTEM_TEXT:
		r = f.system_text(a->text, sizeof(a->text));
		break;
	case TEXT:
		r = f.text(device, a->text, sizeof(a->text));
		break;
	case U32:
	case PAIR:	/* a struct of two */
		r = f.u32(device, u32);
		break;
	case U32_U32:
		r = f.u32_u32(device, &u32[0], &u32[1]);
		break;
	case U64:
		r = f.u64(device, &u64);
		break;
	case IN_U32:
		r = f.in_u32(device, in[0], u32);
		break;
	case WITH_ITSELF:
		r = f.with_itself(device, device, in[0], u32);
		break;
	case IN_IN_U32:
		r = f.in_in_u32(device, in[0], in[1], u32);
		break;
	case IN_IN_U64:
		r = f.in_in_u64(device, in[0], in[1], &u64);
		break;
	case IN_IN_IN_U64:
		r = f.in_in_in_u64(device, in[0], in[1], in[2], &u64);
		break;
	case PCI:
		return ask_pci(f.p, device, a);
	case FIELD:
		return ask_field(f.p, device, in[0], in[1], a);
	}
	a->text[sizeof(a->text) - 1] = '\0';
	a->value[0] = u64 | u32[0];
	a->value[1] = u32[1];
	return r;
}

CUresult vge_vgpu_ask(struct vg_exec *x, const struct vg_req *rq, int ordinal,
		      unsigned int question, unsigned int first, unsigned int second,
		      unsigned int third, vgpu_answer *said)
{
	const unsigned int in[3] = { first, second, third };
	void *device;

	(void)x;
	(void)rq;
	if (question >= QUESTIONS || !questions[question].name)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (int i = 0; i < 3; i++)
		if (in[i] > questions[question].most[i])
			return CUDA_ERROR_INVALID_VALUE;
	device = find(ordinal);
	said->result = device ? ask(question, device, in, said) : NVML_ERROR_NOT_SUPPORTED;
	return CUDA_SUCCESS;
}
