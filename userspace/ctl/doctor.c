// SPDX-License-Identifier: Apache-2.0
/*
 * vgpuctl doctor: what vgpu needs of this machine, in the order in which it is needed.  Each
 * check says what it has found, and if that is wrong, what to do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vgpu_dev.h>

#include "common/ask.h"
#include "ctl.h"
#include "show.h"
#include "vg_version.h"

#define DRIVER_SECONDS	60	/* for the test of the driver; a cold one takes some seconds */
#define MEMLOCK_LITTLE	(64ull << 20)	/* what systemd gives a user at most is 8 MiB */

enum state { OK, WARNING, WRONG };

static const char *const words[] = { "ok", "warning", "wrong" };

static struct {
	const char *root;
	bool json;
	struct json_object *list;
	unsigned int count[3];
} doctor;

static void say(enum state state, const char *check, const char *advice, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void say(enum state state, const char *check, const char *advice, const char *format, ...)
{
	struct json_object *o;
	char found[400];
	va_list args;

	va_start(args, format);
	vsnprintf(found, sizeof(found), format, args);
	va_end(args);
	doctor.count[state]++;
	if (!doctor.json) {
		printf("%-8s %-12s %s\n", words[state], check, found);
		if (state != OK)
			printf("         %-12s -> %s\n", "", advice);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "check", json_object_new_string(check));
	json_object_object_add(o, "state", json_object_new_string(words[state]));
	json_object_object_add(o, "found", json_object_new_string(found));
	if (state != OK)
		json_object_object_add(o, "do", json_object_new_string(advice));
	json_object_array_add(doctor.list, o);
}

/* `name` below the root. */
static const char *at(const char *name)
{
	static char path[2][512];
	static unsigned int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s%s", doctor.root, name);
	return path[turn];
}

static bool there(const char *name)
{
	return !access(at(name), F_OK);
}

/* The first line of a file, or "". */
static const char *line_of(const char *name)
{
	static char line[200];
	FILE *f = fopen(at(name), "re");

	*line = '\0';
	if (f) {
		if (fgets(line, sizeof(line), f))
			line[strcspn(line, "\n")] = '\0';
		fclose(f);
	}
	return line;
}

static void module(const char *name, const char *advice)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (there(path))
		say(OK, "module", NULL, "%s is loaded", name);
	else
		say(WRONG, "module", advice, "%s is not loaded", name);
}

/* -- the driver */

/* What executors load, as the mediator says; a host without NVIDIA's driver has softgpu there. */
static char of_mediator[4096];

static void *open_driver(char *why, size_t size)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW);

	if (library)
		return library;
	snprintf(why, size, "%s", dlerror());
	if (*of_mediator && strstr(why, "cannot open shared object file"))
		library = dlopen(of_mediator, RTLD_NOW);
	return library;
}

/* In a process of its own, which the driver may end or stop; its words are the last line. */
static void try_driver(FILE *out)
{
	static const char *const names[] = {
		"cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDevicePrimaryCtxRetain",
		"cuCtxSetCurrent", "cuMemAlloc_v2", "cuMemcpyHtoD_v2", "cuMemcpyDtoH_v2",
	};
	void *call[8];
	unsigned char data[4096], back[4096] = { 0 };
	int version = 0, devices = 0, result, at_call = 0;
	uint64_t memory = 0;
	char why[500];
	void *library = open_driver(why, sizeof(why)), *context = NULL;
	Dl_info info;

	if (!library) {
		fprintf(out, "- %s\n", why);
		return;
	}
	for (size_t i = 0; i < 8; i++) {
		call[i] = dlsym(library, names[i]);
		if (!call[i]) {
			fprintf(out, "- libcuda.so.1 has no %s\n", names[i]);
			return;
		}
	}
	memset(data, 0x5a, sizeof(data));
#define TRY(n, types) (at_call = (n), (int (*) types)call[n])
	result = TRY(0, (unsigned int))(0);
	if (!result)
		result = TRY(1, (int *))(&version);
	if (!result)
		result = TRY(2, (int *))(&devices);
	if (!result)
		result = TRY(3, (void **, int))(&context, 0);
	if (!result)
		result = TRY(4, (void *))(context);
	if (!result)
		result = TRY(5, (uint64_t *, size_t))(&memory, sizeof(data));
	if (!result)
		result = TRY(6, (uint64_t, const void *, size_t))(memory, data, sizeof(data));
	if (!result)
		result = TRY(7, (void *, uint64_t, size_t))(back, memory, sizeof(back));
#undef TRY
	if (!dladdr(call[0], &info) || !info.dli_fname)
		info.dli_fname = "libcuda.so.1";
	if (result)
		fprintf(out, "- %s: %s returned error %d\n", info.dli_fname, names[at_call], result);
	else if (memcmp(data, back, sizeof(data)))
		fprintf(out, "- %s: a copy to the device and back is not the same\n", info.dli_fname);
	else
		fprintf(out, "+ %s: CUDA %d.%d, %d device(s); a copy to the device and back is right\n",
			info.dli_fname, version / 1000, version % 1000 / 10, devices);
}

static void driver(bool host)
{
	const char *advice = host ?
		"install NVIDIA's driver (nvidia-smi must work), or name the driver in "
		"/etc/vgpu/vgpu.conf, [executor] libcuda" :
		"the line above says what is missing; if the library is not found: install "
		"vgpu-guest, run ldconfig; if it is not ready: look at vgpuctl doctor on the host";
	char line[600] = "", last[600] = "";
	int pipes[2], status = 0;
	pid_t child;
	FILE *in;

	fflush(stdout);
	if (pipe(pipes))
		return;
	child = fork();
	if (!child) {
		FILE *out = fdopen(pipes[1], "w");

		close(pipes[0]);
		alarm(DRIVER_SECONDS);
		/* The driver's own words belong to standard error. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		if (out) {
			try_driver(out);
			fflush(out);
		}
		_exit(0);
	}
	close(pipes[1]);
	in = fdopen(pipes[0], "r");
	while (in && fgets(line, sizeof(line), in))
		memcpy(last, line, sizeof(last));
	if (in)
		fclose(in);
	if (child > 0)
		waitpid(child, &status, 0);
	last[strcspn(last, "\n")] = '\0';
	if (*last == '+' && host && strstr(last, "/lib/vgpu/"))
		say(WRONG, "driver", "remove the package vgpu-guest, or /etc/ld.so.conf.d/00-vgpu.conf, and "
		    "run ldconfig", "%s: that is vgpu's own library for guests", last + 2);
	else if (*last == '+')
		say(OK, "driver", NULL, "%s", last + 2);
	else if (*last == '-')
		say(WRONG, "driver", advice, "%s", last + 2);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		say(WRONG, "driver", advice, "libcuda.so.1 does not answer within %d s", DRIVER_SECONDS);
	else
		say(WRONG, "driver", advice, "the test of libcuda.so.1 ended by signal %d",
		    WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void memlock(const char *who, const char *advice)
{
	struct rlimit limit;

	if (!geteuid()) {
		say(OK, "memlock", NULL, "root may lock all memory; ask as the user who runs %s", who);
		return;
	}
	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		say(OK, "memlock", NULL, "this user may lock all memory");
	else
		say(limit.rlim_cur < MEMLOCK_LITTLE ? WARNING : OK, "memlock", advice,
		    "this user may lock %llu MiB of memory", (unsigned long long)limit.rlim_cur >> 20);
}

/* -- a host */

/* Everybody may open it, and so may the executors' user. */
static void node(const char *name, const char *advice)
{
	struct stat st;

	if (stat(at(name), &st))
		say(WRONG, "node", advice, "%s: %s", name, strerror(errno));
	else if ((st.st_mode & 0006) != 0006)
		say(WARNING, "node", "let the user of executors open it ([executor] user in vgpu.conf; "
		    "NVreg_DeviceFileMode=0666 of the module nvidia)",
		    "%s has the mode %04o, so not every user may open it", name, st.st_mode & 07777);
	else
		say(OK, "node", NULL, "%s", name);
}

static void nvidia(void)
{
	static const char make[] = "run nvidia-modprobe -c N -u for each GPU, or restart vgpu-mediatord, whose "
				   "unit does so";
	char pattern[600], line[200], name[32];
	glob_t found;
	FILE *f;
	int minor;

	if (!there("/proc/driver/nvidia/version")) {
		say(WARNING, "nvidia", "install NVIDIA's driver, and load it (modprobe nvidia-uvm); only a "
		    "host that computes with softgpu needs none", "its kernel module is not loaded");
		return;
	}
	say(OK, "nvidia", NULL, "%.120s", line_of("/proc/driver/nvidia/version"));
	node("/dev/nvidiactl", make);
	node("/dev/nvidia-uvm", make);
	snprintf(pattern, sizeof(pattern), "%s/proc/driver/nvidia/gpus/*/information", doctor.root);
	if (!glob(pattern, 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			f = fopen(found.gl_pathv[i], "re");
			while (f && fgets(line, sizeof(line), f))
				if (sscanf(line, "Device Minor: %d", &minor) == 1) {
					snprintf(name, sizeof(name), "/dev/nvidia%d", minor);
					node(name, make);
				}
			if (f)
				fclose(f);
		}
		globfree(&found);
	}
	if (there("/sys/module/nvidia_uvm") &&
	    strcmp(line_of("/sys/module/nvidia_uvm/parameters/uvm_disable_hmm"), "Y"))
		say(WARNING, "hmm", "set \"options nvidia-uvm uvm_disable_hmm=1\" in /etc/modprobe.d, and load "
		    "the module again", "nvidia-uvm may use HMM; executors then refuse VMs");
}

/* Who gets no new programs, because an operator said so. */
static void drained(struct json_object *status)
{
	struct json_object *list = vg_get(status, "vgpus");
	char advice[120];

	if (vg_number(status, "drained_all")) {
		say(WARNING, "drain", "vgpuctl undrain --all, when the work is done; a restart of the mediator does "
		    "it, too", "all vGPUs are drained: no new program begins");
		return;
	}
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (!vg_number(v, "drained"))
			continue;
		snprintf(advice, sizeof(advice), "vgpuctl undrain %s, when the work is done; a restart of the "
			 "mediator does it, too", vg_string(v, "vgpu"));
		say(WARNING, "drain", advice, "%s is drained: no new program of it begins", vg_string(v, "vgpu"));
	}
}

static void mediator(const char *path)
{
	char why[200];
	struct json_object *answer = vg_ask(path, "status", why, sizeof(why)), *v = NULL;
	unsigned int version, devices;
	const char *running;

	if (!answer) {
		say(WRONG, "mediator", errno == EACCES ? "run vgpuctl as root" :
		    "systemctl enable --now vgpu-mediatord; journalctl -u vgpu-mediatord says why it does not run",
		    "%s", why);
		return;
	}
	v = NULL;
	json_object_object_get_ex(answer, "version", &v);
	running = json_object_get_string(v);
	if (!running || strcmp(running, VG_VERSION))
		say(WARNING, "version", "systemctl restart vgpu-mediatord, when no program computes (vgpuctl status); "
		    "until then it starts executors of the version that is installed",
		    "the mediator that runs is of version %s, and %s is installed",
		    running ? running : "0.9.0 or older", VG_VERSION);
	if (json_object_object_get_ex(answer, "libcuda", &v))
		snprintf(of_mediator, sizeof(of_mediator), "%s", json_object_get_string(v));
	json_object_object_get_ex(answer, "driver_version", &v);
	version = json_object_get_int(v);
	json_object_object_get_ex(answer, "devices", &v);
	devices = json_object_get_int(v);
	if (version && devices)
		say(OK, "mediator", NULL, "it runs, and executors have CUDA %u.%u with %u device(s)",
		    version / 1000, version % 1000 / 10, devices);
	else
		say(WRONG, "mediator", "journalctl -u vgpu-mediatord says which call of the driver failed",
		    "it runs, but no executor's CUDA driver has worked yet");
	drained(answer);
	json_object_put(answer);
}

static void types(void)
{
	const char *path = "/sys/class/mdev_bus/*/mdev_supported_types/*";
	size_t count = 0;
	glob_t found;

	if (!glob(at(path), 0, NULL, &found)) {
		count = found.gl_pathc;
		globfree(&found);
	}
	if (count)
		say(OK, "types", NULL, "%zu types of vGPUs, %s", count, path);
	else
		say(WRONG, "types",
		    "load vgpu_host, and NVIDIA's driver; the parameters `types` and `parent` of vgpu_host "
		    "name types and devices", "no types of vGPUs: %s", path);
}

static void host(const char *socket)
{
	module("vfio", "modprobe vgpu_host loads it; the kernel needs CONFIG_VFIO");
	module("mdev", "modprobe vgpu_host loads it; the kernel needs CONFIG_VFIO_MDEV");
	module("vgpu_host", "modprobe vgpu_host; if there is no such module, install vgpu-host-dkms and the "
	       "kernel's headers; with secure boot, enrol the key that signs it");
	if (there("/dev/vgpu-host"))
		say(OK, "node", NULL, "/dev/vgpu-host");
	else
		say(WRONG, "node", "load vgpu_host", "/dev/vgpu-host: %s", strerror(errno));
	types();
	nvidia();
	mediator(socket);
	memlock("QEMU", "give QEMU's user a limit that covers the memory of the VM (LimitMEMLOCK=, "
		"/etc/security/limits.d); libvirt does so by itself");
	driver(true);
}

/* -- a guest */

static unsigned long pci_number(const char *device, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%.500s/%s", device, name);
	return strtoul(line_of(path), NULL, 16);
}

static bool device(char name[32])
{
	char pattern[600];
	bool found = false;
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/sys/bus/pci/devices/*", doctor.root);
	if (glob(pattern, 0, NULL, &g))
		return false;
	for (size_t i = 0; i < g.gl_pathc && !found; i++) {
		const char *base = g.gl_pathv[i] + strlen(doctor.root);

		found = pci_number(base, "vendor") == VGPU_PCI_VENDOR &&
			pci_number(base, "device") == VGPU_PCI_DEVICE &&
			pci_number(base, "subsystem_device") == VGPU_PCI_SUBSYSTEM;
		if (found)
			snprintf(name, 32, "%.31s", strrchr(base, '/') + 1);
	}
	globfree(&g);
	return found;
}

static void guest(void)
{
	char name[32];

	if (device(name))
		say(OK, "device", NULL, "a vGPU is the PCI device %s", name);
	else
		say(WRONG, "device", "give the VM one: QEMU's -device vfio-pci,sysfsdev=/sys/bus/mdev/devices/UUID, "
		    "or a hostdev of libvirt's", "no PCI device of this machine is a vGPU");
	module("vgpu_guest", "modprobe vgpu_guest; if there is no such module, install vgpu-guest-dkms and the "
	       "kernel's headers; with secure boot, enrol the key that signs it");
	if (!there("/dev/vgpu0"))
		say(WRONG, "node", "load vgpu_guest; the kernel's log (dmesg) says what it thinks of the device",
		    "/dev/vgpu0: %s", strerror(errno));
	else if (access(at("/dev/vgpu0"), R_OK | W_OK))
		say(WRONG, "node", "chmod 666 /dev/vgpu0, and look for the udev rule that changed it",
		    "/dev/vgpu0: %s", strerror(errno));
	else
		say(OK, "node", NULL, "/dev/vgpu0");
	memlock("CUDA programs", "let the user lock what programs register (ulimit -l, LimitMEMLOCK=, "
		"/etc/security/limits.d), or load vgpu_guest with memlock=N");
	driver(false);
}

int vg_ctl_doctor(const char *socket, const char *root, enum vg_role role, bool json)
{
	bool is_host, is_guest;
	char name[32];

	doctor.root = root;
	doctor.json = json;
	doctor.list = json_object_new_array();
	is_guest = role == VG_ROLE_GUEST || (role == VG_ROLE_FOUND &&
		   (device(name) || there("/sys/module/vgpu_guest") || there("/dev/vgpu0")));
	is_host = role == VG_ROLE_HOST || (role == VG_ROLE_FOUND &&
		  (there("/sys/module/vgpu_host") || there("/dev/vgpu-host") ||
		   there("/usr/sbin/vgpu-mediatord") || !access(socket, F_OK)));
	if (is_host)
		host(socket);
	if (is_guest)
		guest();
	if (!is_host && !is_guest)
		say(WRONG, "machine", "install vgpu-host or vgpu-guest; or say which it is to be, with --host or "
		    "--guest", "nothing here is of a host or of a guest of vgpu");
	if (json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "well", json_object_new_boolean(!doctor.count[WRONG]));
		json_object_object_add(o, "checks", doctor.list);
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		json_object_put(doctor.list);
		printf("%u ok, %u warnings, %u wrong\n", doctor.count[OK], doctor.count[WARNING],
		       doctor.count[WRONG]);
	}
	return doctor.count[WRONG] ? EXIT_FAILURE : EXIT_SUCCESS;
}
