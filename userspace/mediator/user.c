// SPDX-License-Identifier: Apache-2.0
/* Bounds on what one user of the socket, or one vGPU, may ask for. */
#include <stdlib.h>

#include "mediator.h"

#define BURST_S 2	/* seconds' worth of starts that may come at once, unless said */

static LIST_HEAD(, vg_user) users = LIST_HEAD_INITIALIZER(users);

static uint64_t burst_of(const struct vg_tenant *t)
{
	uint64_t burst = vg_quota(t, VG_QUOTA_STARTS_BURST);

	return burst ? burst : BURST_S * vg_quota(t, VG_QUOTA_STARTS);
}

int64_t vg_rate_wait(struct vg_rate *r, const struct vg_tenant *t)
{
	int64_t now = vg_now_ms(), starts = vg_quota(t, VG_QUOTA_STARTS);
	int64_t full = INT64_C(1000) * burst_of(t);

	/* In thousandths of a start. */
	if (!r->since)
		r->left = full;
	else
		r->left += (now - r->since) * starts;
	if (r->left > full)
		r->left = full;
	r->since = now;
	r->full = full;
	r->starts = starts;
	return r->left >= 1000 ? 0 : (1000 - r->left) / starts + 1;
}

static bool is_full(const struct vg_rate *r)
{
	return r->left + (vg_now_ms() - r->since) * r->starts >= r->full;
}

void vg_rate_spend(struct vg_rate *r)
{
	r->left -= 1000;
}

/* A tenant with a socket of its own counts as one, whatever users its programs run as. */
static uid_t counted_as(const struct vg_tenant *t, uid_t uid)
{
	return t->named ? VG_USER_ALL : uid;
}

struct vg_user *vg_user_find(const struct vg_tenant *t, uid_t uid)
{
	struct vg_user *u;

	uid = counted_as(t, uid);
	LIST_FOREACH(u, &users, node)
		if (u->tenant == t && u->uid == uid)
			break;
	return u;
}

struct vg_user *vg_user_get(const struct vg_tenant *t, uid_t uid)
{
	struct vg_user *u = vg_user_find(t, uid);

	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return NULL;
		u->closer = vg_closer_new();
		if (!u->closer) {
			free(u);
			return NULL;
		}
		u->tenant = t;
		u->uid = counted_as(t, uid);
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
 * One that comes again at once must not find a full bucket, or its faults forgotten, so a user is
 * kept for a while, and for as long as files of it are being closed, because these count.
 */
void vg_users_tick(void)
{
	struct vg_user *u, *next;

	for (u = LIST_FIRST(&users); u; u = next) {
		next = LIST_NEXT(u, node);
		/* What is kept needs no id, and whoever is many users would take all that there are. */
		if (!u->refs) {
			vg_uid_put(u->executors);
			u->executors = 0;
		}
		if (u->refs || vg_faults_count(&u->faults, u->tenant) ||
		    vg_closer_open(u->closer) || !is_full(&u->starts))
			continue;
		LIST_REMOVE(u, node);
		vg_faults_forget(&u->faults);
		vg_closer_put(u->closer);
		free(u);
	}
}
