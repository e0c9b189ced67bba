// SPDX-License-Identifier: Apache-2.0
/*
 * The sections [vfio-user UUID]: vGPUs without the host module (docs/vfio-user.md).
 *
 * Each has a socket for a VM's client.  The connection goes, unread, to a server process of
 * its own, which says which channels want executors.  What a server says is bounded here as
 * what a guest says; it never makes the mediator wait.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vgpu_host.h>
#include <vgpu/layout.h>

#include "common/clock.h"
#include "common/fdpass.h"
#include "common/vfiouser_proto.h"
#include "mediator.h"

#define AGAIN_MS	50	/* before the next look whether the last VM's processes have gone */
#define BUSY_MS		1000	/* before a VM is refused because another has the vGPU */

/* A vGPU, and the server of the VM that has it. */
struct vg_vfiouser {
	struct vg_source listener;	/* for clients */
	struct vg_source control;	/* our end of the server's descriptor 3; fd -1: no VM */
	LIST_ENTRY(vg_vfiouser) node;
	struct vg_tenant *tenant;
	char *path;
	pid_t pid;			/* 0: no server, or it has been reaped */
	int64_t waits_since;		/* monotonic ms: a client, for the last VM's processes; 0: none */
	uid_t uid;			/* of the server (uid.c) */
	int life;			/* of the channel that comes next; -1: none */
	int counters_fd;
	struct vg_vfu_counters *counters;
};

static LIST_HEAD(, vg_vfiouser) devices = LIST_HEAD_INITIALIZER(devices);

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static struct vg_vfiouser *of_control(struct vg_source *s)
{
	return (struct vg_vfiouser *)((char *)s - offsetof(struct vg_vfiouser, control));
}

/* Both descriptors are taken; `life` is closed after the channel's executor has been reaped. */
static void channel_serve(struct vg_vfiouser *d, const struct vg_vfu_event *e, int fd, int life)
{
	struct vg_assign assign = { .kind = VG_ASSIGN_VFIO_USER };
	struct vg_tenant *t = d->tenant;
	char comm[64];
	struct vg_proc *p;

	/* As the module does: a layout that is made here is the one that counts. */
	if (fd < 0 || vgpu_layout_make(e->layout.sq_bytes, e->layout.slot_count,
				       e->layout.arena_bytes, &assign.layout)) {
		vg_closer_close(t->closer, fd);
		vg_closer_close(t->closer, life);
		return;
	}
	p = vg_proc_serve(t, NULL, &assign, e->settings, &fd, 1);
	if (!p) {
		int err = errno;
		struct vg_vfu_refusal no = {
			.size = sizeof(no), .id = e->id, .cookie = e->cookie,
			.why = vg_host_why(t, err),
		};

		/* A server that does not listen hears no reason. */
		if (no.why != VGPU_WHY_UNSAID)
			vg_send_fds(d->control.fd, &no, sizeof(no), NULL, 0);
		/* The only copy: the server sees that the channel is refused. */
		vg_closer_close(t->closer, fd);
		vg_closer_close(t->closer, life);
		vg_text_show(comm, sizeof(comm), e->comm, sizeof(e->comm));
		if (err == EKEYREVOKED)
			t->quarantine_refused++;
		else
			vg_event_refuse(t, e->pid, -1, comm, vg_refusal(err));
		return;
	}
	vg_closer_close(t->closer, fd);
	p->channel_fd = life;
	p->channel = e->id;
	p->cookie = e->cookie;
	vg_proc_name(p, e->pid, -1, e->comm);
}

static void channel_closed(struct vg_vfiouser *d, const struct vg_vfu_event *e)
{
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		if (p->tenant == d->tenant && p->channel == e->id && p->cookie == e->cookie)
			vg_proc_end_for(p, "the program closed its channel");
}

/* The server is to go, or has; vg_vfiouser_reaped() does the rest. */
static void end_server(struct vg_vfiouser *d)
{
	struct vg_proc *p;

	if (d->control.fd < 0)
		return;
	vg_source_remove(&d->control);
	vg_closer_close(d->tenant->closer, d->life);
	d->life = -1;
	if (d->pid)
		kill(d->pid, SIGKILL);
	LIST_FOREACH(p, &vg_procs, node)
		if (p->tenant == d->tenant)
			vg_proc_end_for(p, "the VM closed the vGPU");
}

static void control_ready(struct vg_source *s, uint32_t events)
{
	static struct vg_log_rate rate;
	struct vg_vfiouser *d = of_control(s);
	struct vg_tenant *t = d->tenant;
	int64_t wait = vg_rate_wait(&t->starts, t);
	struct vg_vfu_event e;
	int fd, ret;

	/* What it says stays in the socket, and its end is told all the same. */
	if (!(events & EPOLLHUP) && (wait || vg_closer_full(t->closer))) {
		t->start_waits += wait > 0;
		vg_source_pause(s, wait ? wait : VG_CLOSING_MS);
		return;
	}
	ret = vg_closer_recv(t->closer, s->fd, &e, sizeof(e), &fd);
	if (ret == -EAGAIN)
		return;
	if (ret == -EMFILE && !(events & EPOLLHUP)) {
		vg_source_pause(s, VG_CLOSING_MS);
		return;
	}
	if (!ret && e.size == sizeof(e) && e.kind == VG_VFU_LIFE && fd >= 0) {
		vg_closer_close(t->closer, d->life);
		d->life = fd;
		return;
	}
	if (!ret && e.size == sizeof(e) && e.kind == VG_VFU_CHANNEL && d->life >= 0) {
		vg_rate_spend(&t->starts);
		channel_serve(d, &e, fd, d->life);
		d->life = -1;
		return;
	}
	vg_closer_close(t->closer, fd);
	if (!ret && e.size == sizeof(e) && e.kind == VG_VFU_CLOSED) {
		channel_closed(d, &e);
		return;
	}
	if (ret != -EPIPE)
		vg_log_some(&rate, VG_WARNING, "%s: its server %d broke the protocol", t->uuid, d->pid);
	end_server(d);
}

/* 16 bytes from a UUID's text, as a guid_t has them; the text has been checked. */
static void parse_uuid(const char *text, uint8_t out[16])
{
	static const uint8_t place[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	unsigned int byte;

	for (int i = 0; i < 16; i++) {
		text += *text == '-';
		if (sscanf(text, "%2x", &byte) != 1)
			byte = 0;
		out[place[i]] = byte;
		text += 2;
	}
}

/* Who the server is to be: somebody of its own, or the user of executors. */
static int choose_user(struct vg_vfiouser *d, struct vg_vfu_assign *a)
{
	const struct passwd *user;

	if (geteuid() || !*vg_config.user)
		return 0;
	if (vg_uids_wanted()) {
		d->uid = vg_uid_new();
		a->uid = a->gid = d->uid;
		return d->uid ? 0 : -EUSERS;
	}
	user = getpwnam(vg_config.user);
	if (!user)
		return -ENOENT;
	a->uid = user->pw_uid;
	a->gid = user->pw_gid;
	return 0;
}

/* The server is beside the executor. */
static int server_path(char *path, size_t size)
{
	const char *slash = strrchr(vg_config.executor, '/');
	int folder = slash ? (int)(slash - vg_config.executor) + 1 : 0;

	return snprintf(path, size, "%.*svgpu-vfio-user", folder, vg_config.executor) < (int)size ?
	       0 : -ENAMETOOLONG;
}

/* Start a server for a connection, of which it gets a copy.  0 or a negative errno. */
static int start_server(struct vg_vfiouser *d, int client)
{
	struct vg_vfu_assign a = { .size = sizeof(a), .mem_bytes = d->tenant->type_memory };
	char path[4096], *argv[] = { path, "--log-level",
				     vg_config.log_level == VG_DEBUG ? "debug" : "info", NULL };
	int sv[2], fds[2] = { client, d->counters_fd }, ret = server_path(path, sizeof(path));
	static struct vg_log_rate rate;
	char **env;

	if (ret)
		return ret;
	parse_uuid(d->tenant->uuid, a.uuid);
	ret = choose_user(d, &a);
	if (ret)
		return ret;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) {
		ret = -errno;
		goto put;
	}
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	/* Of the last VM's. */
	memset((void *)d->counters, 0, sizeof(*d->counters));
	env = vg_environ(0, NULL);
	ret = env ? -vg_start(argv, env, sv[1], &d->pid) : -ENOMEM;
	free(env);
	close(sv[1]);
	if (ret) {
		vg_log_some(&rate, VG_ERROR, "cannot start %s: %s", path, strerror(-ret));
		close(sv[0]);
		goto put;
	}
	d->control = (struct vg_source){ .fd = sv[0], .ready = control_ready,
					 .closer = d->tenant->closer };
	ret = vg_send_fds(sv[0], &a, sizeof(a), fds, 2);
	if (!ret)
		ret = vg_source_add(&d->control, EPOLLIN);
	/* Its user is its own until it has been reaped. */
	if (ret)
		end_server(d);
	return ret;

put:
	vg_uid_put(d->uid);
	d->uid = 0;
	return ret;
}

static void listen_ready(struct vg_source *s, uint32_t events)
{
	static struct vg_log_rate rate;
	struct vg_vfiouser *d = (struct vg_vfiouser *)s;
	struct vg_tenant *t = d->tenant;
	int fd, ret;

	(void)events;
	/* If the last VM has gone, its processes soon have: the next one waits so long. */
	if (d->pid || t->procs) {
		if (!d->waits_since)
			d->waits_since = vg_now_ms();
		if (d->control.fd < 0 || vg_now_ms() - d->waits_since < BUSY_MS) {
			vg_source_pause(s, AGAIN_MS);
			return;
		}
	}
	d->waits_since = 0;
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		vg_listen_failed(s, d->path);
		return;
	}
	if (d->control.fd >= 0)
		ret = -EBUSY;
	else if (vg_closer_full(t->closer))
		ret = -EMFILE;
	else
		ret = start_server(d, fd);
	/* What the client has sent already may be in there. */
	vg_closer_close(t->closer, fd);
	if (ret) {
		vg_log_some(&rate, VG_ERROR, "%s: %s: cannot serve a VM: %s", t->uuid, d->path,
			    ret == -EBUSY ? "another has the vGPU" : strerror(-ret));
		return;
	}
	vg_host_look(t);
}

bool vg_vfiouser_reaped(pid_t pid, int status)
{
	struct vg_vfiouser *d;

	LIST_FOREACH(d, &devices, node)
		if (d->pid == pid)
			break;
	if (!d)
		return false;
	if (WIFSIGNALED(status) && d->control.fd >= 0)
		vg_warn("%s: its server %d ended by signal %d", d->tenant->uuid, pid, WTERMSIG(status));
	d->pid = 0;
	end_server(d);
	vg_uid_put(d->uid);
	d->uid = 0;
	vg_host_look(d->tenant);
	return true;
}

int vg_vfiouser_info(const struct vg_tenant *t, struct vgpu_host_vgpu_info *info)
{
	const struct vg_vfiouser *d = t->vfiouser;

	info->out_in_use = d->pid != 0;
	info->out_channels = atomic_load(&d->counters->channels);
	info->out_traps = atomic_load(&d->counters->traps);
	info->out_doorbells = atomic_load(&d->counters->doorbells);
	info->out_interrupts = atomic_load(&d->counters->interrupts);
	info->out_pinned_bytes = atomic_load(&d->counters->shared_bytes);
	info->out_read_bytes = atomic_load(&d->counters->read_bytes);
	return 0;
}

const char *vg_vfiouser_path(const struct vg_tenant *t)
{
	return t->vfiouser ? t->vfiouser->path : NULL;
}

static int counters_open(struct vg_vfiouser *d)
{
	d->counters_fd = memfd_create("vgpu-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* A server that shrank it would have the mediator fault. */
	if (d->counters_fd < 0 || ftruncate(d->counters_fd, sizeof(*d->counters)) ||
	    fcntl(d->counters_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	d->counters = mmap(NULL, sizeof(*d->counters), PROT_READ | PROT_WRITE, MAP_SHARED,
			   d->counters_fd, 0);
	return d->counters == MAP_FAILED ? -errno : 0;
}

static int open_one(const struct vg_vfiouser_conf *c)
{
	struct vg_vfiouser *d = calloc(1, sizeof(*d));
	int on = 1, ret;

	if (!d)
		return -ENOMEM;
	d->control.fd = d->life = -1;
	d->listener = (struct vg_source){ .fd = -1, .ready = listen_ready };
	LIST_INSERT_HEAD(&devices, d, node);
	d->path = strdup(c->path);
	ret = counters_open(d);
	if (ret || !d->path)
		return ret ? ret : -ENOMEM;
	d->tenant = vg_tenant_new(c->uuid, c->pool, "vfio-user", "", c->memory);
	if (!d->tenant)
		return -errno;
	d->tenant->vfiouser = d;
	d->listener.fd = vg_listen_socket(d->path, SOCK_STREAM, c->mode);
	if (d->listener.fd < 0)
		return d->listener.fd;
	/* Clients send descriptors of the VM's memory; the server takes them. */
	setsockopt(d->listener.fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
	vg_info("%s: vGPU for a VM by vfio-user at %s, pool %s", d->tenant->uuid, d->path,
		d->tenant->pool);
	vg_event_of(VG_EVENT_ADD, d->tenant);
	return vg_source_add(&d->listener, EPOLLIN);
}

int vg_vfiouser_open(void)
{
	const struct vg_vfiouser_conf *c;
	int ret = 0;

	LIST_FOREACH(c, vg_vfiouser_confs(), node)
		if (!ret)
			ret = open_one(c);
	return ret;
}

void vg_vfiouser_close(void)
{
	struct vg_vfiouser *d;

	LIST_FOREACH(d, &devices, node) {
		if (d->listener.fd >= 0) {
			vg_source_remove(&d->listener);
			vg_listen_unlink(d->path);
		}
		end_server(d);
	}
}
