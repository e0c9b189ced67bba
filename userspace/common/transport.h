/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a guest process reaches its executor: a table of what differs between
 * /dev/vgpuN and the Unix socket.  All above it is the same code.
 */
#ifndef VG_TRANSPORT_H
#define VG_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vgpu_dev.h>
#include <linux/vgpu_ring.h>

struct vg_transport {
	const struct vg_transport_ops *ops;
	void *base;			/* channel memory */
	struct vgpu_layout layout;
	int fd;				/* the device, or the connection */
	int doorbell;			/* eventfd, socket only */
	int shares;			/* where memfds go, socket only */
	_Atomic uint32_t seen;		/* interrupts seen, device only */
};

struct vg_transport_ops {
	const char *name;
	/*
	 * Open `path` and map a channel of these sizes, whose executor's driver has these
	 * settings (settings.h).  0 or a negative errno.
	 */
	int (*open)(struct vg_transport *t, const char *path, const struct vgpu_layout *want,
		    uint64_t settings);
	int (*doorbell)(struct vg_transport *t);
	/*
	 * Sleep until *word may differ from value.  0 (look again), or -EPIPE,
	 * -ENODEV once the executor or the device has gone.
	 */
	int (*wait)(struct vg_transport *t, const uint32_t *word, uint32_t value);
	/*
	 * Hand [va, va + bytes), page-aligned, at most VGPU_REGION_BYTES_MAX, to
	 * the executor under a token for VG_OP_SHARE.  `memfd` is what is mapped
	 * there; without any_memory it must be given, else -EOPNOTSUPP.
	 */
	int (*share)(struct vg_transport *t, void *va, size_t bytes, int memfd, uint32_t *token);
	/* After VG_OP_UNSHARE. */
	void (*unshare)(struct vg_transport *t, uint32_t token);
	bool any_memory;
	void (*close)(struct vg_transport *t);
};

extern const struct vg_transport_ops vg_transport_dev;
extern const struct vg_transport_ops vg_transport_socket;

#endif /* VG_TRANSPORT_H */
