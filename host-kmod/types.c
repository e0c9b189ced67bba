// SPDX-License-Identifier: GPL-2.0
/*
 * The mdev types, from the module parameter `types`: a comma-separated list
 * of POOL:MEMORY, memory with a suffix M or G.  "A:4G" shows in sysfs as
 * nvidia-A-4096M below a GPU that the driver nvidia serves, and as vgpu-A-4096M below
 * the virtual parent. Each parent has types of its own, copied from the parameter's.
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

/* As the parameter names them; those of parents are copies. */
static struct vgpu_type *types;
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
			type_count++;
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

bool vgpu_types_have_pool(const char *pool)
{
	unsigned int i;

	for (i = 0; i < type_count; i++)
		if (!strcmp(types[i].pool, pool))
			return true;
	return false;
}

/* Give a parent the types of the pools that have it. */
int vgpu_types_for(struct vgpu_parent *parent, const char *pools)
{
	unsigned int i;
	int ret = -ENOMEM;

	parent->types = kcalloc(type_count, sizeof(*parent->types), GFP_KERNEL);
	parent->type_ptrs = kcalloc(type_count, sizeof(*parent->type_ptrs), GFP_KERNEL);
	if (!parent->types || !parent->type_ptrs)
		goto drop;
	for (i = 0; i < type_count; i++) {
		struct vgpu_type *type = &parent->types[parent->type_count];

		ret = vgpu_pool_has(pools, types[i].pool, parent->name);
		if (ret < 0)
			goto drop;
		if (!ret)
			continue;
		*type = types[i];
		type->parent = parent;
		type->mdev.sysfs_name = type->name;
		type->mdev.pretty_name = type->pretty;
		parent->type_ptrs[parent->type_count++] = &type->mdev;
	}
	return 0;

drop:
	vgpu_types_drop(parent);
	return ret;
}

void vgpu_types_drop(struct vgpu_parent *parent)
{
	kfree(parent->types);
	kfree(parent->type_ptrs);
	parent->types = NULL;
	parent->type_ptrs = NULL;
	parent->type_count = 0;
}

struct vgpu_type *vgpu_type_of(struct mdev_type *mdev)
{
	return container_of(mdev, struct vgpu_type, mdev);
}

ssize_t vgpu_type_description(struct mdev_type *mdev, char *buf)
{
	const struct vgpu_type *type = vgpu_type_of(mdev);

	return sysfs_emit(buf, "pool=%s, memory=%lluM, channels=%u\n", type->pool,
			  type->mem_bytes / SZ_1M, VGPU_CHANNELS);
}
