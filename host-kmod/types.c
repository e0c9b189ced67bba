// SPDX-License-Identifier: GPL-2.0
/*
 * The mdev types, from the module parameter `types`: a comma-separated list
 * of POOL:MEMORY, memory with a suffix M or G.  "A:4G" shows in sysfs as
 * vgpu_host-A-4096M.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "vgpu_host.h"

#define TYPES_MAX 32

static struct vgpu_type *types;
static struct mdev_type *type_ptrs[TYPES_MAX];
static unsigned int type_count;

static bool pool_name_ok(const char *pool)
{
	if (!*pool || strlen(pool) >= sizeof(types->pool))
		return false;
	for (; *pool; pool++)
		if (!isalnum(*pool) && *pool != '_')
			return false;
	return true;
}

static int type_parse(struct vgpu_type *type, char *item)
{
	char *mem = strchr(item, ':');
	char *end;

	if (!mem)
		return -EINVAL;
	*mem++ = '\0';
	if (!pool_name_ok(item) || !isdigit(*mem))
		return -EINVAL;

	type->mem_bytes = memparse(mem, &end);
	if (*end || type->mem_bytes < SZ_1M || type->mem_bytes % SZ_1M)
		return -EINVAL;

	strscpy(type->pool, item, sizeof(type->pool));
	snprintf(type->name, sizeof(type->name), "%s-%lluM", type->pool,
		 type->mem_bytes / SZ_1M);
	snprintf(type->pretty, sizeof(type->pretty), "vGPU, pool %s, %llu MiB", type->pool,
		 type->mem_bytes / SZ_1M);
	type->mdev.sysfs_name = type->name;
	type->mdev.pretty_name = type->pretty;
	return 0;
}

int vgpu_types_parse(const char *spec)
{
	char *copy, *rest, *item;
	unsigned int i;
	int ret = 0;

	copy = kstrdup(spec, GFP_KERNEL);
	types = kcalloc(TYPES_MAX, sizeof(*types), GFP_KERNEL);
	if (!copy || !types) {
		ret = -ENOMEM;
		goto out;
	}

	rest = copy;
	while ((item = strsep(&rest, ",")) && !ret) {
		struct vgpu_type *type = &types[type_count];

		if (type_count == TYPES_MAX) {
			pr_err("more than %d types\n", TYPES_MAX);
			ret = -EINVAL;
			break;
		}
		ret = type_parse(type, strim(item));
		for (i = 0; i < type_count && !ret; i++)
			if (!strcmp(types[i].name, type->name))
				ret = -EEXIST;
		if (ret)
			pr_err("types: entry %u of \"%s\" is not POOL:MEMORY, or is there twice\n",
			       type_count + 1, spec);
		else
			type_ptrs[type_count++] = &type->mdev;
	}
out:
	kfree(copy);
	if (ret)
		vgpu_types_free();
	return ret;
}

void vgpu_types_free(void)
{
	kfree(types);
	types = NULL;
	type_count = 0;
}

struct mdev_type **vgpu_types(unsigned int *count)
{
	*count = type_count;
	return type_ptrs;
}

const struct vgpu_type *vgpu_type_of(struct mdev_type *mdev)
{
	return container_of(mdev, struct vgpu_type, mdev);
}

ssize_t vgpu_type_description(struct mdev_type *mdev, char *buf)
{
	const struct vgpu_type *type = vgpu_type_of(mdev);

	return sysfs_emit(buf, "pool=%s, memory=%lluM, channels=%u\n", type->pool,
			  type->mem_bytes / SZ_1M, VGPU_CHANNELS);
}
