// SPDX-License-Identifier: Apache-2.0
/*
 * What kernels print goes where this process's own output goes. The executor tells with the
 * answer to a call that the driver has printed, and the text is fetched before that call returns.
 */
#include <pthread.h>
#include <stdio.h>

#include "client.h"

static void arrived(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	FILE *const to[VG_OUTPUTS] = { stdout, stderr };
	char text[VG_REPLY_MAX];
	uint32_t n;

	pthread_mutex_lock(&lock);
	for (int which = 0; which < VG_OUTPUTS; which++)
		while (!vg_output_next(which, text, &n) && n)
			fwrite(text, 1, n, to[which]);
	pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void listen_for_output(void)
{
	vg_on_output = arrived;
}
