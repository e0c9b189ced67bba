// SPDX-License-Identifier: Apache-2.0
/*
 * Programs ask for page-locked memory in kilobytes, too.  Such pieces come out of slabs
 * of a huge page each: one call of the driver's is all that an allocation takes, without
 * memory to be made and shared.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>

#include "client.h"
#include "slab.h"

#define PAGE	4096u
#define PAGES	(VG_SLAB_BYTES / PAGE)

struct vg_slab {
	LIST_ENTRY(vg_slab) node;
	struct vg_share share;
	unsigned int used;		/* pages */
	bool taken[PAGES];
};

static LIST_HEAD(, vg_slab) slabs = LIST_HEAD_INITIALIZER(slabs);
static unsigned int empty;		/* of them: one is kept for the next */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned int pages_of(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE;
}

/* The first of so many in a row; PAGES: there are none. */
static unsigned int fit(const struct vg_slab *s, unsigned int pages)
{
	unsigned int free_run = 0;

	if (PAGES - s->used < pages)
		return PAGES;
	for (unsigned int i = 0; i < PAGES; i++) {
		free_run = s->taken[i] ? 0 : free_run + 1;
		if (free_run == pages)
			return i + 1 - pages;
	}
	return PAGES;
}

static void *mark(struct vg_slab *s, unsigned int at, unsigned int pages)
{
	empty -= !s->used;
	memset(s->taken + at, true, pages);
	s->used += pages;
	return (uint8_t *)s->share.p + (size_t)at * PAGE;
}

CUresult vg_slab_take(size_t bytes, struct vg_slab **slab, void **p)
{
	unsigned int pages = pages_of(bytes), at = PAGES;
	CUresult r = CUDA_SUCCESS;
	struct vg_slab *s;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(s, &slabs, node) {
		at = fit(s, pages);
		if (at < PAGES)
			break;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		r = s ? vg_share_new(&s->share, VG_SLAB_BYTES) : CUDA_ERROR_OUT_OF_MEMORY;
		if (r) {
			free(s);
			pthread_mutex_unlock(&lock);
			return r;
		}
		LIST_INSERT_HEAD(&slabs, s, node);
		empty++;
		at = 0;
	}
	*slab = s;
	*p = mark(s, at, pages);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

void vg_slab_give(struct vg_slab *s, void *p, size_t bytes)
{
	unsigned int at = ((uint8_t *)p - (uint8_t *)s->share.p) / PAGE, pages = pages_of(bytes);

	pthread_mutex_lock(&lock);
	memset(s->taken + at, false, pages);
	s->used -= pages;
	if (!s->used && empty) {
		LIST_REMOVE(s, node);
		vg_share_end(&s->share);
		munmap(s->share.p, VG_SLAB_BYTES);
		free(s);
	} else {
		empty += !s->used;
	}
	pthread_mutex_unlock(&lock);
}
