// SPDX-License-Identifier: Apache-2.0
/* vgpuctl drain and undrain: no new programs, and how long those that run still do. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/ask.h"
#include "common/clock.h"
#include "ctl.h"
#include "show.h"

#define LOOK_S		0.5	/* between two looks at who still runs */
#define WAIT_MAX_S	31536000
#define NAMED_MAX	10	/* programs in one line */

bool vg_ctl_wait(const char *text, double *seconds)
{
	char *end;
	double s = strtod(text, &end);

	/* strtod() takes more: signs, infinity, exponents, hexadecimal. */
	if (end == text || *end || text[strspn(text, "0123456789.")] || s > WAIT_MAX_S)
		return false;
	*seconds = s;
	return true;
}

static bool is_of(struct json_object *v, const char *vgpu)
{
	return !vgpu || !strcmp(vg_string(v, "vgpu"), vgpu);
}

/* How many programs of it run; the first of them are written to `to`, if that is not NULL. */
static size_t running(struct json_object *status, const char *vgpu, FILE *to)
{
	struct json_object *list = vg_get(status, "vgpus");
	size_t n = 0;

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		struct json_object *procs = vg_get(v, "processes");

		for (size_t k = 0; is_of(v, vgpu) && k < json_object_array_length(procs); k++, n++) {
			struct json_object *p = json_object_array_get_idx(procs, k);

			if (!to || n >= NAMED_MAX)
				continue;
			if (!k)
				fprintf(to, "%s %s:", n ? ";" : "", vg_string(v, "vgpu"));
			fprintf(to, "%s %" PRIu64 " (%s)", k ? "," : "", vg_number(p, "pid"),
				vg_string(p, "name"));
		}
	}
	return n;
}

static int still(struct json_object *status, const char *vgpu, double seconds)
{
	size_t n = running(status, vgpu, NULL);

	fprintf(stderr, "vgpuctl: after %g s %zu program%s:", seconds, n,
		n == 1 ? " still runs" : "s still run");
	running(status, vgpu, stderr);
	if (n > NAMED_MAX)
		fprintf(stderr, " and %zu more", n - NAMED_MAX);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

/* A vGPU that has been removed is no more to be waited for: its programs have ended. */
static bool drained(struct json_object *status, const char *vgpu)
{
	struct json_object *list = vg_get(status, "vgpus");

	if (!vgpu)
		return vg_number(status, "drained_all");
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (is_of(v, vgpu))
			return vg_number(v, "drained");
	}
	return true;
}

static int wait_for(const char *socket, const char *vgpu, double seconds)
{
	uint64_t begin = vg_now_us();
	char why[300];

	for (;;) {
		struct json_object *status = vg_ask(socket, "status", why, sizeof(why));
		double left = seconds - (vg_now_us() - begin) / 1e6;
		bool here = status && drained(status, vgpu), some = here && running(status, vgpu, NULL);
		int ret = here && !some ? EXIT_SUCCESS : EXIT_FAILURE;

		if (!status)
			fprintf(stderr, "vgpuctl: %s\n", why);
		else if (!here)
			fprintf(stderr, "vgpuctl: while this waited, the drain of %s was ended by vgpuctl undrain, "
				"or by a restart of the mediator\n", vgpu ? vgpu : "all vGPUs");
		else if (some && left <= 0)
			ret = still(status, vgpu, seconds);
		json_object_put(status);
		if (!some || left <= 0)
			return ret;
		left = left < LOOK_S ? left : LOOK_S;
		nanosleep(&(struct timespec){ .tv_nsec = left * 1e9 }, NULL);
	}
}

int vg_ctl_drain(const char *socket, const char *vgpu, bool on, double wait)
{
	struct json_object *request = json_object_new_object(), *answer;
	char why[300];

	json_object_object_add(request, "request", json_object_new_string(on ? "drain" : "undrain"));
	if (vgpu)
		json_object_object_add(request, "vgpu", json_object_new_string(vgpu));
	else
		json_object_object_add(request, "all", json_object_new_boolean(true));
	answer = vg_ask_for(socket, request, why, sizeof(why));
	json_object_put(request);
	if (!answer) {
		fprintf(stderr, "vgpuctl: %s\n", why);
		return EXIT_FAILURE;
	}
	json_object_put(answer);
	return wait < 0 ? EXIT_SUCCESS : wait_for(socket, vgpu, wait);
}
