// SPDX-License-Identifier: Apache-2.0
/*
 * vgpu-executor: runs the CUDA calls of one guest process.
 *
 * The mediator starts it with a socket as descriptor 3, over which the
 * executor says whether its CUDA driver works and then learns which channel to
 * serve.  From then on it serves the guest process, and asks the mediator only
 * about what that shares with others of its guest.  It ends when the channel or
 * the mediator does, and its end is the clean-up.
 */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "calls.h"
#include "common/clock.h"
#include "common/fdpass.h"
#include "common/log.h"
#include "common/ring_sync.h"
#include "exec_internal.h"
#include "vg_cuda.h"
#include "vg_version.h"

static struct vg_exec exec = {
	.context_lock = PTHREAD_MUTEX_INITIALIZER,
	.held_lock = PTHREAD_MUTEX_INITIALIZER,
	.settle = vg_x_settle,
};

#define FILE_BYTES (16ull << 30)	/* as long as the sparse ones that output.c makes */

/* Not RLIMIT_AS: the driver reserves addresses for all memory there may be. */
static void limits(uint64_t data)
{
	const struct {
		int which;
		rlim_t max;
	} limit[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, 65536 },
		{ RLIMIT_MEMLOCK, 8 << 20 },	/* what the GPU driver pins does not count */
		{ RLIMIT_FSIZE, FILE_BYTES },
		{ RLIMIT_DATA, data },
	};
	struct rlimit now;

	for (size_t i = 0; i < sizeof(limit) / sizeof(limit[0]); i++) {
		if (getrlimit(limit[i].which, &now))
			continue;
		if (now.rlim_max > limit[i].max)
			now.rlim_max = limit[i].max;
		if (now.rlim_cur > now.rlim_max)
			now.rlim_cur = now.rlim_max;
		setrlimit(limit[i].which, &now);
	}
	/* A file that would be too long is an error (EFBIG), and no end. */
	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	/* Die with the mediator, also where it is killed. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static CUresult start_driver(const char *name, void *library)
{
	int version = 0;
	CUresult result;

	if (!library)
		return (CUresult)-1;
	vg_cuda_load(library);
	vg_soft_ipc_load(library);
	if (!cu.cuInit || !cu.cuDriverGetVersion || !cu.cuCtxSetCurrent) {
		vg_err("%s is no CUDA driver: it lacks cuInit, cuDriverGetVersion or "
		       "cuCtxSetCurrent", name);
		return (CUresult)-1;
	}
	result = cu.cuInit(0);
	if (result) {
		vg_err("%s: cuInit: error %d", name, result);
		return result;
	}
	cu.cuDriverGetVersion(&version);
	exec.driver_version = version;
	if (vg_held_start(library))
		exec.held = vg_held;
	return CUDA_SUCCESS;
}

/*
 * Whether kernels on any device reach pageable memory: by HMM, or by the processor's page
 * tables.  Then a guest's kernels can read and write all memory of this process.
 */
static bool pageable_access(int devices)
{
	const CUdevice_attribute which = CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS;
	CUdevice dev;
	int yes;

	for (int i = 0; i < devices; i++) {
		if (!cu.cuDeviceGet || !cu.cuDeviceGetAttribute || cu.cuDeviceGet(&dev, i) ||
		    cu.cuDeviceGetAttribute(&yes, which, dev) || yes)
			return true;
	}
	return false;
}

/* Returns whether this process may serve a VM. */
static bool say_ready(CUresult result, bool allow_pageable)
{
	struct vg_exec_ready msg = {
		.size = sizeof(msg), .result = result, .version = exec.driver_version,
	};
	int devices = 0;

	if (!result && cu.cuDeviceGetCount && !cu.cuDeviceGetCount(&devices)) {
		msg.devices = devices;
		msg.pageable = pageable_access(devices);
	}
	msg.copy = vg_pace_copy_time();
	if (vg_send_fds(VG_CONTROL_FD, &msg, sizeof(msg), NULL, 0))
		_exit(EXIT_FAILURE);
	return !msg.pageable || allow_pageable;
}

/* If the mediator ends this program for something, the program learns it from the ring. */
static void tell_end(void)
{
	uint32_t error = atomic_load(&exec.account->launch[exec.entry - exec.account->entry].ends_with);

	if (!error)
		return;
	vg_store(&exec.ch.ring->host_error, error);
	vg_store_release(&exec.ch.ring->host_state, VGPU_HOST_ENDED);
}

/* Ends the process as soon as the mediator or the guest has gone. */
static void *watch(void *arg)
{
	struct pollfd fds[] = {
		/* POLLHUP comes unasked; what there is to read is another thread's. */
		{ .fd = VG_CONTROL_FD },
		{ .fd = exec.ch.fd },
	};

	(void)arg;
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	tell_end();
	_exit(EXIT_SUCCESS);
}

static int map_account(int fd, uint32_t index)
{
	void *page = mmap(NULL, sizeof(struct vg_account), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);

	if (page == MAP_FAILED || index >= VG_ACCOUNT_ENTRIES)
		return -EINVAL;
	exec.account = page;
	exec.entry = &exec.account->entry[index];
	close(fd);
	return 0;
}

static int take_assignment(uint32_t *uid)
{
	struct vg_assign assign;
	int fds[VG_FDS_MAX], count, want, ret;

	count = vg_recv_fds(VG_CONTROL_FD, &assign, sizeof(assign), fds, VG_FDS_MAX);
	if (count < 0)
		return count;
	want = assign.kind == VG_ASSIGN_SOCKET ? 5 : 3;
	if (count != want)
		return -EPROTO;
	ret = vg_channel_open(&exec.ch, &assign, fds);
	if (ret)
		return ret;
	*uid = assign.uid;
	exec.turn_bell = fds[want - 1];
	ret = map_account(fds[want - 2], assign.account);
	if (ret)
		return ret;
	exec.shares = vg_shares_new(&exec);
	exec.handles = vg_handles_new();
	exec.blobs = vg_blobs_new();
	exec.role = vg_role_new(exec.ch.layout.slot_count + 1);
	exec.slot_done = calloc(exec.ch.layout.slot_count, sizeof(*exec.slot_done));
	return exec.shares && exec.handles && exec.blobs && exec.role && exec.slot_done ? 0 : -ENOMEM;
}

static void set_host_state(uint32_t state, uint32_t error)
{
	struct vgpu_ring *ring = exec.ch.ring;

	vg_store(&ring->host_error, error);
	vg_store_release(&ring->host_state, state);
	vg_channel_wake(&exec.ch, &ring->host_state);
}

/*
 * Mappings grow from the middle of the address space, so that the addresses at
 * which guest processes have their memory are free here.  It takes effect with
 * the next exec.
 */
static void leave_guest_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (now >= 0 && !(now & ADDR_COMPAT_LAYOUT) &&
	    personality(now | ADDR_COMPAT_LAYOUT) >= 0)
		execv("/proc/self/exe", argv);
}

/* The mediator's user may read where the driver lies, and whoever this becomes perhaps not. */
static void *load_driver(const char *name)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		vg_err("cannot load the CUDA driver: %s", dlerror());
	return library;
}

/* Before the driver starts threads. */
static int confine_files(int rules)
{
	int ret = rules < 0 ? rules : vg_files_confine(rules);

	if (ret == -ENOSYS || ret == -EOPNOTSUPP)
		vg_debug("this kernel has no Landlock: %s", strerror(-ret));
	else if (ret)
		vg_err("cannot confine this process to the driver's files: %s", strerror(-ret));
	else
		exec.folders = true;
	return ret == -ENOSYS || ret == -EOPNOTSUPP ? 0 : ret;
}

/* The mediator answers the calls that are not on the list, and this process's next question. */
static int confine_calls(const char *names)
{
	struct vg_token_request rq = { .size = sizeof(rq), .op = VG_TOKEN_LISTENER };
	struct vg_token_answer a;
	int listener, ret;

	ret = vg_filter_enter(names, exec.folders, &listener);
	if (ret) {
		/* A container's own filter may have the one listener that there can be. */
		vg_warn("refused system calls will not be logged: %s", strerror(-ret));
		return vg_filter_enter(names, exec.folders, NULL);
	}
	ret = vg_send_fds(VG_CONTROL_FD, &rq, sizeof(rq), &listener, 1);
	if (!ret)
		ret = vg_recv_fds(VG_CONTROL_FD, &a, sizeof(a), NULL, 0);
	close(listener);
	return ret;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: vgpu-executor [--libcuda NAME] [--spin-us N] [--copy-time NS,NS] [--warm]\n"
		"           [--user NAME [--late-user]] [--log-level LEVEL] [--data BYTES]\n"
		"           [--allow CALL,...] [--read PATH:...] [--write PATH:...] [--any-file]\n"
		"           [--pageable-access]\n"
		"       vgpu-executor --help | --version\n"
		"Started by vgpu-mediatord, with a socket to it as descriptor 3.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "libcuda", required_argument, NULL, 'l' },
		{ "spin-us", required_argument, NULL, 's' },
		{ "copy-time", required_argument, NULL, 'c' },
		{ "user", required_argument, NULL, 'u' },
		{ "data", required_argument, NULL, 'd' },
		{ "allow", required_argument, NULL, 'a' },
		{ "read", required_argument, NULL, 'R' },
		{ "write", required_argument, NULL, 'W' },
		{ "any-file", no_argument, NULL, 'A' },
		{ "pageable-access", no_argument, NULL, 'P' },
		{ "late-user", no_argument, NULL, 'L' },
		{ "warm", no_argument, NULL, 'w' },
		{ "log-level", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *libcuda = "libcuda.so.1", *user = NULL;
	const char *allow = "", *read = NULL, *write = NULL;
	int level = VG_INFO, rules = -ENOSYS, option, ret;
	bool warm = false, any_file = false, late = false, pageable = false, vms;
	uint64_t data = RLIM_INFINITY;
	uint32_t uid = 0;
	pthread_t watcher;
	CUresult result;
	void *driver;

	leave_guest_addresses(argv);
	signal(SIGPIPE, SIG_IGN);
	/* What it takes to wake a thread whose CPU is virtual and halted. */
	exec.spin_us = 100;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			libcuda = optarg;
			break;
		case 's':
			exec.spin_us = strtoul(optarg, NULL, 10);
			break;
		case 'c':
			if (!vg_pace_parse(optarg)) {
				usage(stderr);
				return 2;
			}
			break;
		case 'u':
			user = optarg;
			break;
		case 'd':
			data = strtoull(optarg, NULL, 10);
			break;
		case 'a':
			allow = optarg;
			break;
		case 'R':
			read = optarg;
			break;
		case 'W':
			write = optarg;
			break;
		case 'L':
			late = true;
			break;
		case 'A':
			any_file = true;
			break;
		case 'P':
			pageable = true;
			break;
		case 'w':
			warm = true;
			break;
		case 'v':
			level = vg_log_level_parse(optarg);
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("vgpu-executor %s\n", VG_VERSION);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (level < 0 || optind != argc) {
		usage(stderr);
		return 2;
	}
	vg_log_init("vgpu-executor", level);

	ret = vg_channel_reserve();
	if (ret) {
		vg_err("cannot reserve a descriptor: %s", strerror(-ret));
		return EXIT_FAILURE;
	}
	driver = load_driver(libcuda);
	if (!any_file)
		rules = vg_files_prepare(driver, read, write);
	ret = user ? vg_sandbox_user(user, late) : 0;
	if (ret) {
		vg_err("cannot be user %s: %s", user, strerror(-ret));
		return EXIT_FAILURE;
	}
	/* Another user's process loses what was set before. */
	limits(data);

	ret = vg_output_start();
	if (ret) {
		vg_err("cannot keep what kernels print: %s", strerror(-ret));
		return EXIT_FAILURE;
	}
	if (!any_file && confine_files(rules))
		return EXIT_FAILURE;
	result = start_driver(libcuda, driver);
	if (!result && warm)
		vg_warm_up(&exec);
	if (!result)
		vg_exec_ask_first(&exec);
	vms = say_ready(result, pageable);
	ret = take_assignment(&uid);
	exec.asked_ns = vg_now_ns();
	if (ret == -EPIPE)
		return EXIT_SUCCESS;	/* a spare that was not needed */
	if (ret) {
		vg_err("assignment: %s", strerror(-ret));
		return EXIT_FAILURE;
	}
	/* The mediator has logged why, once, and what to do about it. */
	if (exec.ch.kind != VG_ASSIGN_SOCKET && !vms)
		result = CUDA_ERROR_NOT_PERMITTED;
	if (result) {
		set_host_state(VGPU_HOST_REFUSED, EHOSTDOWN);
		return EXIT_FAILURE;
	}
	/* Without a user of its own one that was started for that would keep root in reach. */
	ret = late != !!uid ? -EPROTO : uid ? vg_sandbox_become(uid) : 0;
	if (ret) {
		vg_err("cannot be user %u: %s", uid, strerror(-ret));
		set_host_state(VGPU_HOST_REFUSED, EHOSTDOWN);
		return EXIT_FAILURE;
	}
	if (uid)
		limits(data);
	ret = confine_calls(allow);
	if (ret) {
		vg_err("cannot confine this process: %s", strerror(-ret));
		set_host_state(VGPU_HOST_REFUSED, EHOSTDOWN);
		return EXIT_FAILURE;
	}
	vg_warm_count(&exec);
	if (pthread_create(&watcher, NULL, watch, NULL)) {
		vg_err("cannot start a thread");
		return EXIT_FAILURE;
	}
	set_host_state(VGPU_HOST_READY, 0);
	vg_loop_run(&exec);
}
