// SPDX-License-Identifier: Apache-2.0
/*
 * User objects.  The program's own references are counted here.  What a graph
 * holds is a user object of the driver's for each retain, with as many
 * references: the driver knows best when a graph, its clones and its executions
 * are done with it, and tells by the destructor.  When nothing is left, the
 * program's destructor runs in the guest.
 *
 * So the driver never gets an object that it may have freed: one that a graph
 * holds is known by its graph's id and how often that has been bound.
 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "vg_cuda.h"

#define OBJECTS_MAX	(1u << 16)
#define HOLDS_MAX	(1u << 20)

struct hold {
	struct hold *next;
	struct object *object;
	CUuserObject driver;
	uint64_t serial;
	uint32_t graph;
	unsigned int left;		/* of the graph's references; 0: it may be freed */
};

struct object {
	struct object *next;
	struct vg_exec *exec;
	uint32_t id, cookie;
	uint64_t refs;			/* the program's */
	struct hold *holds;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static pthread_cond_t more_ended = PTHREAD_COND_INITIALIZER;
static struct object *objects, *ended, **ended_tail = &ended;
static unsigned int count, holds;	/* objects, ended ones too; what graphs hold */
static bool started;

static struct object *find(uint32_t id)
{
	struct object *o;

	for (o = objects; o && o->id != id; o = o->next)
		;
	return o;
}

/*
 * Destructors run one after the other on a thread of their own: the one that lets
 * go may be the ring's, and the guest's is perhaps in a host function that waits
 * for a later call.
 */
static void *destruct(void *unused)
{
	struct object *o;

	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!ended)
			pthread_cond_wait(&more_ended, &lock);
		o = ended;
		ended = o->next;
		if (!ended)
			ended_tail = &ended;
		pthread_mutex_unlock(&lock);
		vg_x_run_in_guest(o->cookie, CUDA_SUCCESS);
		free(o);
		pthread_mutex_lock(&lock);
		count--;
	}
	return NULL;
}

static bool start_locked(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (started)
		return true;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	started = !pthread_create(&thread, &attr, destruct, NULL);
	pthread_attr_destroy(&attr);
	return started;
}

/* Unlocks.  The last reference has gone: so has the object, and then its destructor runs. */
static void unlock_and_settle(struct object *o)
{
	struct object **at;
	uint64_t v;

	if (!o->refs && !o->holds) {
		for (at = &objects; *at != o; at = &(*at)->next)
			;
		*at = o->next;
		vg_handle_take(vg_exec_handles(o->exec), o->id, VG_USER_OBJECT, &v);
		o->next = NULL;
		*ended_tail = o;
		ended_tail = &o->next;
		pthread_cond_signal(&more_ended);
	}
	pthread_mutex_unlock(&lock);
}

/* The driver's: a graph and all that was made of it have let go. */
static void let_go(void *arg)
{
	struct hold *h = arg, **at;
	struct object *o = h->object;

	pthread_mutex_lock(&lock);
	for (at = &o->holds; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	holds--;
	unlock_and_settle(o);
	free(h);
}

CUresult vge_vgpu_user_object(struct vg_exec *x, const struct vg_req *rq, CUuserObject *out,
			      unsigned int cookie, unsigned int refs)
{
	const struct vg_rq_vgpu_user_object *q = rq->payload;
	struct object *o;

	if (!cu.cuUserObjectCreate || !cu.cuUserObjectRelease || !cu.cuGraphRetainUserObject ||
	    !cu.cuGraphReleaseUserObject)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!refs || refs > INT_MAX || !vg_x_callbacks_ready())
		return CUDA_ERROR_INVALID_VALUE;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*o = (struct object){ .exec = x, .id = q->object, .cookie = cookie, .refs = refs };
	pthread_mutex_lock(&lock);
	if (count >= OBJECTS_MAX || !start_locked()) {
		pthread_mutex_unlock(&lock);
		free(o);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	count++;
	o->next = objects;
	objects = o;
	pthread_mutex_unlock(&lock);
	/* The handle stands for the id; it is never followed. */
	*out = (CUuserObject)(uintptr_t)q->object;
	return CUDA_SUCCESS;
}

CUresult vge_cuUserObjectRetain(struct vg_exec *x, const struct vg_req *rq, CUuserObject object,
				unsigned int n)
{
	struct object *o;

	(void)x;
	(void)rq;
	pthread_mutex_lock(&lock);
	o = find((uint32_t)(uintptr_t)object);
	if (o && n && n <= INT_MAX)
		o->refs += n;
	else
		o = NULL;
	pthread_mutex_unlock(&lock);
	return o ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult vge_cuUserObjectRelease(struct vg_exec *x, const struct vg_req *rq, CUuserObject object,
				 unsigned int n)
{
	struct object *o;

	(void)x;
	(void)rq;
	pthread_mutex_lock(&lock);
	o = find((uint32_t)(uintptr_t)object);
	if (!o || !n || n > o->refs) {
		pthread_mutex_unlock(&lock);
		return CUDA_ERROR_INVALID_VALUE;
	}
	o->refs -= n;
	unlock_and_settle(o);
	return CUDA_SUCCESS;
}

CUresult vge_cuGraphRetainUserObject(struct vg_exec *x, const struct vg_req *rq, CUgraph graph,
				     CUuserObject object, unsigned int n, unsigned int flags)
{
	const struct vg_rq_cuGraphRetainUserObject *q = rq->payload;
	bool move = flags & CU_GRAPH_USER_OBJECT_MOVE;
	struct hold *h = calloc(1, sizeof(*h));
	struct object *o;
	CUresult r = CUDA_SUCCESS;

	if (!h)
		return CUDA_ERROR_OUT_OF_MEMORY;
	h->graph = q->graph;
	pthread_mutex_lock(&lock);
	o = find((uint32_t)(uintptr_t)object);
	if (!o || !n || n > INT_MAX || flags & ~CU_GRAPH_USER_OBJECT_MOVE ||
	    (move && n > o->refs) ||
	    !vg_handle_serial(vg_exec_handles(x), q->graph, VG_GRAPH, &h->serial))
		r = CUDA_ERROR_INVALID_VALUE;
	else if (holds >= HOLDS_MAX)
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (!r) {
		/* Held from here on, so that it lasts until the driver has its own. */
		h->object = o;
		h->next = o->holds;
		o->holds = h;
		holds++;
	}
	pthread_mutex_unlock(&lock);
	if (r) {
		free(h);
		return r;
	}
	r = cu.cuUserObjectCreate(&h->driver, h, let_go, n, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
	if (r) {
		let_go(h);
		return r;
	}
	r = cu.cuGraphRetainUserObject(graph, h->driver, n, CU_GRAPH_USER_OBJECT_MOVE);
	if (r) {
		cu.cuUserObjectRelease(h->driver, n);
		return r;
	}
	/* No destructor before this: the graph's id is still bound, so the graph is. */
	pthread_mutex_lock(&lock);
	h->left = n;
	if (move)
		o->refs -= n;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/* Some of what the graph holds; the driver is called without the lock, which let_go() takes. */
CUresult vge_cuGraphReleaseUserObject(struct vg_exec *x, const struct vg_req *rq, CUgraph graph,
				      CUuserObject object, unsigned int n)
{
	const struct vg_rq_cuGraphReleaseUserObject *q = rq->payload;
	uint64_t held = 0, serial;

	if (!n || !vg_handle_serial(vg_exec_handles(x), q->graph, VG_GRAPH, &serial))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	for (struct object *o = find((uint32_t)(uintptr_t)object); o; o = NULL)
		for (struct hold *h = o->holds; h; h = h->next)
			held += h->graph == q->graph && h->serial == serial ? h->left : 0;
	pthread_mutex_unlock(&lock);
	if (n > held)
		return CUDA_ERROR_INVALID_VALUE;
	while (n) {
		CUuserObject driver = NULL;
		unsigned int some = 0;
		struct object *o;
		struct hold *h;
		CUresult r;

		pthread_mutex_lock(&lock);
		o = find((uint32_t)(uintptr_t)object);
		for (h = o ? o->holds : NULL; h; h = h->next)
			if (h->graph == q->graph && h->serial == serial && h->left)
				break;
		if (h) {
			some = n < h->left ? n : h->left;
			h->left -= some;
			driver = h->driver;
		}
		pthread_mutex_unlock(&lock);
		if (!h)
			return CUDA_ERROR_INVALID_VALUE;
		r = cu.cuGraphReleaseUserObject(graph, driver, some);
		if (r)
			return r;
		n -= some;
	}
	return CUDA_SUCCESS;
}
