// SPDX-License-Identifier: Apache-2.0
/*
 * `vgpuctl cdi`: what a container needs to use a vGPU, as a specification of the Container Device
 * Interface (version 0.5.0), which podman, containerd, CRI-O and Docker read from /etc/cdi.
 *
 * The libraries are put where the dynamic linkers of Debian's and Red Hat's images look by
 * themselves, because no hook runs ldconfig in the container.
 */
#include <errno.h>
#include <glob.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/socket_proto.h"
#include "ctl.h"

static const char *const libraries[] = {
	"libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1", "libnvidia-ml.so", "libcupti.so.12",
	"libcupti.so.13",
};
static const char *const folders[] = { "/usr/lib/x86_64-linux-gnu", "/usr/lib64" };

static struct json_object *list(struct json_object *of, const char *key)
{
	struct json_object *a;

	if (!json_object_object_get_ex(of, key, &a)) {
		a = json_object_new_array();
		json_object_object_add(of, key, a);
	}
	return a;
}

static void add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void mount(struct json_object *edits, const char *from, const char *to, bool read_only)
{
	static const char *const options[] = { "bind", "nosuid", "nodev", "ro" };
	struct json_object *m = json_object_new_object(), *words = json_object_new_array();

	add_string(m, "hostPath", from);
	add_string(m, "containerPath", to);
	for (int i = 0; i < (read_only ? 4 : 3); i++)
		json_object_array_add(words, json_object_new_string(options[i]));
	json_object_object_add(m, "options", words);
	json_object_array_add(list(edits, "mounts"), m);
}

/* A device with edits of its own, which are returned. */
static struct json_object *device(struct json_object *spec, const char *name)
{
	struct json_object *d = json_object_new_object(), *edits = json_object_new_object();

	add_string(d, "name", name);
	json_object_object_add(d, "containerEdits", edits);
	json_object_array_add(list(spec, "devices"), d);
	return edits;
}

static void node(struct json_object *edits, const char *path)
{
	struct json_object *n = json_object_new_object();

	add_string(n, "path", path);
	json_object_array_add(list(edits, "deviceNodes"), n);
}

/* In a guest: a device for each vGPU, and one for all of them. */
static bool nodes(struct json_object *spec, const char *root)
{
	char pattern[PATH_MAX];
	struct json_object *all;
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/dev/vgpu[0-9]*", root);
	if (glob(pattern, 0, NULL, &found))
		return false;
	all = device(spec, "all");
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i] + strlen(root);

		node(device(spec, path + strlen("/dev/vgpu")), path);
		node(all, path);
	}
	globfree(&found);
	return true;
}

/*
 * Where the machine has its GPU itself: the mediator's socket, and not its folder, because the
 * control socket is there, too.
 */
static bool socket_of_host(struct json_object *spec, const char *root)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s" VG_SOCK_DEFAULT, root);
	if (access(path, F_OK))
		return false;
	mount(device(spec, "all"), VG_SOCK_DEFAULT, VG_SOCK_DEFAULT, false);
	return true;
}

/* The libraries for programs in the container: false if there are none. */
static bool add_libraries(struct json_object *edits, const char *root, const char *folder)
{
	char from[PATH_MAX], to[PATH_MAX];
	bool cuda = false;

	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		snprintf(from, sizeof(from), "%s%s/%s", root, folder, libraries[i]);
		if (access(from, R_OK))
			continue;
		cuda |= !i;
		for (size_t k = 0; k < sizeof(folders) / sizeof(folders[0]); k++) {
			snprintf(to, sizeof(to), "%s/%s", folders[k], libraries[i]);
			mount(edits, from + strlen(root), to, true);
		}
	}
	return cuda;
}

int vg_ctl_cdi(const char *root, const char *folder)
{
	struct json_object *spec = json_object_new_object(), *edits = json_object_new_object();
	int ret = EXIT_FAILURE;

	add_string(spec, "cdiVersion", "0.5.0");
	add_string(spec, "kind", "vgpu/gpu");
	json_object_object_add(spec, "containerEdits", edits);
	if (!nodes(spec, root) && !socket_of_host(spec, root)) {
		fprintf(stderr, "vgpuctl: neither /dev/vgpu0 nor " VG_SOCK_DEFAULT " is here; "
				"`vgpuctl doctor` says why\n");
	} else if (!add_libraries(edits, root, folder)) {
		fprintf(stderr, "vgpuctl: %s/%s: %s; --libraries names another folder\n", folder,
			libraries[0], strerror(errno));
	} else {
		puts(json_object_to_json_string_ext(spec, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
		ret = EXIT_SUCCESS;
	}
	json_object_put(spec);
	return ret;
}
