// SPDX-License-Identifier: Apache-2.0
/*
 * Page-locked memory for copies in graphs.  To free it waits for the device, which may be waiting
 * for what the program does next; and a graph's end is told where no call may be made.  So it is
 * kept for the next copies, and freed with a context alone.
 */
#include <pthread.h>
#include <stdlib.h>

#include "graph_spare.h"
#include "hostmem.h"
#include "common/storage.h"

#define LEAST		4096u
#define KEPT_MAX	(64u << 20)	/* of a context; with more, a larger piece will do, too */

/* A context's. */
struct home {
	struct vg_spare *spares;
	size_t kept;			/* bytes of these */
	unsigned int out;		/* taken, and not yet given back */
	bool gone;			/* the context has, and freed only when nothing is out */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* homes and `lost` */
static struct vg_spare *lost;		/* given back after their context had gone */
static char key;

static void free_all(struct vg_spare *list)
{
	struct vg_spare *next;

	for (; list; list = next) {
		next = list->next;
		vg_hostmem_free((uintptr_t)list->p, VG_RANGE_HOST);
		free(list);
	}
}

static void home_end(CUcontext ctx, void *unused, void *value)
{
	struct vg_object *o = vg_object_get(ctx, VG_CONTEXT);
	struct home *h = value;
	struct vg_spare *list, *old;
	bool pushed;

	(void)unused;
	pthread_mutex_lock(&lock);
	list = h->spares;
	h->spares = NULL;
	h->gone = true;
	if (!h->out)
		free(h);
	old = lost;
	lost = NULL;
	pthread_mutex_unlock(&lock);
	pushed = (list || old) && o && !vg_context_push(o);
	free_all(list);
	free_all(old);
	if (pushed)
		vg_context_pop(&o);
}

static struct home *home_locked(void)
{
	struct vg_context *c = vg_current();
	struct home *h;
	void *value;

	if (!vg_storage_get(c, &key, &value))
		return value;
	h = calloc(1, sizeof(*h));
	if (h && vg_storage_put(c, &key, h, home_end)) {
		free(h);
		h = NULL;
	}
	return h;
}

/* Sizes in steps of an eighth at most, so that other copies find what one has left. */
static size_t rounded(size_t bytes)
{
	size_t step = LEAST;

	while (step < bytes / 8)
		step *= 2;
	return (bytes + step - 1) & ~(step - 1);
}

/* One of this size; if much is kept, else the smallest that is larger. */
static struct vg_spare *find_locked(struct home *h, size_t bytes)
{
	struct vg_spare **at, **best = NULL, *s;

	for (at = &h->spares; *at; at = &(*at)->next) {
		size_t has = (*at)->bytes;

		if (has == bytes || (has > bytes && h->kept > KEPT_MAX &&
				     (!best || has < (*best)->bytes)))
			best = at;
		if (has == bytes)
			break;
	}
	if (!best)
		return NULL;
	s = *best;
	*best = s->next;
	h->kept -= s->bytes;
	return s;
}

static CUresult spare_new(size_t bytes, struct vg_spare **made)
{
	struct vg_spare *s = calloc(1, sizeof(*s));
	CUresult r;

	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->bytes = bytes;
	r = vg_hostmem_new(bytes, VG_RANGE_HOST, CU_MEMHOSTALLOC_DEVICEMAP, &s->p);
	if (r)
		free(s);
	else
		*made = s;
	return r;
}

CUresult vg_spare_take(size_t bytes, struct vg_spare **out)
{
	struct vg_spare *s;
	size_t want = rounded(bytes);
	CUresult r = vg_context_ready();
	struct home *h;

	if (r || want < bytes)
		return r ? r : CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&lock);
	h = home_locked();
	s = h ? find_locked(h, want) : NULL;
	if (h)
		h->out++;
	pthread_mutex_unlock(&lock);
	if (!h)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = s ? CUDA_SUCCESS : spare_new(want, &s);
	if (!r) {
		s->home = h;
		*out = s;
		return CUDA_SUCCESS;
	}
	pthread_mutex_lock(&lock);
	if (!--h->out && h->gone)
		free(h);
	pthread_mutex_unlock(&lock);
	return r;
}

void vg_spare_give(struct vg_spare *s)
{
	struct home *h = s->home;

	pthread_mutex_lock(&lock);
	if (h->gone) {
		s->next = lost;
		lost = s;
	} else {
		s->next = h->spares;
		h->spares = s;
		h->kept += s->bytes;
	}
	if (!--h->out && h->gone)
		free(h);
	pthread_mutex_unlock(&lock);
}
