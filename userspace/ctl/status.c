// SPDX-License-Identifier: Apache-2.0
/* vgpuctl status: who uses which vGPU, once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/ask.h"
#include "ctl.h"
#include "show.h"

static void print_vgpu(struct json_object *v, bool all_drained)
{
	struct json_object *procs = vg_get(v, "processes"), *limit = vg_get(v, "memory_limit");
	struct json_object *list;
	char a[16], b[16], c[16], d[16];
	size_t i, n = json_object_array_length(procs);

	printf("%-36s  pool %-6s %-10s %s%s%s\n", vg_string(v, "vgpu"), vg_string(v, "pool"),
	       vg_string(v, "type"), vg_get(v, "parent") ? vg_string(v, "parent") : "",
	       vg_get(v, "parent") ? " " : "",
	       !vg_get(v, "in_use") ? "" : json_object_get_boolean(vg_get(v, "in_use")) ? "in use" :
									   "idle");
	printf("  processes %zu (%" PRIu64 " ended)   calls %" PRIu64
	       "   to device %s (direct %s)   from device %s (direct %s)\n",
	       n, vg_number(v, "processes_ended"), vg_number(v, "calls"),
	       vg_bytes(vg_number(v, "bytes_to_device"), a), vg_bytes(vg_number(v, "direct_to_device"), b),
	       vg_bytes(vg_number(v, "bytes_from_device"), c), vg_bytes(vg_number(v, "direct_from_device"), d));
	printf("  device memory %s of %s   contexts %s of %s   faults %" PRIu64,
	       vg_bytes(vg_number(v, "memory"), c),
	       limit ? vg_bytes(json_object_get_uint64(limit), d) : "no limit",
	       vg_bytes(vg_number(v, "contexts"), a), vg_bytes(vg_number(v, "contexts_limit"), b),
	       vg_number(v, "faults"));
	if (vg_get(v, "traps"))
		printf("   traps %" PRIu64 " (doorbells %" PRIu64 ")   interrupts %" PRIu64
		       "   pinned %s   read by the module %s",
		       vg_number(v, "traps"), vg_number(v, "doorbells"), vg_number(v, "interrupts"),
		       vg_bytes(vg_number(v, "pinned"), a), vg_bytes(vg_number(v, "read_by_module"), b));
	printf("\n");
	list = vg_get(v, "quarantine");
	for (i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *q = json_object_array_get_idx(list, i);

		printf("  QUARANTINE: %s gets no new programs: %s\n", vg_string(q, "name"),
		       vg_string(q, "why"));
	}
	if (vg_number(v, "drained"))
		printf("  DRAINED: it gets no new programs until vgpuctl undrain %s\n",
		       all_drained ? "--all" : vg_string(v, "vgpu"));
	if (vg_number(v, "call_waits") || vg_number(v, "byte_waits") || vg_number(v, "start_waits"))
		printf("  waited for its rates: calls %" PRIu64 " times, %.1f s   bytes %" PRIu64
		       " times, %.1f s   starts %" PRIu64 " times\n",
		       vg_number(v, "call_waits"), vg_number(v, "call_waited_us") / 1e6,
		       vg_number(v, "byte_waits"), vg_number(v, "byte_waited_us") / 1e6,
		       vg_number(v, "start_waits"));
	if (n)
		printf("    %8s  %-15s %10s %12s %12s %12s %7s\n", "PID", "NAME", "CALLS",
		       "TO DEVICE", "FROM DEVICE", "MEMORY", "FAULTS");
	for (i = 0; i < n; i++) {
		struct json_object *p = json_object_array_get_idx(procs, i);

		printf("    %8" PRIu64 "  %-15s %10" PRIu64 " %12s %12s %12s %7" PRIu64 "\n",
		       vg_number(p, "pid"), vg_string(p, "name"), vg_number(p, "calls"),
		       vg_bytes(vg_number(p, "bytes_to_device"), a),
		       vg_bytes(vg_number(p, "bytes_from_device"), b), vg_bytes(vg_number(p, "memory"), c),
		       vg_number(p, "faults"));
	}
}

int vg_ctl_status(const char *path, bool json)
{
	char why[200];
	struct json_object *answer = vg_ask(path, "status", why, sizeof(why)), *vgpus;
	size_t i;

	if (!answer) {
		fprintf(stderr, "vgpuctl: %s\n", why);
		return EXIT_FAILURE;
	}
	if (json) {
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		printf("driver %s, CUDA %" PRIu64 ".%" PRIu64 ", %" PRIu64 " device(s), %" PRIu64
		       " executor(s) ready\n",
		       vg_string(answer, "libcuda"), vg_number(answer, "driver_version") / 1000,
		       vg_number(answer, "driver_version") % 1000 / 10, vg_number(answer, "devices"),
		       vg_number(answer, "spares"));
		vgpus = vg_get(answer, "vgpus");
		for (i = 0; i < json_object_array_length(vgpus); i++)
			print_vgpu(json_object_array_get_idx(vgpus, i),
				   vg_number(answer, "drained_all"));
	}
	json_object_put(answer);
	return EXIT_SUCCESS;
}
