// SPDX-License-Identifier: Apache-2.0
/*
 * Quarantine: a vGPU, or a user of the socket, whose programs have ended by so many faults in a time gets
 * no new ones until the operator releases it. What is in quarantine is kept with what was set
 * (state.c), so a mediator that is started again knows it.
 *
 * A program counts once, when its executor has been reaped: if that ended by a signal that the
 * mediator did not send, if the program broke the protocol or lost a context by an error, or if it
 * was ended for a launch that took too long.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "mediator.h"
#include "state.h"

/*
 * Users of [socket] have one vGPU together, and each answers for himself. A section [socket NAME] is one
 * tenant's, who answers for all.
 */
void vg_quarantine_name(const struct vg_tenant *t, const struct vg_user *u,
			char name[VG_STATE_NAME])
{
	if (u && !t->named)
		snprintf(name, VG_STATE_NAME, "%s:%u", t->uuid, u->uid);
	else
		snprintf(name, VG_STATE_NAME, "%s", t->uuid);
}

bool vg_quarantined(const struct vg_tenant *t, const struct vg_user *u)
{
	char name[VG_STATE_NAME];

	vg_quarantine_name(t, u, name);
	return vg_state_quarantine(name, NULL);
}

/* Note one now; how many there were in the time that counts. */
static unsigned int count(struct vg_faults *f, unsigned int max, int64_t ms)
{
	int64_t now = vg_now_ms();
	unsigned int n = 0;

	if (!f->at)
		f->at = calloc(VG_FAULTS_MAX, sizeof(*f->at));
	if (!f->at)
		return 0;
	f->at[f->next++ % VG_FAULTS_MAX] = now;
	for (unsigned int i = 1; i <= max && i <= f->next; i++, n++)
		if (now - f->at[(f->next - i) % VG_FAULTS_MAX] >= ms)
			break;
	return n;
}

void vg_faults_forget(struct vg_faults *f)
{
	free(f->at);
	*f = (struct vg_faults){ 0 };
}

bool vg_faults_count(const struct vg_faults *f, const struct vg_tenant *t)
{
	return f->next && vg_now_ms() - f->at[(f->next - 1) % VG_FAULTS_MAX] <
				  (int64_t)vg_quota(t, VG_QUOTA_FAULT_SECONDS) * 1000;
}

void vg_quarantine_fault(struct vg_tenant *t, struct vg_user *u, const char *what)
{
	uint64_t max = vg_quota(t, VG_QUOTA_FAULTS), seconds = vg_quota(t, VG_QUOTA_FAULT_SECONDS);
	struct vg_event e = { .kind = VG_EVENT_QUARANTINE, .uid = u && !t->named ? (int64_t)u->uid : -1 };
	struct vg_faults *f = u ? &u->faults : &t->fault_times;
	char name[VG_STATE_NAME];
	int ret;

	if (!max || count(f, max, seconds * 1000) < max || vg_quarantined(t, u))
		return;
	vg_faults_forget(f);
	vg_quarantine_name(t, u, name);
	snprintf(e.vgpu, sizeof(e.vgpu), "%s", t->uuid);
	snprintf(e.why, sizeof(e.why), "%" PRIu64 " faults in %" PRIu64 " s; the last: %s", max, seconds,
		 what);
	ret = vg_state_quarantine_put(name, vg_wall_ms(), e.why);
	if (ret)
		vg_err("%s: it is in quarantine until the mediator ends, because %s cannot be written: %s",
		       name, vg_config.state, strerror(-ret));
	vg_event(&e);
}
