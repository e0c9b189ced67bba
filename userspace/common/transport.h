/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a guest process reaches its executor: a table of what differs between
 * /dev/vgpuN and the Unix socket.  All above it is the same code.
 */
#ifndef VG_TRANSPORT_H
#define VG_TRANSPORT_H

#include <stdint.h>

#include <linux/vgpu_dev.h>
#include <linux/vgpu_ring.h>

struct vg_transport {
	const struct vg_transport_ops *ops;
	void *base;			/* channel memory */
	struct vgpu_layout layout;
	int fd;				/* the device, or the connection */
	int doorbell;			/* eventfd, socket only */
	_Atomic uint32_t seen;		/* interrupts seen, device only */
};

struct vg_transport_ops {
	const char *name;
	/* Open `path` and map the channel.  0 or a negative errno. */
	int (*open)(struct vg_transport *t, const char *path, const struct vgpu_layout *want);
	int (*doorbell)(struct vg_transport *t);
	/*
	 * Sleep until *word may differ from value.  0 (look again), or -EPIPE,
	 * -ENODEV once the executor or the device has gone.
	 */
	int (*wait)(struct vg_transport *t, const uint32_t *word, uint32_t value);
	void (*close)(struct vg_transport *t);
};

extern const struct vg_transport_ops vg_transport_dev;
extern const struct vg_transport_ops vg_transport_socket;

#endif /* VG_TRANSPORT_H */
