/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory and the map from addresses to allocations.
 *
 * Device addresses lie in a reserved range that the host cannot touch; the bytes are kept in a
 * mapping of their own, a constant distance away. Kernels reach memory through the map only, so
 * that every access is checked.
 */
#ifndef SG_HEAP_H
#define SG_HEAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sg_range_kind {
	RG_DEVICE,		/* cuMemAlloc */
	RG_POOL,		/* cuMemAllocAsync */
	RG_MODULE,		/* a module's variables */
	RG_MALLOC,		/* malloc in a kernel */
	RG_INTERNAL,
	RG_HOST,		/* cuMemHostAlloc */
	RG_REGISTERED,		/* cuMemHostRegister */
	RG_MANAGED,
	RG_MAPPED,		/* cuMemMap */
	RG_GRAPH,		/* a graph's allocation: counted by the graph, while it has memory */
	RG_OPENED,		/* cuIpcOpenMemHandle */
};

struct sg_range {
	uint64_t addr, size;
	int64_t delta;		/* host address = addr + delta */
	enum sg_range_kind kind;
	unsigned int flags;	/* as the program gave them */
	bool read_only;
	void *owner;		/* the context */
	uint64_t id;
	int device;
};

/*
 * A device hands its memory out in pieces of 2 MiB, as NVIDIA's do: what takes more than
 * SG_SHARED_MAX has pieces of its own, and smaller blocks share some.
 */
#define SG_PIECE	(2ull << 20)
#define SG_SHARED_MAX	(SG_PIECE / 2)

/* One device's memory. */
struct sg_heap {
	int device;
	uint64_t base, total, span;	/* whole pieces from `base` on, of which `total` may be used */
	char *backing;
	int fd;			/* what backs it, so that others can open it; -1: cannot */
	uint64_t used;		/* whole pieces, and what is charged */
	uint64_t malloc_used;
	uint32_t *blocks;	/* of each piece, counted from `base`: those that share it */
	struct sg_hole *holes;	/* free space, by address */
};

/* Windows of the generic address space that are no memory of their own. */
#define SG_WINDOW (1ull << 24)
extern uint64_t sg_win_shared, sg_win_local, sg_win_param, sg_win_code;

bool sg_address_space_init(void);
bool sg_heap_init(struct sg_heap *h, int device, uint64_t total);

/* Results are 0 or a CUresult. */
int sg_heap_alloc(struct sg_heap *h, uint64_t size, uint64_t align, enum sg_range_kind kind,
		  void *owner, uint64_t *addr);
int sg_heap_free(struct sg_heap *h, uint64_t addr);
/* Memory that is kept elsewhere and counts as the device's. */
bool sg_heap_charge(struct sg_heap *h, uint64_t bytes);
void sg_heap_uncharge(struct sg_heap *h, uint64_t bytes);
uint64_t sg_heap_used(struct sg_heap *h);

int sg_range_add(const struct sg_range *r);
bool sg_range_remove(uint64_t addr, struct sg_range *out);
/* The range that holds addr. */
bool sg_range_find(uint64_t addr, struct sg_range *out);
/* The first range at or after addr that belongs to owner. */
bool sg_range_of_owner(uint64_t addr, const void *owner, struct sg_range *out);

/* Changes whenever a range goes; cached look-ups of an older generation are void. */
extern _Atomic uint64_t sg_range_generation;

static inline bool sg_in_window(uint64_t addr, uint64_t window)
{
	return addr - window < SG_WINDOW;
}

#endif
