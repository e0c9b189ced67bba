// SPDX-License-Identifier: Apache-2.0
/*
 * The messages of a vfio-user client (QEMU's docs/interop/vfio-user.rst).
 *
 * Security: all of it comes from the VM's side and may be anything.  The table below bounds
 * each message before its handler sees it: its size, its descriptors, and that VERSION came
 * first.  A handler gets a private copy and fills an answer that is never longer than what
 * the client has room for, which is as long as its message was, except REGION_READ's.
 *
 * A client that breaks the framing (a length that cannot be, an answer to what was not asked)
 * is disconnected; anything else gets an answer with an errno.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <unistd.h>

#include "vfiouser.h"

enum {
	VERSION = 1, DMA_MAP, DMA_UNMAP, DEVICE_GET_INFO, DEVICE_GET_REGION_INFO,
	DEVICE_GET_REGION_IO_FDS, DEVICE_GET_IRQ_INFO, DEVICE_SET_IRQS, REGION_READ, REGION_WRITE,
	DMA_READ, DMA_WRITE, DEVICE_RESET,
};

#define MAX_MSG_FDS 8	/* what we say that we take at most; QEMU refuses more than 16 */

struct call {
	struct vfu_message *m;
	uint32_t bytes;			/* of the body */
	uint8_t *out;
	uint32_t out_bytes;
	bool wait;			/* for executors to let go */
};

/* -- VERSION */

struct version {
	uint16_t major, minor;
};

static int version(struct vfu *v, struct call *c)
{
	static const char text[] = "{\"capabilities\":{\"max_msg_fds\":8}}";
	struct version want, mine = { 0, 0 };

	_Static_assert(MAX_MSG_FDS == 8, "as in the text");
	if (v->spoken)
		return -EINVAL;
	memcpy(&want, c->m->body, sizeof(want));
	if (want.major != mine.major)
		return -ENOTSUP;
	/* What follows is JSON, of which nothing is of use here: a string, if it is there. */
	if (c->bytes > sizeof(want) && c->m->body[c->bytes - 1])
		return -EINVAL;
	v->spoken = true;
	memcpy(c->out, &mine, sizeof(mine));
	c->out_bytes = sizeof(mine);
	/* QEMU takes an answer of at most what it sent. Without the text it counts on one. */
	if (c->bytes >= sizeof(mine) + sizeof(text)) {
		memcpy(c->out + sizeof(mine), text, sizeof(text));
		c->out_bytes += sizeof(text);
	}
	return 0;
}

/* -- memory */

struct dma_map {
	uint32_t argsz, flags;
	uint64_t offset, iova, bytes;
};

#define DMA_READABLE	1u
#define DMA_WRITEABLE	2u

static int dma_map(struct vfu *v, struct call *c)
{
	struct dma_map d;

	memcpy(&d, c->m->body, sizeof(d));
	if (d.argsz < sizeof(d) || d.flags & ~(DMA_READABLE | DMA_WRITEABLE))
		return -EINVAL;
	return vfu_map_add(v, d.iova, d.bytes, d.offset, d.flags == (DMA_READABLE | DMA_WRITEABLE),
			   &c->m->fd[0]);
}

struct dma_unmap {
	uint32_t argsz, flags;
	uint64_t iova, bytes;
};

static int dma_unmap(struct vfu *v, struct call *c)
{
	struct dma_unmap d;
	int ret;

	memcpy(&d, c->m->body, sizeof(d));
	if (d.argsz < sizeof(d) || d.flags & ~VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	if (d.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (d.iova || d.bytes)
			return -EINVAL;
		vfu_channels_dma_unmap(v, 0, UINT64_MAX);
		vfu_maps_clear(v);
	} else {
		ret = vfu_map_remove(v, d.iova, d.bytes);
		if (ret)
			return ret;
		vfu_channels_dma_unmap(v, d.iova, d.bytes);
	}
	memcpy(c->out, &d, sizeof(d));
	c->out_bytes = sizeof(d);
	c->wait = true;
	return 0;
}

/* -- what the device is */

struct device_info {
	uint32_t argsz, flags, regions, irqs;
};

static int device_info(struct vfu *v, struct call *c)
{
	struct device_info d;

	(void)v;
	memcpy(&d, c->m->body, sizeof(d));
	if (d.argsz < sizeof(d))
		return -EINVAL;
	d = (struct device_info){ sizeof(d), VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
				  VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_IRQS };
	memcpy(c->out, &d, sizeof(d));
	c->out_bytes = sizeof(d);
	return 0;
}

static uint32_t region_bytes(uint32_t index)
{
	switch (index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return VFU_CONFIG_BYTES;
	case VFIO_PCI_BAR0_REGION_INDEX:
		return VGPU_BAR0_BYTES;
	default:
		return 0;
	}
}

static int region_info(struct vfu *v, struct call *c)
{
	struct vfio_region_info r;

	(void)v;
	memcpy(&r, c->m->body, sizeof(r));
	if (r.argsz < sizeof(r) || r.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	r = (struct vfio_region_info){ .argsz = sizeof(r), .index = r.index,
				       .size = region_bytes(r.index) };
	if (r.size)
		r.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	memcpy(c->out, &r, sizeof(r));
	c->out_bytes = sizeof(r);
	return 0;
}

static int irq_info(struct vfu *v, struct call *c)
{
	struct vfio_irq_info i;

	(void)v;
	memcpy(&i, c->m->body, sizeof(i));
	if (i.argsz < sizeof(i) || i.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	i = (struct vfio_irq_info){ .argsz = sizeof(i), .index = i.index };
	if (i.index == VFIO_PCI_MSIX_IRQ_INDEX) {
		i.flags = VFIO_IRQ_INFO_EVENTFD;
		i.count = VGPU_VECTORS;
	}
	memcpy(c->out, &i, sizeof(i));
	c->out_bytes = sizeof(i);
	return 0;
}

/* -- interrupts */

static void set_vector(struct vfu *v, uint32_t vector, int fd)
{
	if (v->msix[vector] >= 0)
		close(v->msix[vector]);
	v->msix[vector] = fd;
}

/* As a whole or not at all. */
static int set_irqs(struct vfu *v, struct call *c)
{
	const uint32_t actions = VFIO_IRQ_SET_ACTION_TYPE_MASK, kinds = VFIO_IRQ_SET_DATA_TYPE_MASK;
	uint32_t n, data;
	struct vfio_irq_set s;

	memcpy(&s, c->m->body, sizeof(s));
	data = c->bytes - sizeof(s);
	n = c->m->fd_count;
	if (s.argsz < sizeof(s) || s.flags & ~(actions | kinds))
		return -EINVAL;
	if (s.index != VFIO_PCI_MSIX_IRQ_INDEX || s.start > VGPU_VECTORS ||
	    s.count > VGPU_VECTORS - s.start)
		return -EINVAL;
	if ((s.flags & actions) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTSUP;
	switch (s.flags & kinds) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (data || n)
			return -EINVAL;
		if (!s.count)		/* take all eventfds away */
			for (uint32_t i = 0; i < VGPU_VECTORS; i++)
				set_vector(v, i, -1);
		for (uint32_t i = 0; i < s.count; i++)
			vfu_irq_raise(v, s.start + i);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (data != s.count || n)
			return -EINVAL;
		for (uint32_t i = 0; i < s.count; i++)
			if (c->m->body[sizeof(s) + i])
				vfu_irq_raise(v, s.start + i);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		/* Descriptors for all of them, or for none, which takes theirs away. */
		if (data || (n && n != s.count) || !s.count)
			return -EINVAL;
		for (uint32_t i = 0; i < s.count; i++) {
			set_vector(v, s.start + i, n ? c->m->fd[i] : -1);
			if (n)
				c->m->fd[i] = -1;
		}
		return 0;
	default:
		return -EINVAL;
	}
}

/* -- regions */

struct region_access {
	uint64_t offset;
	uint32_t region, count;
};

static int region_access(struct vfu *v, struct call *c, bool write)
{
	struct region_access r;
	uint32_t size;
	uint8_t *data = (write ? c->m->body : c->out) + sizeof(r);

	memcpy(&r, c->m->body, sizeof(r));
	size = region_bytes(r.region);
	if (r.offset > size || r.count > size - r.offset ||
	    c->bytes != sizeof(r) + (write ? r.count : 0))
		return -EINVAL;
	if (r.region == VFIO_PCI_CONFIG_REGION_INDEX)
		vfu_config_access(v, r.offset, data, r.count, write);
	else
		vfu_bar_access(v, r.offset, data, r.count, write);
	memcpy(c->out, &r, sizeof(r));
	c->out_bytes = sizeof(r) + (write ? 0 : r.count);
	return 0;
}

static int region_read(struct vfu *v, struct call *c)
{
	return region_access(v, c, false);
}

static int region_write(struct vfu *v, struct call *c)
{
	return region_access(v, c, true);
}

/* As after the start, with the memory and the interrupts that the client has set up. */
static int device_reset(struct vfu *v, struct call *c)
{
	vfu_reset(v);
	vfu_config_init(v);
	c->wait = true;
	return 0;
}

/* -- the table */

static const struct {
	uint32_t min, max;		/* bytes of the body */
	unsigned int fds;		/* at most */
	int (*run)(struct vfu *v, struct call *c);
} messages[] = {
	[VERSION] = { sizeof(struct version), 4096, 0, version },
	[DMA_MAP] = { sizeof(struct dma_map), sizeof(struct dma_map), 1, dma_map },
	[DMA_UNMAP] = { sizeof(struct dma_unmap), sizeof(struct dma_unmap), 0, dma_unmap },
	[DEVICE_GET_INFO] = { sizeof(struct device_info), 64, 0, device_info },
	[DEVICE_GET_REGION_INFO] = { sizeof(struct vfio_region_info), 64, 0, region_info },
	[DEVICE_GET_IRQ_INFO] = { sizeof(struct vfio_irq_info), 64, 0, irq_info },
	[DEVICE_SET_IRQS] = { sizeof(struct vfio_irq_set),
			      sizeof(struct vfio_irq_set) + VGPU_VECTORS, MAX_MSG_FDS, set_irqs },
	[REGION_READ] = { sizeof(struct region_access), sizeof(struct region_access), 0,
			  region_read },
	[REGION_WRITE] = { sizeof(struct region_access), VFU_BODY_MAX, 0, region_write },
	[DEVICE_RESET] = { 0, 0, 0, device_reset },
};

_Static_assert(sizeof(struct region_access) + VGPU_BAR0_BYTES <= VFU_BODY_MAX, "a region fits");
_Static_assert(sizeof(struct vfu_header) == 16, "ABI");

bool vfu_header_ok(const struct vfu_header *head)
{
	return head->size >= sizeof(*head) && head->size - sizeof(*head) <= VFU_BODY_MAX &&
	       !(head->flags & VFU_FLAG_TYPE);
}

static int run(struct vfu *v, struct call *c)
{
	uint16_t command = c->m->head.command;

	if (command >= sizeof(messages) / sizeof(messages[0]) || !messages[command].run)
		return -EOPNOTSUPP;
	if (!v->spoken && command != VERSION)
		return -EINVAL;
	if (c->bytes < messages[command].min || c->bytes > messages[command].max ||
	    c->m->fd_count > messages[command].fds)
		return -EINVAL;
	return messages[command].run(v, c);
}

enum vfu_next vfu_serve(struct vfu *v, struct vfu_message *m, struct vfu_answer *a)
{
	struct call c = { .m = m, .out = a->body };
	bool spoken = v->spoken;
	int ret;

	a->head = (struct vfu_header){ 0 };
	for (unsigned int i = m->fd_count; i < VFU_FDS_MAX; i++)
		m->fd[i] = -1;
	c.bytes = m->head.size - sizeof(m->head);
	ret = vfu_header_ok(&m->head) ? run(v, &c) : -EPROTO;
	for (unsigned int i = 0; i < m->fd_count; i++)
		if (m->fd[i] >= 0)
			close(m->fd[i]);
	m->fd_count = 0;
	/* Two that do not agree on the version have nothing more to say. */
	if (ret && (!spoken || !vfu_header_ok(&m->head)))
		return VFU_END;
	if (m->head.flags & VFU_FLAG_NO_REPLY)
		return VFU_NEXT;
	a->head = (struct vfu_header){
		.id = m->head.id, .command = m->head.command, .flags = VFU_FLAG_REPLY,
		.size = sizeof(a->head) + (ret ? 0 : c.out_bytes),
	};
	if (ret) {
		a->head.flags |= VFU_FLAG_ERROR;
		a->head.error = -ret;
	}
	return !ret && c.wait ? VFU_WAIT : VFU_NEXT;
}
