/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of this process that the device reaches at the same address. */
#ifndef VG_HOSTMEM_H
#define VG_HOSTMEM_H

#include "client.h"
#include "shim.h"

struct vg_hostmem {
	struct vg_slab *slab;		/* NULL: it is a share of its own */
	struct vg_share share;
	/* Of managed memory: what cuMemAdvise() and prefetches said last. */
	_Atomic int read_mostly, preferred, prefetched;
};

/* New, with its range; vg_hostmem_free() with the same kind. */
CUresult vg_hostmem_new(size_t bytes, enum vg_range_kind kind, unsigned int flags, void **p);
/* Waits for the device to be done with it. */
CUresult vg_hostmem_free(uint64_t p, enum vg_range_kind kind);
/* mapped.c: what all of [p, p + bytes) is; false: there is a gap in it. */
struct vg_mapped {
	bool read, write;		/* what the program may do there */
	bool io;			/* some of it is a device's */
};

bool vg_mapped(uint64_t p, uint64_t bytes, struct vg_mapped *is);
/* Say, once, that there is no such memory here. */
void vg_hostmem_staged(CUresult why);

#endif /* VG_HOSTMEM_H */
