// SPDX-License-Identifier: Apache-2.0
/*
 * The environment of an executor.  The CUDA driver reads its variables there, and they are to
 * be the guest program's and not those of whoever started the mediator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings.h"
#include "mediator.h"

/* The operator chooses devices and the cache of compiled code with these. */
static const char *const kept[] = {
	"CUDA_VISIBLE_DEVICES=", "CUDA_DEVICE_ORDER=", "CUDA_CACHE_PATH=",
	"CUDA_CACHE_MAXSIZE=", "CUDA_CACHE_DISABLE=", "CUDA_MPS_",
};

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool goes(const char *variable)
{
	if (!starts(variable, "CUDA_"))
		return true;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (starts(variable, kept[i]))
			return true;
	return false;
}

#define VISIBLE "CUDA_VISIBLE_DEVICES="

/* Word number n of a list with commas, and its length; NULL if there are fewer. */
static const char *word(const char *list, int n, size_t *length)
{
	for (; n; n--) {
		list = strchr(list, ',');
		if (!list)
			return NULL;
		list++;
	}
	*length = strcspn(list, ",");
	return list;
}

static size_t visible_room(const char *all)
{
	return sizeof(VISIBLE) + VG_SETTINGS_DEVICES * (all ? strlen(all) + 1 : 4);
}

/*
 * Those of the devices in `all` that the program wants to see, in its order; NULL: of the
 * driver's. What is not in `all` has no number here, so it cannot be asked for. False: the
 * program wants all.
 */
static bool visible(const char *all, uint64_t settings, char *text)
{
	int device[VG_SETTINGS_DEVICES], n = vg_settings_list(settings, device);
	const char *name;
	size_t length;

	text = stpcpy(text, VISIBLE);
	for (int i = 0; i < n; i++) {
		name = all ? word(all, device[i], &length) : NULL;
		if (all && !name)
			break;
		if (i)
			*text++ = ',';
		text += name ? sprintf(text, "%.*s", (int)length, name) :
			       sprintf(text, "%d", device[i]);
	}
	return n;
}

char **vg_environ(uint64_t settings, const char *devices)
{
	const char *all = devices ? devices : getenv("CUDA_VISIBLE_DEVICES");
	extern char **environ;
	char (*text)[VG_SETTING_BYTES], *list, **env;
	unsigned int own;
	bool chosen;
	size_t n = 0;

	while (environ[n])
		n++;
	n += VG_SETTINGS_MAX + 2;
	env = malloc(n * sizeof(*env) + VG_SETTINGS_MAX * VG_SETTING_BYTES + visible_room(all));
	if (!env)
		return NULL;
	text = (char (*)[VG_SETTING_BYTES])(env + n);
	list = text[VG_SETTINGS_MAX];
	chosen = visible(all, settings, list);
	if (!chosen && devices) {
		stpcpy(stpcpy(list, VISIBLE), devices);
		chosen = true;
	}
	n = 0;
	for (char **v = environ; *v; v++)
		if (goes(*v) && !(chosen && starts(*v, VISIBLE)))
			env[n++] = *v;
	if (chosen)
		env[n++] = list;
	own = vg_settings_write(settings, text);
	for (unsigned int i = 0; i < own; i++)
		env[n++] = text[i];
	env[n] = NULL;
	return env;
}
