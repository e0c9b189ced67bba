/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's integrity check; integrity.c says what it is. */
#ifndef VG_INTEGRITY_H
#define VG_INTEGRITY_H

#include <stddef.h>
#include <stdint.h>

/* In the order and with the widths that are hashed. */
struct vg_integrity {
	uint32_t driver_version;
	uint32_t version;		/* that the runtime asks with */
	uint32_t process;
	uint32_t thread;		/* low half of pthread_self() */
	uint64_t runtime_table;		/* addresses, in the calling process */
	uint64_t integrity_table;
	uint64_t function;
	uint64_t unix_seconds;
};

struct vg_integrity_device {
	uint8_t uuid[16];
	int32_t pci_domain, pci_bus, pci_device;
};

_Static_assert(sizeof(struct vg_integrity) == 48, "hashed as it lies");
_Static_assert(sizeof(struct vg_integrity_device) == 28, "hashed as it lies");

void vg_integrity_answer(const struct vg_integrity *in, const struct vg_integrity_device *devices,
			 unsigned int count, uint64_t out[2]);

void vg_md2(const void *data, size_t bytes, uint8_t digest[16]);

#endif /* VG_INTEGRITY_H */
