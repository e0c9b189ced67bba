// SPDX-License-Identifier: Apache-2.0
/* vgpuctl: what the mediator has to say, for people and (as JSON) for programs. */
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ask.h"
#include "ctl.h"
#include "vg_version.h"

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, key, &value);
	return value;
}

static uint64_t number(struct json_object *o, const char *key)
{
	return json_object_get_uint64(get(o, key));
}

static const char *string(struct json_object *o, const char *key)
{
	const char *s = json_object_get_string(get(o, key));

	return s ? s : "-";
}

/* Three digits and a binary unit: "1.21 GiB". */
static const char *bytes(uint64_t n, char out[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v = n;
	unsigned int i = 0;

	while (v >= 1000 && i < 5) {
		v /= 1024;
		i++;
	}
	snprintf(out, 16, "%.*f %s", !i || v >= 100 ? 0 : v >= 10 ? 1 : 2, v, units[i]);
	return out;
}

static void print_vgpu(struct json_object *v)
{
	struct json_object *procs = get(v, "processes"), *limit = get(v, "memory_limit");
	char a[16], b[16], c[16], d[16];
	size_t i, n = json_object_array_length(procs);

	printf("%-36s  pool %-6s %-10s %s%s%s\n", string(v, "vgpu"), string(v, "pool"),
	       string(v, "type"), get(v, "parent") ? string(v, "parent") : "",
	       get(v, "parent") ? " " : "",
	       !get(v, "in_use") ? "" : json_object_get_boolean(get(v, "in_use")) ? "in use" :
									   "idle");
	printf("  processes %zu (%" PRIu64 " ended)   calls %" PRIu64
	       "   to device %s (direct %s)   from device %s (direct %s)\n",
	       n, number(v, "processes_ended"), number(v, "calls"),
	       bytes(number(v, "bytes_to_device"), a), bytes(number(v, "direct_to_device"), b),
	       bytes(number(v, "bytes_from_device"), c), bytes(number(v, "direct_from_device"), d));
	printf("  device memory %s of %s   contexts %s of %s   faults %" PRIu64,
	       bytes(number(v, "memory"), c),
	       limit ? bytes(json_object_get_uint64(limit), d) : "no limit",
	       bytes(number(v, "contexts"), a), bytes(number(v, "contexts_limit"), b),
	       number(v, "faults"));
	if (get(v, "traps"))
		printf("   traps %" PRIu64 " (doorbells %" PRIu64 ")   interrupts %" PRIu64
		       "   pinned %s   read by the module %s",
		       number(v, "traps"), number(v, "doorbells"), number(v, "interrupts"),
		       bytes(number(v, "pinned"), a), bytes(number(v, "read_by_module"), b));
	printf("\n");
	if (n)
		printf("    %8s  %-15s %10s %12s %12s %12s %7s\n", "PID", "NAME", "CALLS",
		       "TO DEVICE", "FROM DEVICE", "MEMORY", "FAULTS");
	for (i = 0; i < n; i++) {
		struct json_object *p = json_object_array_get_idx(procs, i);

		printf("    %8" PRIu64 "  %-15s %10" PRIu64 " %12s %12s %12s %7" PRIu64 "\n",
		       number(p, "pid"), string(p, "name"), number(p, "calls"),
		       bytes(number(p, "bytes_to_device"), a),
		       bytes(number(p, "bytes_from_device"), b), bytes(number(p, "memory"), c),
		       number(p, "faults"));
	}
}

static int status(const char *path, bool json)
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
		       string(answer, "libcuda"), number(answer, "driver_version") / 1000,
		       number(answer, "driver_version") % 1000 / 10, number(answer, "devices"),
		       number(answer, "spares"));
		vgpus = get(answer, "vgpus");
		for (i = 0; i < json_object_array_length(vgpus); i++)
			print_vgpu(json_object_array_get_idx(vgpus, i));
	}
	json_object_put(answer);
	return EXIT_SUCCESS;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: vgpuctl [--socket PATH] status [--json]\n"
		    "       vgpuctl [--socket PATH] doctor [--json] [--host | --guest] [--root FOLDER]\n"
		    "       vgpuctl cdi [--libraries FOLDER] [--root FOLDER]\n"
		    "       vgpuctl --help | --version\n"
		    "PATH is the mediator's control socket, " VG_CONTROL_DEFAULT " unless said.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "host", no_argument, NULL, 'H' },
		{ "guest", no_argument, NULL, 'G' },
		{ "root", required_argument, NULL, 'r' },
		{ "libraries", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *path = VG_CONTROL_DEFAULT;
	enum vg_role role = VG_ROLE_FOUND;
	const char *root = "", *libraries = "/usr/lib/vgpu";
	bool json = false;
	int option;

	/* Whoever reads the output may end first. */
	signal(SIGPIPE, SIG_IGN);

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			path = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'H':
			role = VG_ROLE_HOST;
			break;
		case 'G':
			role = VG_ROLE_GUEST;
			break;
		case 'r':
			root = optarg;
			break;
		case 'l':
			libraries = optarg;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("vgpuctl %s\n", VG_VERSION);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 1 == argc && !strcmp(argv[optind], "doctor"))
		return vg_ctl_doctor(path, root, role, json);
	if (optind + 1 == argc && !strcmp(argv[optind], "cdi"))
		return vg_ctl_cdi(root, libraries);
	if (optind + 1 != argc || strcmp(argv[optind], "status")) {
		usage(stderr);
		return 2;
	}
	return status(path, json);
}
