// SPDX-License-Identifier: GPL-2.0
/*
 * Devices by name, and which of them a pool has.
 *
 * Parameters of the module name devices by their PCI addresses, and the device that is no
 * GPU "virtual". The parameter `pools` is a list of POOL=DEVICE[+DEVICE...]. The types
 * of a pool are offered by its devices; a pool that is not in the list has every device.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vgpu_host.h"

/* Is this a name as pci_name() prints it? Names are compared, not addresses. */
static bool device_ok(const char *name)
{
	unsigned int domain, bus, slot, function;
	char printed[24];

	if (!strcmp(name, VGPU_VIRTUAL))
		return true;
	if (sscanf(name, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return false;
	snprintf(printed, sizeof(printed), "%04x:%02x:%02x.%d", domain, bus, slot, function);
	return !strcmp(name, printed);
}

/*
 * Look at each device of a list, whose text is cut into pieces for that. Returns 1 if
 * `wanted` is among them, 0 if not, and -EINVAL if one is no name of a device.
 */
static int devices_look(char *list, const char *separator, const char *wanted)
{
	int found = 0;
	char *name;

	while ((name = strsep(&list, separator))) {
		name = strim(name);
		if (!device_ok(name))
			return -EINVAL;
		if (wanted && !strcmp(name, wanted))
			found = 1;
	}
	return found;
}

int vgpu_devices_have(const char *list, const char *wanted)
{
	char *copy;
	int ret;

	if (!*list)
		return 0;
	copy = kstrdup(list, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	ret = devices_look(copy, ",", wanted);
	kfree(copy);
	return ret;
}

/* Has the rest of the list an entry of this pool? */
static bool is_named_again(const char *list, const char *pool)
{
	size_t length = strlen(pool);

	for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL) {
		list = skip_spaces(list);
		if (!strncmp(list, pool, length) && *skip_spaces(list + length) == '=')
			return true;
	}
	return false;
}

int vgpu_pools_check(const char *pools)
{
	char *copy, *rest, *item, *devices;
	int ret = 0;

	if (!*pools)
		return 0;
	copy = kstrdup(pools, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while ((item = strsep(&rest, ",")) && !ret) {
		devices = item;
		item = strim(strsep(&devices, "="));
		if (!devices || devices_look(devices, "+", NULL) < 0) {
			pr_err("pools: the devices of pool \"%s\" in \"%s\" are not PCI addresses (as 0000:3b:00.0) with + between them\n",
			       item, pools);
			ret = -EINVAL;
		} else if (!vgpu_types_have_pool(item)) {
			pr_err("pools: no entry of the parameter types has the pool \"%s\"\n",
			       item);
			ret = -EINVAL;
		} else if (rest && is_named_again(rest, item)) {
			pr_err("pools: the pool \"%s\" is there twice\n", item);
			ret = -EINVAL;
		}
	}
	kfree(copy);
	return ret;
}

int vgpu_pool_has(const char *pools, const char *pool, const char *device)
{
	char *copy, *rest, *item, *devices;
	int ret = 1;

	copy = kstrdup(pools, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while ((item = strsep(&rest, ","))) {
		devices = item;
		item = strim(strsep(&devices, "="));
		if (strcmp(item, pool) || !devices)
			continue;
		ret = devices_look(devices, "+", device);
		break;
	}
	kfree(copy);
	return ret;
}
