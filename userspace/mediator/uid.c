// SPDX-License-Identifier: Apache-2.0
/*
 * User ids for executors, from the range `uids` of the configuration.  All executors of one
 * vGPU run under one id, and all executors of one user of the socket too.  An id is in use
 * as long as a vGPU, a user or an executor refers to it, which is counted here.
 *
 * The search for a free id begins after the one that was given out last.  So an id that
 * becomes free is used again as late as possible, because files and processes that an
 * executor has left behind would belong to the next vGPU that gets the id.
 */
#include <stdlib.h>
#include <unistd.h>

#include "mediator.h"

static unsigned int *refs;		/* of each id of the range: how many refer to it */
static unsigned int count;		/* ids in the range */
static unsigned int next;		/* where the next search begins */

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
