// SPDX-License-Identifier: Apache-2.0
/*
 * Executors: started ahead of need, since loading and initialising a CUDA
 * driver takes longer than a program likes to wait; handed a channel; ended,
 * and reaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdpass.h"
#include "common/settings.h"
#include "mediator.h"

#include <linux/vgpu_ring.h>

#define WATCH_MS	500	/* between two looks at how long launches have run */
#define GRACE_MS	2000	/* for an executor to end by itself */
#define FAIL_PAUSE_MS	2000	/* before the next spare, after one has failed */

struct vg_procs vg_procs = LIST_HEAD_INITIALIZER(vg_procs);

static struct vg_exec_ready driver;
static int64_t refill_at;
/*
 * A new executor makes a context, and meanwhile NVIDIA's driver lets other processes' first calls
 * wait for 20 ms and more. So while there is another spare one, it is started a moment after a
 * program has begun.
 */
#define BEGIN_MS	250
static int64_t begun_until;
static bool monitored;		/* by a program that wants no context; another may come */

static struct vg_proc *of_control(struct vg_source *s)
{
	return (struct vg_proc *)((char *)s - offsetof(struct vg_proc, control));
}

static struct vg_proc *of_client(struct vg_source *s)
{
	return (struct vg_proc *)((char *)s - offsetof(struct vg_proc, client));
}

void vg_proc_end(struct vg_proc *p)
{
	if (p->state == VG_PROC_ENDING)
		return;
	p->state = VG_PROC_ENDING;
	if (p->tenant)
		atomic_store(&p->tenant->account->entry[p->account].gone_us, vg_now_us());
	p->kill_at = vg_now_ms() + GRACE_MS;
	/* The end of this socket is what it watches.  Its closer may be busy. */
	shutdown(p->control.fd, SHUT_RDWR);
	vg_source_remove(&p->control);
	/* Where the executor has a last word for its program, that is to read it before it sees the end. */
	if (p->tenant && atomic_load(&p->tenant->account->launch[p->account].ends_with))
		return;
	if (p->client.fd >= 0)
		shutdown(p->client.fd, SHUT_RDWR);
	vg_source_remove(&p->client);
}

void vg_proc_end_for(struct vg_proc *p, const char *why)
{
	if (!p->why)
		p->why = why;
	vg_proc_end(p);
}

static void tell(const struct vg_proc *p, enum vg_event_kind kind, const char *why)
{
	struct vg_event e = { .kind = kind, .executor = p->pid, .pid = p->guest_pid };

	snprintf(e.vgpu, sizeof(e.vgpu), "%s", p->tenant->uuid);
	snprintf(e.name, sizeof(e.name), "%s", p->comm);
	snprintf(e.why, sizeof(e.why), "%s", why);
	e.uid = p->guest_uid;
	vg_event(&e);
}

/* Only root can make another user of them. */
static bool other_user(void)
{
	return !geteuid() && *vg_config.user;
}

/* A serving executor asks for something about tokens, or hands over its listener. */
static int asked(struct vg_proc *p)
{
	struct vg_token_answer a = { .size = sizeof(a) };
	struct vg_token_request rq;
	int fd = -1, out = -1, ret;

	ret = vg_closer_recv(p->closer, p->control.fd, &rq, sizeof(rq), &fd);
	if (ret)
		return ret;
	if (rq.op == VG_TOKEN_LISTENER) {
		ret = vg_refused_listen(p, &rq, fd);
		if (!ret)
			fd = -1;
	} else {
		ret = vg_token_serve(p, &rq, fd, &a, &out);
	}
	vg_closer_close(p->closer, fd);
	/* One that does not take its answers in must not hold up the others. */
	if (!ret)
		ret = vg_send_fds(p->control.fd, &a, sizeof(a), &out, out >= 0);
	if (rq.op == VG_TOKEN_WITHDRAW)
		vg_closer_close(p->closer, out);
	return ret;
}

static void control_ready(struct vg_source *s, uint32_t events)
{
	struct vg_proc *p = of_control(s);
	int ret;

	if (p->ready.size) {
		/* What it says stays in the socket until there is room for what comes with it. */
		ret = vg_closer_full(p->closer) ? -EMFILE : asked(p);
		if (ret == -EMFILE && !(events & EPOLLHUP))
			vg_source_pause(s, VG_CLOSING_MS);
		else if (ret == -EPIPE)
			vg_proc_end(p);		/* by itself; its exit says how */
		else if (ret) {
			p->broke = true;
			vg_proc_end_for(p, "its executor broke the protocol");
		}
		return;
	}
	ret = vg_closer_recv(p->closer, p->control.fd, &p->ready, sizeof(p->ready), NULL);
	if (ret || p->ready.size != sizeof(p->ready)) {
		vg_proc_end(p);
		return;
	}
	if (p->ready.result) {
		static struct vg_log_rate failures;

		vg_log_some(&failures, VG_ERROR,
			    "executor %d: the CUDA driver %s does not work (error %d)%s%s", p->pid,
			    vg_config.libcuda, p->ready.result,
			    other_user() ? " for user " : "", other_user() ? vg_config.user : "");
		/* One in a vGPU may fail for want of what that vGPU has used up. */
		if (p->state != VG_PROC_SERVING)
			refill_at = vg_now_ms() + FAIL_PAUSE_MS;
		/* One that has a channel says so to its guest, and ends. */
		if (p->state == VG_PROC_STARTING)
			vg_proc_end(p);
		return;
	}
	/* Who started while others worked may have found nothing. */
	if (!p->ready.copy.ns_per_mib)
		p->ready.copy = driver.copy;
	if (p->ready.pageable && !driver.pageable && !vg_config.pageable_access)
		vg_err("GPU kernels can read and write all memory of their process (HMM), so no "
		       "VM is served: load NVIDIA's module with \"options nvidia-uvm "
		       "uvm_disable_hmm=1\", or set [executor] pageable_access = yes");
	driver = p->ready;
	if (p->state == VG_PROC_STARTING)
		p->state = VG_PROC_SPARE;
	if (p->state == VG_PROC_SPARE && !vg_config.spares)
		vg_proc_end(p);
}

/* The program has gone, or talks where it should not. */
static void client_ready(struct vg_source *s, uint32_t events)
{
	struct vg_proc *p = of_client(s);

	(void)events;
	vg_proc_end_for(p, "the program ended");
	vg_source_remove(s);
}

/* `devices` as in struct vg_tenant. */
static struct vg_proc *spawn(bool warm, uint64_t settings, const char *devices)
{
	char spin[16], level[16], copy[32], data[24];
	char *argv[32] = {
		vg_config.executor, "--libcuda", vg_config.libcuda, "--spin-us", spin,
		"--log-level", level, "--copy-time", copy, "--data", data,
	};
	char **more = argv;
	static struct vg_log_rate failures;
	struct vg_proc *p;
	char **env;
	int sv[2], ret;

	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->devices = devices ? strdup(devices) : NULL;
	if (devices && !p->devices) {
		free(p);
		errno = ENOMEM;
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) {
		ret = errno;
		vg_log_some(&failures, VG_ERROR, "cannot start an executor: %s", strerror(ret));
		refill_at = vg_now_ms() + FAIL_PAUSE_MS;
		free(p->devices);
		free(p);
		errno = ret;
		return NULL;
	}
	snprintf(spin, sizeof(spin), "%u", vg_config.spin_us);
	snprintf(level, sizeof(level), "%s",
		 vg_config.log_level == VG_DEBUG ? "debug" :
		 vg_config.log_level == VG_INFO ? "info" :
		 vg_config.log_level == VG_WARNING ? "warning" : "error");
	snprintf(copy, sizeof(copy), "%u,%u", driver.copy.start_ns, driver.copy.ns_per_mib);
	snprintf(data, sizeof(data), "%" PRIu64, vg_config.data);
	while (*more)
		more++;
	if (warm)
		*more++ = "--warm";
	if (other_user()) {
		*more++ = "--user";
		*more++ = vg_config.user;
		if (vg_uids_wanted())
			*more++ = "--late-user";
	}
	if (vg_config.pageable_access)
		*more++ = "--pageable-access";
	*more++ = "--allow";
	*more++ = vg_config.allow;
	if (vg_config.files) {
		*more++ = "--read";
		*more++ = vg_config.read;
		*more++ = "--write";
		*more++ = vg_config.write;
	} else {
		*more++ = "--any-file";
	}

	/* Our end alone: the executor waits for its answers. */
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	env = vg_environ(settings, devices);
	ret = env ? vg_start(argv, env, sv[1], &p->pid) : ENOMEM;
	free(env);
	close(sv[1]);
	if (ret) {
		vg_log_some(&failures, VG_ERROR, "cannot start %s: %s", vg_config.executor,
			    strerror(ret));
		refill_at = vg_now_ms() + FAIL_PAUSE_MS;
		close(sv[0]);
		free(p->devices);
		free(p);
		/* Whose fault it is: a program is not to believe that its device is missing. */
		errno = EHOSTDOWN;
		return NULL;
	}

	p->state = VG_PROC_STARTING;
	p->warm = warm;
	p->settings = settings;
	p->control = (struct vg_source){ .fd = sv[0], .ready = control_ready };
	p->client.fd = -1;
	p->listener.fd = -1;
	p->channel_fd = -1;
	p->guest_uid = -1;
	LIST_INSERT_HEAD(&vg_procs, p, node);
	vg_source_add(&p->control, EPOLLIN);
	vg_debug("executor %d started%s", p->pid, warm ? ", with a context" : "");
	return p;
}

/* The driver keeps compiled PTX at home otherwise, which its user here may not have. */
static void open_cache(const struct passwd *user)
{
	struct stat st;
	bool made;
	int fd;

	/* A cache that all write to would connect those whom their users keep apart. */
	if (!*vg_config.cache || vg_uids_wanted()) {
		setenv("CUDA_CACHE_DISABLE", "1", 1);
		return;
	}
	made = !mkdir(vg_config.cache, 0700);
	if (!made && errno != EEXIST)
		goto fail;
	fd = open(vg_config.cache, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		goto fail;
	/* A folder that was there may be anybody's, and is not to be given away. */
	if (fstat(fd, &st) || (made && fchown(fd, user->pw_uid, user->pw_gid))) {
		close(fd);
		goto fail;
	}
	close(fd);
	if (!made && st.st_uid != user->pw_uid) {
		errno = 0;
		goto fail;
	}
	setenv("CUDA_CACHE_PATH", vg_config.cache, 1);
	return;
fail:
	setenv("CUDA_CACHE_DISABLE", "1", 1);
	vg_warn("compiled PTX is not kept: %s: %s", vg_config.cache,
		errno ? strerror(errno) : "the folder is another user's");
}

int vg_procs_init(void)
{
	const struct passwd *user;

	if (vg_config.files &&
	    syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0)
		vg_warn("this kernel has no Landlock (%s): executors may open whatever their user "
			"may", strerror(errno));
	vg_cgroup_open();
	if (!other_user())
		return 0;
	user = getpwnam(vg_config.user);
	if (!user)	/* it was there in vg_config_check() */
		return -ENOENT;
	open_cache(user);
	return 0;
}

/*
 * Monitors (NVML) have no context, and ask for the smallest of channels.  A context for each
 * would take the device's memory, and time from those that compute there.
 */
static bool monitors(const struct vg_assign *assign)
{
	return assign->layout.sq_bytes == VGPU_SQ_MIN;
}

static bool same_devices(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Can it serve any program that is to see these devices, and has asked for nothing more? */
static bool serves(const struct vg_proc *p, bool warm, const char *devices)
{
	return p->warm == warm && !p->settings && same_devices(p->devices, devices);
}

static struct vg_proc *spare(bool warm, const char *devices)
{
	struct vg_proc *p, *starting = NULL;

	LIST_FOREACH(p, &vg_procs, node) {
		if (!serves(p, warm, devices))
			continue;
		if (p->state == VG_PROC_SPARE)
			return p;
		if (p->state == VG_PROC_STARTING)
			starting = p;
	}
	return starting ? starting : spawn(warm, 0, devices);
}

static bool refill(bool warm, const char *devices, unsigned int wanted)
{
	unsigned int have = 0;
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		have += serves(p, warm, devices) &&
			(p->state == VG_PROC_SPARE || p->state == VG_PROC_STARTING);
	while (have++ < wanted)
		if (!spawn(warm, 0, devices))
			return false;
	return true;
}

static bool refill_devices(const char *devices)
{
	return refill(vg_config.warm, devices, vg_config.spares) &&
	       (!monitored || !vg_config.warm || !vg_config.spares || refill(false, devices, 1));
}

/* Spares of no use any more: no vGPU has these devices. */
static void drop_unused(void)
{
	struct vg_tenant *t;
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node) {
		if (p->state != VG_PROC_SPARE || p->settings)
			continue;
		LIST_FOREACH(t, &vg_tenants, node)
			if (same_devices(p->devices, t->devices))
				break;
		if (!t)
			vg_proc_end(p);
	}
}

void vg_procs_try(void)
{
	if (!vg_config.spares && !driver.size && vg_now_ms() >= refill_at)
		refill(false, NULL, 1);
}

void vg_procs_renew(void)
{
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		if (p->state == VG_PROC_STARTING || p->state == VG_PROC_SPARE)
			vg_proc_end(p);
	refill_at = 0;
}

static bool any_spare(void)
{
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		if (p->state == VG_PROC_SPARE)
			return true;
	return false;
}

/* For each set of devices that programs may come for. */
void vg_procs_refill(void)
{
	struct vg_tenant *t;

	if (vg_now_ms() < refill_at || (vg_now_ms() < begun_until && any_spare()))
		return;
	/* With none yet, one shows whether the driver works. */
	if (LIST_EMPTY(&vg_tenants)) {
		refill_devices(NULL);
		return;
	}
	LIST_FOREACH(t, &vg_tenants, node)
		if (!refill_devices(t->devices))
			return;
	drop_unused();
}

struct vg_proc *vg_proc_serve(struct vg_tenant *t, struct vg_user *user,
			      const struct vg_assign *assign, uint64_t settings,
			      const int *fds, int count)
{
	uid_t *uid = user && !t->named ? &user->executors : &t->executors;
	struct vg_assign msg = *assign;
	int all[VG_FDS_MAX], entry, ret;
	bool warm = vg_config.warm && !monitors(assign);
	struct vg_proc *p;

	if (!vg_settings_valid(settings)) {
		errno = EPROTO;
		return NULL;
	}
	if (vg_quarantined(t, user)) {
		errno = EKEYREVOKED;
		return NULL;
	}
	if (vg_drained(t)) {
		errno = ESHUTDOWN;
		return NULL;
	}
	if (t->procs >= (user ? VG_ACCOUNT_ENTRIES : vg_quota(t, VG_QUOTA_PROGRAMS))) {
		errno = user ? ENOSPC : EUSERS;
		return NULL;
	}
	if (vg_uids_wanted() && !*uid) {
		*uid = vg_uid_new();
		if (!*uid) {
			errno = EUSERS;
			return NULL;
		}
	}
	entry = vg_tenant_entry(t);
	if (entry < 0) {
		errno = ENOSPC;
		return NULL;
	}
	if (monitors(assign))
		monitored = true;
	/* The driver of a spare one has read its environment. */
	p = settings ? spawn(warm, settings, t->devices) : spare(warm, t->devices);
	if (!p) {
		vg_tenant_settle(t, entry);
		return NULL;
	}
	ret = vg_cgroup_enter(t, p->pid);
	if (ret) {
		static struct vg_log_rate failures;

		vg_log_some(&failures, VG_ERROR, "%s: executor %d cannot enter its cgroup: %s",
			    t->uuid, p->pid, strerror(-ret));
		vg_tenant_settle(t, entry);
		vg_proc_end(p);
		errno = EHOSTDOWN;
		return NULL;
	}
	memcpy(all, fds, count * sizeof(*fds));
	all[count] = t->account_fd;
	all[count + 1] = vg_turns_bell(t);
	msg.size = sizeof(msg);
	msg.account = entry;
	msg.uid = *uid;
	ret = vg_send_fds(p->control.fd, &msg, sizeof(msg), all, count + 2);
	if (ret) {
		vg_tenant_settle(t, entry);
		vg_proc_end(p);
		errno = -ret;
		return NULL;
	}
	p->state = VG_PROC_SERVING;
	begun_until = vg_now_ms() + BEGIN_MS;
	p->tenant = t;
	p->uid = vg_uid_get(*uid);
	if (user) {
		p->user = vg_user_get(t, user->uid);
		p->user->programs++;
	}
	p->closer = vg_closer_get(user ? user->closer : t->closer);
	p->control.closer = p->closer;
	p->account = entry;
	p->client = (struct vg_source){ .fd = -1, .ready = client_ready, .closer = p->closer };
	return p;
}

void vg_proc_name(struct vg_proc *p, uint32_t pid, int64_t uid, const char *comm)
{
	p->guest_pid = pid;
	p->guest_uid = uid;
	p->since_ms = vg_wall_ms();
	vg_text_show(p->comm, sizeof(p->comm), comm, 16);
	atomic_store(&p->tenant->account->entry[p->account].pid, pid);
	tell(p, VG_EVENT_BEGIN, "");
}

/* `status` as waitpid() gives it.  Before its account is settled. */
static void tell_end(const struct vg_proc *p, int status)
{
	const struct vg_account_entry *a = &p->tenant->account->entry[p->account];
	const struct vg_account_waits *w = &p->tenant->account->waits[p->account];
	struct vg_event e = { .kind = VG_EVENT_END, .executor = p->pid, .pid = p->guest_pid };
	uint64_t now = vg_wall_ms();
	bool killed = p->state == VG_PROC_ENDING && !p->kill_at;

	if (!p->since_ms)	/* no program was ever told of it */
		return;
	snprintf(e.vgpu, sizeof(e.vgpu), "%s", p->tenant->uuid);
	snprintf(e.name, sizeof(e.name), "%s", p->comm);
	e.uid = p->guest_uid;
	if (WIFSIGNALED(status) && killed)
		snprintf(e.why, sizeof(e.why), "%s; its executor was killed after %u ms",
			 p->why ? p->why : "the program ended", GRACE_MS);
	else if (WIFSIGNALED(status))
		snprintf(e.why, sizeof(e.why), "its executor ended by signal %d",
			 WTERMSIG(status));
	else if (p->why || !WEXITSTATUS(status))
		snprintf(e.why, sizeof(e.why), "%s", p->why ? p->why : "the program ended");
	else
		snprintf(e.why, sizeof(e.why), "its executor ended with status %d",
			 WEXITSTATUS(status));
	e.duration_ms = now > p->since_ms ? now - p->since_ms : 0;
	e.calls = atomic_load(&a->calls);
	e.bytes_in = atomic_load(&a->bytes_in);
	e.bytes_out = atomic_load(&a->bytes_out);
	e.memory_peak = atomic_load(&a->memory_peak);
	e.memory_refused = atomic_load(&a->memory_refused);
	e.faults = atomic_load(&a->faults);
	for (unsigned int i = 0; i < VG_BUCKETS; i++)
		e.waited_ms += atomic_load(&w->waited_us[i]) / 1000;
	vg_event(&e);
}

/* What fault of its own or its program's an executor has ended by; NULL: none. */
static const char *fault(const struct vg_proc *p, int status)
{
	const struct vg_account *a = p->tenant->account;
	bool killed = p->state == VG_PROC_ENDING && !p->kill_at;

	if (!p->since_ms)
		return NULL;
	if (atomic_load(&a->launch[p->account].ends_with))
		return "a launch took too long";
	if (WIFSIGNALED(status) && !killed)
		return "its executor ended by a signal";
	if (p->broke)
		return "its executor broke the protocol";
	if (atomic_load(&a->entry[p->account].faults))
		return "malformed records, or an error that lost a context";
	return NULL;
}

void vg_procs_reap(void)
{
	static struct vg_log_rate ends;
	const char *what;
	struct vg_proc *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		LIST_FOREACH(p, &vg_procs, node)
			if (p->pid == pid)
				break;
		if (!p) {
			vg_vfiouser_reaped(pid, status);
			continue;
		}
		if (WIFSIGNALED(status) && p->tenant)
			vg_log_some(&ends, VG_WARNING,
				    "executor %d of %s %u (%s) ended by signal %d (%s)", pid,
				    p->comm[0] ? p->comm : "process", p->guest_pid,
				    p->tenant->uuid, WTERMSIG(status), strsignal(WTERMSIG(status)));
		else if (WIFSIGNALED(status))
			vg_log_some(&ends, VG_WARNING,
				    "executor %d, which served no program yet, ended by signal %d (%s)",
				    pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
		if (p->state == VG_PROC_STARTING || p->state == VG_PROC_SPARE)
			refill_at = vg_now_ms() + FAIL_PAUSE_MS;
		vg_proc_end(p);
		vg_source_remove(&p->listener);
		if (p->client.fd >= 0)
			shutdown(p->client.fd, SHUT_RDWR);
		vg_source_remove(&p->client);
		vg_tokens_forget(p);
		if (p->tenant) {
			tell_end(p, status);
			if ((what = fault(p, status)))
				vg_quarantine_fault(p->tenant, p->user, what);
			vg_tenant_settle(p->tenant, p->account);
		}
		/* After the GPU's files that it had shared (closer.c). */
		vg_closer_close(p->closer, p->channel_fd);
		vg_closer_put(p->closer);
		if (!p->tenant)
			vg_cgroup_sweep();	/* it was perhaps the last in there */
		vg_uid_put(p->uid);
		if (p->user) {
			p->user->programs--;
			vg_user_put(p->user);
		}
		LIST_REMOVE(p, node);
		free(p->devices);
		free(p);
	}
}

int vg_procs_tick(void)
{
	int64_t now = vg_now_ms(), next = -1;
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node) {
		int64_t left;

		if (p->state != VG_PROC_ENDING || !p->kill_at)
			continue;
		left = p->kill_at - now;
		if (left <= 0) {
			kill(p->pid, SIGKILL);
			p->kill_at = 0;
		} else if (next < 0 || left < next) {
			next = left;
		}
	}
	if (refill_at > now && (next < 0 || refill_at - now < next))
		next = refill_at - now;
	if (begun_until > now && (next < 0 || begun_until - now < next))
		next = begun_until - now;
	return next;
}

static void kernel_timeout(struct vg_proc *p, uint64_t took_us)
{
	char why[96];

	snprintf(why, sizeof(why), "a launch has run for %.1f s; kernel_seconds is %" PRIu64,
		 took_us / 1e6, vg_quota(p->tenant, VG_QUOTA_KERNEL_SECONDS));
	tell(p, VG_EVENT_KERNEL_TIMEOUT, why);
	/* Its executor passes this on, if it still does anything. */
	atomic_store(&p->tenant->account->launch[p->account].ends_with, VG_ENDS_LAUNCH_TIMEOUT);
	vg_proc_end_for(p, "a launch ran for longer than kernel_seconds");
}

void vg_procs_watch(void)
{
	static int64_t next;
	struct vg_proc *p;

	if (vg_now_ms() < next)
		return;
	next = vg_now_ms() + WATCH_MS;
	LIST_FOREACH(p, &vg_procs, node) {
		uint64_t limit, since, now;

		if (p->state != VG_PROC_SERVING || !p->tenant)
			continue;
		limit = vg_quota(p->tenant, VG_QUOTA_KERNEL_SECONDS) * 1000000;
		since = atomic_load(&p->tenant->account->launch[p->account].since_us);
		now = vg_now_us();
		if (limit && since && now > since && now - since >= limit)
			kernel_timeout(p, now - since);
	}
}

void vg_procs_end_tenant(struct vg_tenant *t)
{
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node) {
		if (p->tenant != t)
			continue;
		vg_tokens_forget(p);
		/* What its exit would say no longer counts. */
		if (!p->why)
			p->why = "the vGPU was removed";
		tell_end(p, 0);
		vg_tenant_settle(t, p->account);
		p->tenant = NULL;
		vg_proc_end(p);
	}
}

struct vg_exec_ready vg_procs_driver(void)
{
	return driver;
}
