// SPDX-License-Identifier: Apache-2.0
/*
 * The environment of an executor.  The CUDA driver reads its variables there, and they are to
 * be the guest program's and not those of whoever started the mediator.
 */
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

char **vg_environ(uint32_t settings)
{
	extern char **environ;
	char (*text)[VG_SETTING_BYTES], **env;
	size_t n = 0;
	unsigned int own;

	while (environ[n])
		n++;
	n += VG_SETTINGS_MAX + 1;
	env = malloc(n * sizeof(*env) + VG_SETTINGS_MAX * VG_SETTING_BYTES);
	if (!env)
		return NULL;
	text = (char (*)[VG_SETTING_BYTES])(env + n);
	n = 0;
	for (char **v = environ; *v; v++)
		if (goes(*v))
			env[n++] = *v;
	own = vg_settings_write(settings, text);
	for (unsigned int i = 0; i < own; i++)
		env[n++] = text[i];
	env[n] = NULL;
	return env;
}
