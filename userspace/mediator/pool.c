// SPDX-License-Identifier: Apache-2.0
/*
 * Pools: which devices their programs see.
 *
 * An executor sees the devices that CUDA_VISIBLE_DEVICES in its environment names, so the
 * driver itself keeps the others from a guest. A vGPU below a GPU's own sysfs node gets this
 * GPU alone. Other vGPUs, and programs that come over the socket, get the devices that the
 * configuration gives to their pool, or all of the operator's if it gives none.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator.h"

#define GPUS "/proc/driver/nvidia/gpus"

struct pool {
	LIST_ENTRY(pool) node;
	char name[16];
	char *devices;		/* as CUDA_VISIBLE_DEVICES has them */
};

LIST_HEAD(pools, pool);

static struct pools pools = LIST_HEAD_INITIALIZER(pools);	/* in force */
static struct pools coming = LIST_HEAD_INITIALIZER(coming);		/* of the file that is being read */

/* A path or a name such as libcuda.so.1, with or without a version. */
static bool is_nvidias(const char *libcuda)
{
	const char *slash = strrchr(libcuda, '/');

	return !strncmp(slash ? slash + 1 : libcuda, "libcuda.so", strlen("libcuda.so"));
}

/* A PCI address, as in 0000:3b:00.0. */
static bool is_address(const char *name)
{
	unsigned int domain, bus, slot, function;
	char end;

	return sscanf(name, "%8x:%2x:%2x.%1x%c", &domain, &bus, &slot, &function, &end) == 4;
}

/* The name that CUDA has for the GPU at a PCI address: 0, or a negative errno. */
static int uuid_at(const char *address, char *uuid, size_t size)
{
	char path[80], line[160], *name = NULL;
	FILE *file;

	snprintf(path, sizeof(path), GPUS "/%s/information", address);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!name && fgets(line, sizeof(line), file)) {
		name = strstr(line, "GPU-");
		if (name && (size_t)snprintf(uuid, size, "%.*s",
					     (int)strcspn(name, " \t\n"), name) >= size)
			name = NULL;
	}
	fclose(file);
	return name ? 0 : -ENOENT;
}

/* CUDA's names of the devices of a list; false: one of them is not a device, or there is none. */
static bool resolve(const char *list, char *names, size_t size, char *why, size_t why_size)
{
	char *copy = strdup(list), *rest, uuid[64];
	size_t length = 0;
	bool ok = copy;

	*names = '\0';
	for (char *word = ok ? strtok_r(copy, ", \t", &rest) : NULL; word && ok;
	     word = strtok_r(NULL, ", \t", &rest)) {
		if (is_address(word)) {
			int ret = uuid_at(word, uuid, sizeof(uuid));

			if (ret)
				snprintf(why, why_size, "NVIDIA's driver has no GPU at %s (%s); ",
					 word, strerror(-ret));
			ok = !ret;
			word = uuid;
		} else if (!isdigit(*word) && strncmp(word, "GPU-", 4) && strncmp(word, "MIG-", 4)) {
			snprintf(why, why_size, "%s is not a device; ", word);
			ok = false;
		}
		if (ok) {
			length += snprintf(names + length, size - length, "%s%s",
					   length ? "," : "", word);
			ok = length < size;
		}
	}
	free(copy);
	return ok && length;
}

static struct pool *find(struct pools *list, const char *name)
{
	struct pool *p;

	LIST_FOREACH(p, list, node)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

static void clear(struct pools *list)
{
	struct pool *p;

	while ((p = LIST_FIRST(list))) {
		LIST_REMOVE(p, node);
		free(p->devices);
		free(p);
	}
}

void vg_pools_end(bool keep)
{
	struct pool *p;

	if (keep)
		clear(&pools);
	while (keep && (p = LIST_FIRST(&coming))) {
		LIST_REMOVE(p, node);
		LIST_INSERT_HEAD(&pools, p, node);
	}
	clear(&coming);
}

bool vg_pool_set(const char *name, const char *devices, char *why, size_t size)
{
	char names[1024];
	struct pool *p;

	if (!*name || strlen(name) >= sizeof(p->name)) {
		snprintf(why, size, "a pool's name has 1 to %zu bytes; ", sizeof(p->name) - 1);
		return false;
	}
	if (find(&coming, name)) {
		snprintf(why, size, "pool %s has devices already; ", name);
		return false;
	}
	if (!resolve(devices, names, sizeof(names), why, size))
		return false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return false;
	strcpy(p->name, name);
	p->devices = strdup(names);
	if (!p->devices) {
		free(p);
		return false;
	}
	LIST_INSERT_HEAD(&coming, p, node);
	return true;
}

int vg_pool_devices(const char *name, const char *parent, char **devices)
{
	char uuid[64];
	struct pool *p;
	int ret;

	*devices = NULL;
	/*
	 * A stand-in for NVIDIA's driver (softgpu) knows nothing of the host's devices. With NVIDIA's
	 * own, a GPU that cannot be found is an error: its vGPU must not get the others.
	 */
	if (is_address(parent) && is_nvidias(vg_config.libcuda)) {
		ret = uuid_at(parent, uuid, sizeof(uuid));
		if (ret)
			return ret;
		*devices = strdup(uuid);
		return *devices ? 0 : -ENOMEM;
	}
	p = find(&pools, name);
	if (!p)
		return 0;
	*devices = strdup(p->devices);
	return *devices ? 0 : -ENOMEM;
}
