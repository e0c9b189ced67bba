// SPDX-License-Identifier: Apache-2.0
/* Bounds on what one user of the socket, or one vGPU, may ask for. */
#include <stdlib.h>

#include "mediator.h"

#define BURST_S 2	/* seconds' worth of starts that may come at once */

static LIST_HEAD(, vg_user) users = LIST_HEAD_INITIALIZER(users);

int64_t vg_rate_wait(struct vg_rate *r, uint64_t starts)
{
	int64_t now = vg_now_ms(), full = INT64_C(1000) * BURST_S * starts;

	/* In thousandths of a start. */
	if (!r->since)
		r->left = full;
	else
		r->left += (now - r->since) * starts;
	if (r->left > full)
		r->left = full;
	r->since = now;
	return r->left >= 1000 ? 0 : (1000 - r->left) / (int64_t)starts + 1;
}

void vg_rate_spend(struct vg_rate *r)
{
	r->left -= 1000;
}

struct vg_user *vg_user_get(uid_t uid)
{
	struct vg_user *u;

	LIST_FOREACH(u, &users, node)
		if (u->uid == uid)
			break;
	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return NULL;
		u->closer = vg_closer_new();
		if (!u->closer) {
			free(u);
			return NULL;
		}
		u->uid = uid;
		LIST_INSERT_HEAD(&users, u, node);
	}
	u->refs++;
	return u;
}

void vg_user_put(struct vg_user *u)
{
	u->refs--;
}

/*
 * One that comes again at once must not find a full bucket, so a user is kept for a while, and
 * for as long as files of it are being closed, because these count.
 */
void vg_users_tick(void)
{
	struct vg_user *u, *next;

	for (u = LIST_FIRST(&users); u; u = next) {
		next = LIST_NEXT(u, node);
		if (u->refs || vg_closer_open(u->closer) ||
		    vg_now_ms() - u->starts.since < 1000 * BURST_S)
			continue;
		LIST_REMOVE(u, node);
		vg_uid_put(u->executors);
		vg_closer_put(u->closer);
		free(u);
	}
}
