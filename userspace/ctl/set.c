// SPDX-License-Identifier: Apache-2.0
/* vgpuctl set, unset and show: settings that each vGPU has of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ask.h"
#include "ctl.h"
#include "show.h"

/* Send it, and let go of it. The answer as vg_ask() has it, or NULL, and that was said. */
static struct json_object *ask(const char *socket, struct json_object *request)
{
	char why[300];
	struct json_object *answer = vg_ask_for(socket, request, why, sizeof(why));

	json_object_put(request);
	if (!answer)
		fprintf(stderr, "vgpuctl: %s\n", why);
	return answer;
}

static void print_warning(struct json_object *answer)
{
	if (vg_get(answer, "warning"))
		fprintf(stderr, "vgpuctl: %s\n", vg_string(answer, "warning"));
}

int vg_ctl_set(const char *socket, const char *vgpu, char *const *words, int count, bool unset)
{
	struct json_object *request = json_object_new_object(), *values, *answer;

	json_object_object_add(request, "request", json_object_new_string("set"));
	json_object_object_add(request, "vgpu", json_object_new_string(vgpu));
	values = json_object_new_object();
	json_object_object_add(request, "values", values);
	for (int i = 0; i < count; i++) {
		const char *equals = strchr(words[i], '=');
		char *key = strndup(words[i], equals ? (size_t)(equals - words[i]) : strlen(words[i]));
		bool good = key && *key && !equals == unset;

		if (good && !json_object_object_get_ex(values, key, NULL))
			json_object_object_add(values, key,
					       unset || !strcmp(equals + 1, "default") ?
						       NULL : json_object_new_string(equals + 1));
		else if (good)
			good = !fprintf(stderr, "vgpuctl: %s is given twice\n", key);
		else
			fprintf(stderr, "vgpuctl: %s: not %s\n", words[i],
				unset ? "the name of a setting" : "KEY=VALUE");
		free(key);
		if (!good) {
			json_object_put(request);
			return 2;
		}
	}
	answer = ask(socket, request);
	if (!answer)
		return EXIT_FAILURE;
	print_warning(answer);
	json_object_put(answer);
	return EXIT_SUCCESS;
}

int vg_ctl_release(const char *socket, const char *name)
{
	struct json_object *request = json_object_new_object(), *answer;

	json_object_object_add(request, "request", json_object_new_string("release"));
	json_object_object_add(request, "vgpu", json_object_new_string(name));
	answer = ask(socket, request);
	json_object_put(answer);
	return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_vgpu(struct json_object *v)
{
	struct json_object *settings = vg_get(v, "settings");

	printf("%s  pool %s %s\n", vg_string(v, "vgpu"), vg_string(v, "pool"), vg_string(v, "type"));
	if (!settings)
		return;
	json_object_object_foreach(settings, key, s)
		printf("  %-16s %-12s %s\n", key, vg_string(s, "value"), vg_string(s, "from"));
}

int vg_ctl_show(const char *socket, const char *vgpu, bool json)
{
	struct json_object *request = json_object_new_object(), *answer, *list, *gone;
	bool found = false;

	json_object_object_add(request, "request", json_object_new_string("status"));
	answer = ask(socket, request);
	if (!answer)
		return EXIT_FAILURE;
	list = vg_get(answer, "vgpus");
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i), *o;

		if (vgpu && strcmp(vg_string(v, "vgpu"), vgpu))
			continue;
		found = true;
		if (!json) {
			print_vgpu(v);
			continue;
		}
		o = json_object_new_object();
		json_object_object_add(o, "vgpu", json_object_get(vg_get(v, "vgpu")));
		json_object_object_add(o, "settings", json_object_get(vg_get(v, "settings")));
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	}
	gone = vg_get(answer, "set_for_absent");
	for (size_t i = 0; !json && gone && i < json_object_array_length(gone); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(gone, i));

		if (vgpu && strcmp(name, vgpu))
			continue;
		found = true;
		printf("%s  is not there; what was set for it is kept\n", name);
	}
	json_object_put(answer);
	if (found || !vgpu)
		return EXIT_SUCCESS;
	fprintf(stderr, "vgpuctl: there is no vGPU %s\n", vgpu);
	return EXIT_FAILURE;
}
