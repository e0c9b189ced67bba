// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that nodes of graphs allocate.  The address is the node's from its making on; it counts
 * against the device, and as reserved, from the first launch until it is trimmed.
 */
#include <stdlib.h>

#include "graph.h"

#define PIECE (2ull << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below, and all allocations */
static struct sg_graph_alloc *allocs;
static uint64_t used[SG_MAX_DEVICES], used_high[SG_MAX_DEVICES];
static uint64_t reserved[SG_MAX_DEVICES], reserved_high[SG_MAX_DEVICES];

static uint64_t whole(uint64_t bytes)
{
	return (bytes + PIECE - 1) & ~(PIECE - 1);
}

CUresult sg_graph_alloc_new(CUdevice dev, size_t bytes, struct sg_graph_alloc **out)
{
	struct sg_graph_alloc *a = calloc(1, sizeof(*a));
	CUresult rc;

	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->dev = sg_device(dev);
	a->bytes = bytes;
	a->refs = 1;
	rc = a->dev ? sg_heap_alloc(&a->dev->heap, bytes, 512, RG_GRAPH, a, &a->at) :
		      CUDA_ERROR_INVALID_VALUE;
	if (rc) {
		free(a);
		return rc;
	}
	pthread_mutex_lock(&lock);
	a->next = allocs;
	allocs = a;
	pthread_mutex_unlock(&lock);
	*out = a;
	return CUDA_SUCCESS;
}

void sg_graph_alloc_get(struct sg_graph_alloc *a)
{
	pthread_mutex_lock(&lock);
	a->refs++;
	pthread_mutex_unlock(&lock);
}

static void drop_locked(struct sg_graph_alloc *a)
{
	int d = a->dev->index;

	if (a->live)
		used[d] -= a->bytes;
	if (a->resident) {
		reserved[d] -= whole(a->bytes);
		sg_heap_uncharge(&a->dev->heap, whole(a->bytes));
	}
	a->live = a->resident = false;
}

void sg_graph_alloc_put(struct sg_graph_alloc *a)
{
	struct sg_graph_alloc **at;

	pthread_mutex_lock(&lock);
	/* What a launch left allocated stays until it is freed, though no graph has it. */
	if (--a->refs || a->live) {
		pthread_mutex_unlock(&lock);
		return;
	}
	for (at = &allocs; *at != a; at = &(*at)->next)
		;
	*at = a->next;
	drop_locked(a);
	pthread_mutex_unlock(&lock);
	sg_heap_free(&a->dev->heap, a->at);
	free(a);
}

CUresult sg_graph_alloc_take(struct sg_graph_alloc *a)
{
	CUresult rc = CUDA_SUCCESS;
	int d = a->dev->index;

	pthread_mutex_lock(&lock);
	if (a->live) {
		rc = CUDA_ERROR_INVALID_VALUE;
	} else if (!a->resident && !sg_heap_charge(&a->dev->heap, whole(a->bytes))) {
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	} else {
		a->live = true;
		used[d] += a->bytes;
		if (!a->resident)
			reserved[d] += whole(a->bytes);
		a->resident = true;
		if (used[d] > used_high[d])
			used_high[d] = used[d];
		if (reserved[d] > reserved_high[d])
			reserved_high[d] = reserved[d];
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

struct sg_graph_alloc *sg_graph_alloc_at(CUdeviceptr at)
{
	struct sg_range r;

	return sg_range_find(at, &r) && r.kind == RG_GRAPH && r.addr == at ? r.owner : NULL;
}

bool sg_graph_alloc_held(CUdeviceptr at)
{
	struct sg_graph_alloc *a = sg_graph_alloc_at(at);
	bool held;

	pthread_mutex_lock(&lock);
	held = a && a->refs;
	pthread_mutex_unlock(&lock);
	return held;
}

CUresult sg_graph_alloc_free(CUdeviceptr at)
{
	struct sg_graph_alloc *a = sg_graph_alloc_at(at);
	bool live, last;

	if (!a)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	live = a->live;
	if (live)
		used[a->dev->index] -= a->bytes;
	a->live = false;
	last = live && !a->refs;
	if (last)
		a->refs = 1;
	pthread_mutex_unlock(&lock);
	if (last)
		sg_graph_alloc_put(a);
	return live ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuDeviceGraphMemTrim(CUdevice dev)
{
	SG_NEED_INIT();
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&lock);
	for (struct sg_graph_alloc *a = allocs; a; a = a->next)
		if (a->dev == sg_device(dev) && !a->live)
			drop_locked(a);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetGraphMemAttribute(CUdevice dev, CUgraphMem_attribute what, void *value)
{
	uint64_t *const from[] = { used, used_high, reserved, reserved_high };

	SG_NEED_INIT();
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!value || (unsigned int)what > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	*(cuuint64_t *)value = from[what][dev];
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/* The high marks can be set back. */
SG_API CUresult cuDeviceSetGraphMemAttribute(CUdevice dev, CUgraphMem_attribute what, void *value)
{
	SG_NEED_INIT();
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!value || *(cuuint64_t *)value || (what != CU_GRAPH_MEM_ATTR_USED_MEM_HIGH &&
					       what != CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (what == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH)
		used_high[dev] = used[dev];
	else
		reserved_high[dev] = reserved[dev];
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}
