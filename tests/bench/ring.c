// SPDX-License-Identifier: Apache-2.0
/*
 * The channel alone, with no CUDA above it: round trips of an empty call, and
 * empty calls posted one after the other.  "name value" lines, microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void call(bool wait)
{
	struct vg_call c;
	CUresult result = vg_begin(&c, VG_OP_NOP, 0);

	if (!result)
		result = wait ? vg_wait(&c, NULL, 0) : vg_post(&c);
	if (result) {
		fprintf(stderr, "ring: error %d\n", result);
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5, n = argc > 2 ? atoi(argv[2]) : 1000, r, i;
	double t;

	call(true);
	for (r = 0; r < rounds; r++) {
		t = now();
		for (i = 0; i < n; i++)
			call(true);
		printf("roundtrip %.3f\n", (now() - t) / n);
		t = now();
		for (i = 0; i < n; i++)
			call(false);
		printf("post %.3f\n", (now() - t) / n);
		call(true);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
