// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORDS_MAX 6

/* A variable has some bits of the word: 0 if unset, or what its value is counted from 1. */
static const struct variable {
	const char *name;
	uint32_t shift, bits;
	uint32_t most;			/* it is a number from 1 to this; 0: a word */
	const char *words[WORDS_MAX];	/* of those in which it is not as if unset */
} variables[] = {
	{ "CUDA_DEVICE_MAX_CONNECTIONS", 0, 6, .most = 32 },
	{ "CUDA_DEVICE_MAX_COPY_CONNECTIONS", 6, 6, .most = 32 },
	{ "CUDA_FORCE_PTX_JIT", 12, 1, .words = { "1" } },
	{ "CUDA_DISABLE_PTX_JIT", 13, 1, .words = { "1" } },
	{ "CUDA_FORCE_JIT", 14, 1, .words = { "1" } },
	{ "CUDA_DISABLE_JIT", 15, 1, .words = { "1" } },
	{ "CUDA_MODULE_LOADING", 16, 1, .words = { "EAGER" } },
	{ "CUDA_MODULE_DATA_LOADING", 17, 2, .words = { "EAGER", "LAZY" } },
	{ "CUDA_GRAPHS_USE_NODE_PRIORITY", 19, 1, .words = { "1" } },
	{ "CUDA_SCALE_LAUNCH_QUEUES", 20, 3, .words = { "0.25x", "0.5x", "2x", "4x" } },
	{ "CUDA_DEVICE_DEFAULT_PERSISTING_L2_CACHE_PERCENTAGE_LIMIT", 23, 7, .most = 100 },
};

#define VARIABLES (sizeof(variables) / sizeof(variables[0]))

_Static_assert(VARIABLES <= VG_SETTINGS_MAX, "each has a place");

static uint32_t value_of(const struct variable *v, const char *text)
{
	char *end;
	long n;

	if (v->most) {
		n = strtol(text, &end, 10);
		return end != text && !*end && n >= 1 && n <= (long)v->most ? n : 0;
	}
	/* The driver takes small letters, too. */
	for (uint32_t i = 0; i < WORDS_MAX && v->words[i]; i++)
		if (!strcasecmp(text, v->words[i]))
			return i + 1;
	return 0;
}

static uint32_t field(const struct variable *v, uint64_t settings)
{
	return (uint32_t)settings >> v->shift & ((1u << v->bits) - 1);
}

uint64_t vg_settings_read(void)
{
	uint64_t settings = 0;

	for (size_t i = 0; i < VARIABLES; i++) {
		const char *text = getenv(variables[i].name);

		if (text)
			settings |= (uint64_t)value_of(&variables[i], text) << variables[i].shift;
	}
	return settings;
}

static bool known(const struct variable *v, uint32_t value)
{
	return v->most ? value <= v->most :
	       !value || (value <= WORDS_MAX && v->words[value - 1]);
}

/* -- devices */

#define DEVICES_SHIFT	32
#define DEVICE_BITS	4
#define DEVICE_MASK	((1u << DEVICE_BITS) - 1)

static uint32_t device_at(uint64_t settings, int i)
{
	return settings >> (DEVICES_SHIFT + i * DEVICE_BITS) & DEVICE_MASK;
}

uint64_t vg_settings_devices(const int *device, int count)
{
	uint64_t settings = 0;

	if (count > VG_SETTINGS_DEVICES)
		return 0;
	for (int i = 0; i < count; i++) {
		if (device[i] < 0 || device[i] >= (int)DEVICE_MASK)
			return 0;
		settings |= (uint64_t)(device[i] + 1) << (DEVICES_SHIFT + i * DEVICE_BITS);
	}
	return settings;
}

int vg_settings_list(uint64_t settings, int device[VG_SETTINGS_DEVICES])
{
	int n = 0;

	while (n < VG_SETTINGS_DEVICES && device_at(settings, n)) {
		device[n] = device_at(settings, n) - 1;
		n++;
	}
	return n;
}

static bool valid_list(uint64_t settings)
{
	int device[VG_SETTINGS_DEVICES], n = vg_settings_list(settings, device);
	uint32_t seen = 0;

	for (int i = 0; i < n; i++) {
		if (seen & 1u << device[i])
			return false;
		seen |= 1u << device[i];
	}
	return vg_settings_devices(device, n) == settings >> DEVICES_SHIFT << DEVICES_SHIFT;
}

/* -- the whole word */

bool vg_settings_valid(uint64_t settings)
{
	uint32_t used = 0;

	for (size_t i = 0; i < VARIABLES; i++) {
		if (!known(&variables[i], field(&variables[i], settings)))
			return false;
		used |= ((1u << variables[i].bits) - 1) << variables[i].shift;
	}
	return !((uint32_t)settings & ~used) && valid_list(settings);
}

unsigned int vg_settings_write(uint64_t settings, char text[VG_SETTINGS_MAX][VG_SETTING_BYTES])
{
	unsigned int n = 0;

	for (size_t i = 0; i < VARIABLES; i++) {
		const struct variable *v = &variables[i];
		uint32_t value = field(v, settings);

		if (!value)
			continue;
		if (v->most)
			snprintf(text[n++], VG_SETTING_BYTES, "%s=%u", v->name, value);
		else
			snprintf(text[n++], VG_SETTING_BYTES, "%s=%s", v->name, v->words[value - 1]);
	}
	return n;
}
