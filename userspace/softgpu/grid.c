// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the blocks of a launch. The thread of the stream works itself, and idle threads of a pool
 * help. A block that takes long is set aside so that another can begin: blocks may wait for each
 * other, those of a cooperative launch in particular.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

#define LONG_BLOCK (64ull << 20)	/* instructions before a block is set aside */
#define COOP_SLICE (256ull << 10)
#define RESIDENT 64

struct grid {
	struct sg_launch *launch;
	struct grid *next;
	uint64_t total, started, done;
	uint64_t resident, max_resident;
	uint64_t slice;
	struct sg_block **parked;	/* a ring, so that each gets its turn */
	uint64_t first, count, cap;
	int workers;			/* inside the grid */
	pthread_cond_t moved;
};

/* Guards the list of grids and all fields of a grid. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static struct grid *grids;
static int pool_size = -1;
static _Atomic int next_worker = 1;

static bool failed(const struct grid *g)
{
	return atomic_load_explicit(&g->launch->error, memory_order_relaxed) != 0;
}

static bool can_start(const struct grid *g)
{
	return g->started < g->total && g->resident < g->max_resident && !failed(g);
}

/* Takes a block to run, the new ones first; b may be a finished one to use again. */
static struct sg_block *take(struct grid *g, struct sg_block **spare)
{
	struct sg_block *b = NULL;

	if (can_start(g)) {
		uint64_t index = g->started++;

		g->resident++;
		if (*spare) {
			b = *spare;
			*spare = NULL;
			pthread_mutex_unlock(&lock);
			sg_block_reset(b, index);
			pthread_mutex_lock(&lock);
			return b;
		}
		pthread_mutex_unlock(&lock);
		b = sg_block_new(g->launch, index);
		pthread_mutex_lock(&lock);
		if (!b) {
			int none = 0;

			g->resident--;
			atomic_compare_exchange_strong(&g->launch->error, &none,
						       CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
		}
		return b;
	}
	if (g->count) {
		b = g->parked[g->first];
		g->first = (g->first + 1) % g->cap;
		g->count--;
	}
	return b;
}

static void park(struct grid *g, struct sg_block *b)
{
	g->parked[(g->first + g->count++) % g->cap] = b;
	pthread_cond_broadcast(&g->moved);
	if (g->count > 1)
		pthread_cond_broadcast(&wanted);
}

static bool over(const struct grid *g)
{
	return (g->done == g->total || failed(g)) && !g->resident;
}

/* Works until nothing is left to take; the owner stays until all is done. */
static void work(struct grid *g, struct sg_exec *x, bool owner)
{
	struct sg_block *spare = NULL, *b;

	g->workers++;
	while (!over(g)) {
		enum sg_run r;

		b = take(g, &spare);
		if (!b) {
			if (!owner || over(g))
				break;
			pthread_cond_wait(&g->moved, &lock);
			continue;
		}
		pthread_mutex_unlock(&lock);
		r = failed(g) ? RUN_FAULT : sg_block_run(x, b, g->slice);
		pthread_mutex_lock(&lock);
		if (r == RUN_YIELD) {
			park(g, b);
			continue;
		}
		g->resident--;
		g->done += r == RUN_DONE;
		if (r == RUN_DONE && !spare) {
			spare = b;
		} else {
			pthread_mutex_unlock(&lock);
			sg_block_free(b);
			pthread_mutex_lock(&lock);
		}
		if (over(g))
			pthread_cond_broadcast(&g->moved);
	}
	g->workers--;
	if (!owner)
		pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&lock);
	sg_block_free(spare);
	pthread_mutex_lock(&lock);
}

static void *pool_main(void *arg)
{
	struct sg_exec *x = aligned_alloc(64, (sizeof(*x) + 63) & ~(size_t)63);

	(void)arg;
	if (!x)
		return NULL;
	memset(x, 0, sizeof(*x));
	x->worker = atomic_fetch_add(&next_worker, 1);
	pthread_mutex_lock(&lock);
	for (;;) {
		struct grid *g = grids;

		while (g && !can_start(g) && !g->count)
			g = g->next;
		if (g)
			work(g, x, false);
		else
			pthread_cond_wait(&wanted, &lock);
	}
	return NULL;
}

static void start_pool_locked(void)
{
	const char *env = getenv("VGPU_SOFTGPU_THREADS");
	pthread_attr_t attr;
	cpu_set_t cpus;
	int n = 1;

	if (pool_size >= 0)
		return;
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		n = CPU_COUNT(&cpus);
	if (env && atoi(env) > 0)
		n = atoi(env);
	if (n > 64)
		n = 64;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 << 10);
	/* the stream's own thread is one of them */
	for (pool_size = 0; pool_size < n - 1; pool_size++) {
		pthread_t t;

		if (pthread_create(&t, &attr, pool_main, NULL))
			break;
	}
	pthread_attr_destroy(&attr);
}

static _Thread_local struct sg_exec own;

int sg_grid_run(struct sg_launch *l)
{
	struct grid g = { .launch = l };
	struct grid **pp;

	if (!own.worker)
		own.worker = atomic_fetch_add(&next_worker, 1);
	g.total = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
	g.max_resident = l->cooperative ? g.total : RESIDENT;
	g.slice = l->cooperative ? COOP_SLICE : LONG_BLOCK;
	g.cap = g.max_resident;
	g.parked = malloc(g.cap * sizeof(*g.parked));
	if (!g.parked)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_cond_init(&g.moved, NULL);
	pthread_mutex_lock(&lock);
	start_pool_locked();
	g.next = grids;
	grids = &g;
	if (g.total > 1)
		pthread_cond_broadcast(&wanted);
	work(&g, &own, true);
	for (pp = &grids; *pp != &g; pp = &(*pp)->next)
		;
	*pp = g.next;
	while (g.workers)
		pthread_cond_wait(&g.moved, &lock);
	pthread_mutex_unlock(&lock);
	/* a failed launch may leave blocks that were set aside */
	for (; g.count; g.count--, g.first = (g.first + 1) % g.cap)
		sg_block_free(g.parked[g.first]);
	pthread_cond_destroy(&g.moved);
	free(g.parked);
	return atomic_load(&l->error);
}
