// SPDX-License-Identifier: Apache-2.0
#include "vmm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>
#include <vgpu/layout.h>

#define MDEVS "/sys/bus/mdev/devices"

static bool complain(const char *what)
{
	fprintf(stderr, "vmm: %s: %s\n", what, strerror(errno));
	return false;
}

static bool find_mdev(char uuid[64], char group[300])
{
	char link[300], target[300];
	struct dirent *entry;
	DIR *dir = opendir(MDEVS);
	ssize_t n;

	if (!dir)
		return false;
	do
		entry = readdir(dir);
	while (entry && entry->d_name[0] == '.');
	if (entry)
		snprintf(uuid, 64, "%.63s", entry->d_name);
	closedir(dir);
	if (!entry)
		return false;
	snprintf(link, sizeof(link), MDEVS "/%s/iommu_group", uuid);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	snprintf(group, 300, "/dev/vfio%s", strrchr(target, '/'));
	return true;
}

static uint64_t region_offset(int device, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 ? ~0ull : info.offset;
}

bool vmm_open(struct vmm *v)
{
	char uuid[64], group[300];

	*v = (struct vmm){ .container = -1, .group = -1, .device = -1, .memfd = -1 };
	if (!find_mdev(uuid, group))
		return complain("no mdev");
	v->memfd = memfd_create("ram", MFD_CLOEXEC);
	if (v->memfd < 0 || ftruncate(v->memfd, VMM_RAM))
		return complain("memory");
	v->ram = mmap(NULL, VMM_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, v->memfd, 0);
	if (v->ram == MAP_FAILED)
		return complain("memory");
	v->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	v->group = open(group, O_RDWR | O_CLOEXEC);
	if (v->container < 0 || v->group < 0)
		return complain(group);
	if (ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container) ||
	    ioctl(v->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return complain("VFIO container");
	v->device = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	if (v->device < 0)
		return complain("VFIO device");
	v->bar0 = region_offset(v->device, VFIO_PCI_BAR0_REGION_INDEX);
	v->config = region_offset(v->device, VFIO_PCI_CONFIG_REGION_INDEX);
	if (vmm_dma_map(v))
		return complain("VFIO DMA map");
	return true;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vmm_close(struct vmm *v)
{
	close_one(&v->device);
	close_one(&v->group);
	close_one(&v->container);
	vmm_drop_memory(v);
}

void vmm_drop_memory(struct vmm *v)
{
	if (v->ram)
		munmap(v->ram, VMM_RAM);
	v->ram = NULL;
	close_one(&v->memfd);
}

int vmm_dma_map(struct vmm *v)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)v->ram, .iova = 0, .size = VMM_RAM,
	};

	return ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map);
}

int vmm_dma_unmap(struct vmm *v)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = 0, .size = VMM_RAM,
	};

	return ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

uint32_t vmm_read(struct vmm *v, uint32_t reg)
{
	uint32_t val = ~0u;

	/* Again, if it was the copy that failed: what a register says does not depend on that. */
	for (int i = 0; i < 2; i++)
		if (pread(v->device, &val, sizeof(val), v->bar0 + reg) == sizeof(val))
			return val;
	return ~0u;
}

bool vmm_write(struct vmm *v, uint32_t reg, uint32_t val)
{
	return pwrite(v->device, &val, sizeof(val), v->bar0 + reg) == sizeof(val);
}

uint32_t vmm_admin(struct vmm *v, const void *cmd, uint32_t bytes)
{
	memcpy(v->ram + VMM_CMD, cmd, bytes);
	/* A write that fails has reached nothing, and the result is of the command before. */
	if (!vmm_write(v, VGPU_REG_ADMIN_LO, VMM_CMD) || !vmm_write(v, VGPU_REG_ADMIN_HI, 0) ||
	    !vmm_write(v, VGPU_REG_ADMIN_KICK, bytes))
		return EFAULT;
	return vmm_read(v, VGPU_REG_ADMIN_RESULT);
}

static void one_run(struct vmm *v, uint64_t addr, uint64_t bytes)
{
	struct vgpu_adm_list *list = (void *)(v->ram + VMM_LIST);

	memset(list, 0, sizeof(*list));
	list->count = 1;
	list->run[0] = (struct vgpu_adm_run){ .addr = addr, .bytes = bytes };
}

static struct vgpu_layout layout(void)
{
	struct vgpu_layout l;

	vgpu_layout_make(VGPU_SQ_MIN, 4, 16 * VMM_PAGE, &l);
	return l;
}

uint64_t vmm_channel_bytes(void)
{
	return layout().total_bytes;
}

uint64_t vmm_channel_addr(uint32_t channel)
{
	return VMM_DATA + (uint64_t)channel * VMM_CHANNEL_BYTES;
}

uint32_t vmm_create(struct vmm *v, uint32_t channel)
{
	struct vgpu_adm_create cmd = {
		.head = { .size = sizeof(cmd), .op = VGPU_ADM_CREATE, .channel = channel },
		.vector = 1, .pid = 4711, .comm = "vmm", .layout = layout(), .list = VMM_LIST,
	};

	one_run(v, vmm_channel_addr(channel), cmd.layout.total_bytes);
	return vmm_admin(v, &cmd, sizeof(cmd));
}

uint32_t vmm_destroy(struct vmm *v, uint32_t channel)
{
	struct vgpu_adm_head cmd = {
		.size = sizeof(cmd), .op = VGPU_ADM_DESTROY, .channel = channel,
	};

	return vmm_admin(v, &cmd, sizeof(cmd));
}

uint32_t vmm_map(struct vmm *v, uint32_t channel, uint32_t region, uint64_t addr, uint64_t bytes)
{
	struct vgpu_adm_map cmd = {
		.head = { .size = sizeof(cmd), .op = VGPU_ADM_MAP, .channel = channel },
		.region = region, .va = 0x10000000, .bytes = bytes, .list = VMM_LIST,
	};

	one_run(v, addr, bytes);
	return vmm_admin(v, &cmd, sizeof(cmd));
}

uint32_t vmm_unmap(struct vmm *v, uint32_t channel, uint32_t region)
{
	struct vgpu_adm_unmap cmd = {
		.head = { .size = sizeof(cmd), .op = VGPU_ADM_UNMAP, .channel = channel },
		.region = region,
	};

	return vmm_admin(v, &cmd, sizeof(cmd));
}

int vmm_mediate(int *host)
{
	struct vgpu_host_open_vgpu open_vgpu = { .size = sizeof(open_vgpu) };
	struct vgpu_host_event event;

	*host = open("/dev/vgpu-host", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*host < 0 || read(*host, &event, sizeof(event)) != sizeof(event))
		return -1;
	open_vgpu.id = event.id;
	if (ioctl(*host, VGPU_HOST_IOC_OPEN_VGPU, &open_vgpu))
		return -1;
	fcntl(open_vgpu.out_fd, F_SETFL, O_NONBLOCK);
	return open_vgpu.out_fd;
}

int vmm_attach(int vgpu)
{
	struct vgpu_host_open_channel open_channel = { .size = sizeof(open_channel) };
	struct pollfd p = { .fd = vgpu, .events = POLLIN };
	struct vgpu_host_event event;

	while (poll(&p, 1, 1000) == 1 && read(vgpu, &event, sizeof(event)) == sizeof(event)) {
		if (event.kind != VGPU_HOST_EV_CHANNEL)
			continue;
		open_channel.id = event.id;
		open_channel.cookie = event.cookie;
		return ioctl(vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, &open_channel) ? -1 :
			       open_channel.out_fd;
	}
	return -1;
}
