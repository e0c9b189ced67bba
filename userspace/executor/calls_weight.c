// SPDX-License-Identifier: Apache-2.0
/*
 * What graphs weigh: host memory that the driver holds for them, in bytes of the budget for
 * objects.  Ids of graphs and nodes count by themselves (handles.h).  What a call puts into a
 * graph under capture has no id, and is counted here before the driver gets the call.  Which of
 * several captures it goes into is not known, because streams join a capture by events.  So
 * each capture takes with it all that was counted from its begin to its end.
 */
#include <pthread.h>
#include <string.h>

#include "budget.h"
#include "calls.h"
#include "exec_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct vg_x_tally *tallies;	/* of the captures under way */
static uint64_t counted;		/* bytes, by all captures since the executor began */
static uint64_t held;			/* of these in the budget for the captures under way */

static void count_locked(uint64_t bytes)
{
	counted += bytes;
	held += bytes;
}

void vg_x_tally_begin(struct vg_x_tally *t)
{
	pthread_mutex_lock(&lock);
	t->since = counted;
	t->next = tallies;
	tallies = t;
	pthread_mutex_unlock(&lock);
}

uint64_t vg_x_tally_end(struct vg_x_tally *t)
{
	uint64_t share, needed = 0;
	struct vg_x_tally **at;

	pthread_mutex_lock(&lock);
	for (at = &tallies; *at != t; at = &(*at)->next)
		;
	*at = t->next;
	share = counted - t->since;
	/* What the others still need. */
	for (const struct vg_x_tally *o = tallies; o; o = o->next)
		if (counted - o->since > needed)
			needed = counted - o->since;
	if (share + needed > held)
		vg_budget_owe(VG_BUDGET_OBJECTS, share + needed - held);
	else
		vg_budget_give(VG_BUDGET_OBJECTS, held - share - needed);
	held = needed;
	pthread_mutex_unlock(&lock);
	return share;
}

uint64_t vg_x_tally_so_far(const struct vg_x_tally *t)
{
	uint64_t bytes;

	pthread_mutex_lock(&lock);
	bytes = counted - t->since;
	pthread_mutex_unlock(&lock);
	return bytes;
}

void vg_x_tally_owe(uint64_t bytes)
{
	vg_budget_owe(VG_BUDGET_OBJECTS, bytes);
	pthread_mutex_lock(&lock);
	count_locked(bytes);
	pthread_mutex_unlock(&lock);
}

uint64_t vg_x_weight(struct vg_exec *x, uint32_t graph)
{
	return vg_handle_weight(vg_exec_handles(x), graph) + vg_x_captures_weight(x, graph);
}

bool vg_capture_count(struct vg_exec *x, const struct vg_adds *adds, const struct vg_req *rq)
{
	uint64_t bytes = VG_NODE_BYTES + rq->bytes + adds->bytes;
	uint32_t id;

	if (adds->edges)
		bytes += rq->bytes / sizeof(id) * VG_EDGE_BYTES;
	if (adds->graph) {
		memcpy(&id, (const uint8_t *)rq->payload + adds->graph_at, sizeof(id));
		bytes += vg_x_weight(x, id);
	}
	if (!vg_budget_take(VG_BUDGET_OBJECTS, bytes))
		return false;
	pthread_mutex_lock(&lock);
	count_locked(bytes);
	pthread_mutex_unlock(&lock);
	return true;
}
