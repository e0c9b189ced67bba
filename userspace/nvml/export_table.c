// SPDX-License-Identifier: Apache-2.0
/*
 * nvmlInternalGetExportTable(): nvidia-smi asks for one table by id, and does not start
 * without it.  docs/export-tables.md says what is known of its slots, and how it was
 * learnt; the others refuse, which nvidia-smi takes for "N/A".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define SLOTS 512

/* One of a list of processes, as nvidia-smi reads it. */
struct entry {
	unsigned int pid;
	unsigned long long memory;
	unsigned int gpu_instance, compute_instance;
	unsigned long long protected_memory;
	char name[4096];
};

_Static_assert(sizeof(struct entry) == 4128, "as observed");

static nvmlReturn_t refuse(unsigned int slot)
{
	static _Atomic bool said[SLOTS];
	char name[32];

	snprintf(name, sizeof(name), "export table, slot %u", slot);
	return nvml_refuse(name, &said[slot]);
}

/* A line for a log, of which there is none. */
static void log_line(const char *format, ...)
{
	(void)format;
}

/* Whether a device can be monitored over time at all. */
static nvmlReturn_t monitored(nvmlDevice_t device, unsigned int *is)
{
	nvmlReturn_t r = nvml_asked(device, is);

	if (!r)
		*is = 1;
	return r;
}

static nvmlReturn_t compute_processes(nvmlDevice_t device, unsigned int *count, struct entry *out)
{
	unsigned int room;
	vgpu_processes list;
	nvmlReturn_t r = nvml_asked(device, count);

	if (!r)
		r = host_processes(device, &list);
	if (r)
		return r;
	room = *count;
	*count = list.count;
	if (list.count > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	if (list.count && !out)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < list.count; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		out[i].pid = list.pid[i];
		out[i].memory = list.memory[i];
		out[i].gpu_instance = out[i].compute_instance = 0xffffffff;
		out[i].protected_memory = (unsigned long long)NVML_VALUE_NOT_AVAILABLE;
		nvml_process_name(list.pid[i], out[i].name, sizeof(out[i].name));
	}
	return NVML_SUCCESS;
}

static nvmlReturn_t no_processes(nvmlDevice_t device, unsigned int *count, struct entry *out)
{
	nvmlReturn_t r = nvml_asked(device, count);

	(void)out;
	if (!r)
		*count = 0;
	return r;
}

/* A function for each slot, so that it can tell its number. */
#define ONE(n)	static nvmlReturn_t slot_##n(void) { return refuse(0##n); }
#define EIGHT(n) ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7)
#define ALL(n)	EIGHT(n##0) EIGHT(n##1) EIGHT(n##2) EIGHT(n##3) EIGHT(n##4) EIGHT(n##5) \
		EIGHT(n##6) EIGHT(n##7)
#define NAME(n)	(void *)slot_##n
#define NAME_8(n) NAME(n##0), NAME(n##1), NAME(n##2), NAME(n##3), NAME(n##4), NAME(n##5), \
		NAME(n##6), NAME(n##7)
#define NAME_64(n) NAME_8(n##0), NAME_8(n##1), NAME_8(n##2), NAME_8(n##3), NAME_8(n##4), \
		NAME_8(n##5), NAME_8(n##6), NAME_8(n##7)

/* In octal: 0000 to 0777. */
ALL(0) ALL(1) ALL(2) ALL(3) ALL(4) ALL(5) ALL(6) ALL(7)

static void *table[SLOTS] = {
	NAME_64(0), NAME_64(1), NAME_64(2), NAME_64(3),
	NAME_64(4), NAME_64(5), NAME_64(6), NAME_64(7),
};

__attribute__((constructor)) static void fill(void)
{
	table[0] = (void *)sizeof(table);
	table[26] = (void *)log_line;
	table[72] = (void *)monitored;
	table[213] = (void *)compute_processes;
	table[214] = (void *)no_processes;
	table[215] = (void *)no_processes;
}

FN(nvmlInternalGetExportTable, const void **out, const unsigned char *id)
{
	static const unsigned char known[16] = {
		0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
		0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4,
	};

	if (!out || !id)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (memcmp(id, known, sizeof(known))) {
		if (getenv("VGPU_DEBUG"))
			fprintf(stderr, "vgpu: NVML: no export table %02x%02x%02x%02x...\n", id[0],
				id[1], id[2], id[3]);
		return NVML_ERROR_NOT_FOUND;
	}
	*out = table;
	return NVML_SUCCESS;
}
