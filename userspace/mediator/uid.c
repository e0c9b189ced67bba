// SPDX-License-Identifier: Apache-2.0
/*
 * A user for the executors of each vGPU, and of each user of the socket, from the range
 * that the configuration gives.  Numbers are given out in turn, so a number that has become
 * free is used again as late as possible: another vGPU then does not soon get what its
 * processes may have left behind.
 */
#include <stdlib.h>
#include <unistd.h>

#include "mediator.h"

static unsigned int *refs;
static unsigned int count, next;

bool vg_uids_wanted(void)
{
	return vg_config.uid_first && !geteuid();
}

uid_t vg_uid_new(void)
{
	if (!refs) {
		count = vg_config.uid_last - vg_config.uid_first + 1;
		refs = calloc(count, sizeof(*refs));
	}
	for (unsigned int i = 0; refs && i < count; i++) {
		unsigned int k = (next + i) % count;

		if (refs[k])
			continue;
		refs[k] = 1;
		next = (k + 1) % count;
		return vg_config.uid_first + k;
	}
	return 0;
}

uid_t vg_uid_get(uid_t uid)
{
	if (uid)
		refs[uid - vg_config.uid_first]++;
	return uid;
}

void vg_uid_put(uid_t uid)
{
	if (uid)
		refs[uid - vg_config.uid_first]--;
}
