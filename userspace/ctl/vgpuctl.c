// SPDX-License-Identifier: Apache-2.0
/* vgpuctl: which command, with which options; each command is a file of its own. */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ask.h"
#include "ctl.h"
#include "vg_version.h"

static void usage(FILE *to)
{
	fprintf(to, "usage: vgpuctl [--socket PATH] status [--json]\n"
		    "       vgpuctl [--socket PATH] top [--once] [--json] [--interval SECONDS]\n"
		    "               [--sort memory|calls|to|from|gpu|faults|since|name]\n"
		    "       vgpuctl [--socket PATH] show [--json] [UUID]\n"
		    "       vgpuctl [--socket PATH] set UUID KEY=VALUE...\n"
		    "       vgpuctl [--socket PATH] unset UUID KEY...\n"
		    "       vgpuctl [--socket PATH] release UUID\n"
		    "       vgpuctl [--socket PATH] drain UUID|--all [--wait [SECONDS]]\n"
		    "       vgpuctl [--socket PATH] undrain UUID|--all\n"
		    "       vgpuctl [--socket PATH] events [--since WHEN] [--vgpu UUID] [--json]\n"
		    "               [--history FILE]\n"
		    "       vgpuctl [--socket PATH] doctor [--json] [--host | --guest] [--root FOLDER]\n"
		    "       vgpuctl cdi [--libraries FOLDER] [--root FOLDER]\n"
		    "       vgpuctl --help | --version\n"
		    "PATH is the mediator's control socket, " VG_CONTROL_DEFAULT " unless said.\n");
}

/* What is wrong with the words of the command line, and how they should be. */
static int wrong(const char *const *words, int count)
{
	static const struct {
		const char *name, *needs;
	} commands[] = {
		{ "set", "UUID KEY=VALUE..." }, { "unset", "UUID KEY..." }, { "release", "UUID" },
		{ "drain", "one UUID, or --all" }, { "undrain", "one UUID, or --all" },
		{ "show", NULL }, { "status", NULL }, { "top", NULL }, { "events", NULL },
		{ "doctor", NULL }, { "cdi", NULL },
	};
	size_t i = 0, all = sizeof(commands) / sizeof(commands[0]);

	while (count && i < all && strcmp(commands[i].name, words[0]))
		i++;
	if (count && i == all)
		fprintf(stderr, "vgpuctl: there is no command %s\n", words[0]);
	else if (count && commands[i].needs)
		fprintf(stderr, "vgpuctl: %s needs %s\n", words[0], commands[i].needs);
	else if (count > 1)
		fprintf(stderr, "vgpuctl: %s takes no %s\n", words[0], words[count - 1]);
	usage(stderr);
	return 2;
}

/* `words` are the command and, unless it is for all, the name of a vGPU. */
static int drain(const char *path, char *const *words, int count, bool all, double wait)
{
	bool on = *words[0] == 'd';

	if (count + all != 2)
		return wrong((const char *const *)words, count);
	if (!on && wait >= 0) {
		fprintf(stderr, "vgpuctl: undrain takes no --wait, because it ends at once\n");
		return 2;
	}
	return vg_ctl_drain(path, all ? NULL : words[1], on, wait);
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
		{ "once", no_argument, NULL, 'o' },
		{ "interval", required_argument, NULL, 'i' },
		{ "since", required_argument, NULL, 'S' },
		{ "vgpu", required_argument, NULL, 'v' },
		{ "history", required_argument, NULL, 'F' },
		{ "sort", required_argument, NULL, 'b' },
		{ "all", no_argument, NULL, 'a' },
		{ "wait", optional_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *path = VG_CONTROL_DEFAULT;
	enum vg_role role = VG_ROLE_FOUND;
	const char *root = "", *libraries = "/usr/lib/vgpu";
	bool json = false, once = false, all = false;
	double interval = 1, wait = -1;
	char order = 'm', *end;
	const char *history = NULL, *vgpu = NULL;
	uint64_t since = 0;
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
		case 'o':
			once = true;
			break;
		case 'i':
			interval = strtod(optarg, &end);
			if (end != optarg && !*end && interval >= 0.1 && interval <= 86400)
				break;
			fprintf(stderr, "vgpuctl: --interval %s: not 0.1 to 86400 seconds\n", optarg);
			return 2;
		case 'b':
			if (vg_ctl_top_order(optarg, &order))
				break;
			fprintf(stderr, "vgpuctl: --sort %s: not an order; allowed: memory, calls, to, "
				"from, gpu, faults, since or name\n", optarg);
			return 2;
		case 'a':
			all = true;
			break;
		case 'w':
			wait = INFINITY;
			/* Its own word, too, because no vGPU's name is a number. */
			if (!optarg && optind < argc && argv[optind][strspn(argv[optind], "0123456789.")] == '\0')
				optarg = argv[optind++];
			if (!optarg || vg_ctl_wait(optarg, &wait))
				break;
			fprintf(stderr, "vgpuctl: --wait %s: not 0 to 31536000 seconds\n", optarg);
			return 2;
		case 'S':
			if (vg_ctl_since(optarg, &since))
				break;
			fprintf(stderr, "vgpuctl: --since %s: neither a number with s, m, h or d nor "
				"YYYY-MM-DD[ HH:MM[:SS]]\n", optarg);
			return 2;
		case 'v':
			vgpu = optarg;
			break;
		case 'F':
			history = optarg;
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
	if (optind < argc && (!strcmp(argv[optind], "drain") || !strcmp(argv[optind], "undrain")))
		return drain(path, argv + optind, argc - optind, all, wait);
	if (all || wait >= 0) {
		fprintf(stderr, "vgpuctl: %s\n", all ? "--all is for drain and undrain" : "--wait is for drain");
		return 2;
	}
	if (optind + 1 == argc && !strcmp(argv[optind], "doctor"))
		return vg_ctl_doctor(path, root, role, json);
	if (optind + 1 == argc && !strcmp(argv[optind], "cdi"))
		return vg_ctl_cdi(root, libraries);
	if (optind + 1 == argc && !strcmp(argv[optind], "events"))
		return vg_ctl_events(path, history, since, vgpu, json);
	if (optind + 1 == argc && !strcmp(argv[optind], "top"))
		return vg_ctl_top(path, json, once, interval, order);
	if (optind < argc && optind + 2 >= argc && !strcmp(argv[optind], "show"))
		return vg_ctl_show(path, argv[optind + 1], json);
	if (optind + 2 == argc && !strcmp(argv[optind], "release"))
		return vg_ctl_release(path, argv[optind + 1]);
	if (optind + 2 < argc && (!strcmp(argv[optind], "set") || !strcmp(argv[optind], "unset")))
		return vg_ctl_set(path, argv[optind + 1], argv + optind + 2, argc - optind - 2,
				  *argv[optind] == 'u');
	if (optind + 1 != argc || strcmp(argv[optind], "status"))
		return wrong((const char *const *)argv + optind, argc - optind);
	return vg_ctl_status(path, json);
}
