// SPDX-License-Identifier: Apache-2.0
/* Programs that come over the Unix socket, with no VM between. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vgpu/layout.h>

#include "common/fdpass.h"
#include "mediator.h"

static void listen_ready(struct vg_source *s, uint32_t events);

/* A socket, and whose programs come over it. */
struct listener {
	struct vg_source source;
	LIST_ENTRY(listener) node;
	struct vg_tenant *tenant;
	char *path;
};

static LIST_HEAD(, listener) listeners = LIST_HEAD_INITIALIZER(listeners);
static struct vg_closer *strays;	/* of connections for which there is no memory */

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define SILENCE_MS	5000	/* for a program to say what it wants */
#define YIELD_MS	1000	/* a silent one then makes room for another of its user */
/*
 * All users of a socket together may have so many times as many silent connections as one, because
 * a program can be as many users as its user namespace has.
 */
#define ALL_USERS	16u
#define PAUSE_MS	1000	/* before the next try, where descriptors ran out */

/* A connection whose hello has not come yet. */
struct guest {
	struct vg_source source;
	TAILQ_ENTRY(guest) node;
	struct vg_tenant *tenant;
	struct ucred cred;
	struct vg_user *user;
	int64_t since;
	bool queued;
};

static TAILQ_HEAD(, guest) guests = TAILQ_HEAD_INITIALIZER(guests);	/* the oldest first */

/* The directory of a socket is made if it is missing: /run is new at boot. */
int vg_listen_folder(const char *path, char *folder, size_t size)
{
	struct stat st;
	char *slash;

	snprintf(folder, size, "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, 0755) && errno != EEXIST)
		return -errno;
	if (stat(folder, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int vg_listen_socket(const char *path, int type, unsigned int mode)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char folder[sizeof(addr.sun_path)];
	struct stat st;
	int fd, probe, ret, off = 0;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		vg_err("%s: longer than a socket's path may be", path);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);
	ret = vg_listen_folder(path, folder, sizeof(folder));
	if (ret) {
		vg_err("%s: cannot make its folder %s: %s", path, folder, strerror(-ret));
		return ret;
	}

	/* One that answers belongs to a living mediator; any other is a left-over. */
	probe = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (probe >= 0 && !connect(probe, (struct sockaddr *)&addr, sizeof(addr))) {
		close(probe);
		vg_err("%s: another mediator listens there", path);
		return -EADDRINUSE;
	}
	if (probe >= 0)
		close(probe);
	if (!lstat(path, &st) && !S_ISSOCK(st.st_mode)) {
		vg_err("%s: it is there, and is no socket", path);
		return -EEXIST;
	}
	unlink(path);

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || chmod(path, mode) ||
	    listen(fd, 64)) {
		int err = -errno;

		vg_err("%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return err;
	}
	/* Nobody has to send descriptors.  The kernel refuses them from Linux 6.16 on. */
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	return fd;
}

void vg_listen_unlink(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
}

void vg_listen_failed(struct vg_source *s, const char *path)
{
	static struct vg_log_rate rate;

	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
		return;
	vg_log_some(&rate, VG_ERROR, "%s: no more connections for now: %s", path, strerror(errno));
	vg_source_pause(s, PAUSE_MS);
}

static int channel_memory(const struct vgpu_layout *layout)
{
	struct vgpu_ring *ring;
	int fd = memfd_create("vgpu-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, layout->total_bytes))
		goto fail;
	/* The only byte of channel memory that the mediator ever touches. */
	ring = mmap(NULL, VGPU_RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		goto fail;
	ring->magic = VGPU_RING_MAGIC;
	munmap(ring, VGPU_RING_PAGE);
	/* A program that shrank it could make its executor fault. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	return fd;
fail:
	close(fd);
	return -errno;
}

/* Serve a program that has said what it wants.  0 or a negative errno. */
static int serve(struct guest *g, const struct vg_sock_hello *hello)
{
	struct vg_sock_welcome welcome = { .size = sizeof(welcome) };
	struct vg_assign assign = { .kind = VG_ASSIGN_SOCKET };
	struct vg_proc *p;
	int fds[3], pair[2], ret;

	if (hello->size != sizeof(*hello) || hello->abi != VG_SOCK_ABI || hello->reserved)
		return -EPROTO;
	ret = vgpu_layout_make(hello->sq_bytes, hello->slot_count, hello->arena_bytes,
			       &welcome.layout);
	if (ret)
		return ret;
	fds[0] = channel_memory(&welcome.layout);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fds[1] < 0) {
		ret = -errno;
		goto close_memory;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		ret = -errno;
		goto close_bell;
	}
	assign.layout = welcome.layout;
	fds[2] = pair[0];
	p = vg_proc_serve(g->tenant, g->user, &assign, hello->settings, fds, 3);
	if (!p) {
		ret = -errno;
		goto close_pair;
	}
	vg_proc_name(p, g->cred.pid, g->cred.uid, hello->comm);
	fds[2] = pair[1];
	ret = vg_send_fds(g->source.fd, &welcome, sizeof(welcome), fds, 3);
	if (ret) {
		vg_proc_end(p);
		goto close_pair;
	}
	/* The connection is the process's from here on. */
	p->client.fd = vg_source_take(&g->source);
	if (vg_source_add(&p->client, EPOLLIN | EPOLLRDHUP))
		vg_proc_end(p);

close_pair:
	/* Those who have got them may have gone, and left messages in them. */
	vg_closer_close(g->user->closer, pair[0]);
	vg_closer_close(g->user->closer, pair[1]);
close_bell:
	close(fds[1]);
close_memory:
	/* Both sides may have filled it and gone. */
	vg_closer_close(g->user->closer, fds[0]);
	return ret;
}

static void drop(struct guest *g)
{
	g->user->silent--;
	g->tenant->silent--;
	TAILQ_REMOVE(&guests, g, node);
	vg_source_remove(&g->source);
	vg_user_put(g->user);
	free(g);
}

static void refuse_for(struct guest *g, int error, const char *why)
{
	struct vg_sock_welcome no = { .size = sizeof(no), .status = error };

	/* One event says that its user is in quarantine, who may try again for ever. */
	if (error == EKEYREVOKED)
		g->tenant->quarantine_refused++;
	else
		vg_event_refuse(g->tenant, g->cred.pid, g->cred.uid, "", why);
	vg_send_fds(g->source.fd, &no, sizeof(no), NULL, 0);
	drop(g);
}

static void refuse(struct guest *g, int error)
{
	refuse_for(g, error, vg_refusal(error));
}

static void guest_ready(struct vg_source *s, uint32_t events)
{
	struct guest *g = (struct guest *)s;
	struct vg_sock_hello hello;
	char why[80];
	int64_t wait;
	int ret;

	if (events & EPOLLHUP) {
		drop(g);
		return;
	}
	if (g->user->programs >= vg_quota(g->tenant, VG_QUOTA_PROGRAMS)) {
		snprintf(why, sizeof(why), "%u programs of this %s run, as many as may",
			 g->user->programs, g->tenant->named ? "tenant" : "user");
		refuse_for(g, EUSERS, why);
		return;
	}
	/* What it says stays in the socket until its turn: each takes a place in the queue. */
	if (!g->queued) {
		g->queued = true;
		wait = vg_rate_wait(&g->user->starts, g->tenant);
		vg_rate_spend(&g->user->starts);
		if (wait) {
			g->tenant->start_waits++;
			g->since = vg_now_ms() + wait;
			vg_source_pause(s, wait);
			return;
		}
	}
	if (vg_closer_full(g->user->closer)) {
		vg_source_pause(s, VG_CLOSING_MS);
		return;
	}
	ret = vg_closer_recv(g->user->closer, s->fd, &hello, sizeof(hello), NULL);
	if (ret == 0)
		ret = serve(g, &hello);
	if (ret && ret != -EPIPE)
		refuse(g, -ret);
	else
		drop(g);
}

/* The one of this user's, or (NULL) of any, that has been silent for longest, if that is long. */
static struct guest *silent(const struct vg_tenant *t, const struct vg_user *u)
{
	struct guest *g;

	TAILQ_FOREACH(g, &guests, node)
		if (g->tenant == t && (!u || g->user == u) && !g->queued)
			break;
	return g && vg_now_ms() - g->since >= YIELD_MS ? g : NULL;
}

/* Whether its user has too many silent ones, or (NULL) all users of its socket together. */
static bool too_many(const struct guest *g, const struct vg_user **who)
{
	*who = g->user->silent > vg_config.connections ? g->user : NULL;
	return *who || g->tenant->silent > ALL_USERS * vg_config.connections;
}

/* An executor comes as a program, because its driver is a libcuda.so.1 of ours. */
static bool is_executor(pid_t pid)
{
	static struct vg_log_rate rate;
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		if (p->pid == pid)
			break;
	if (!p)
		return false;
	vg_log_some(&rate, VG_ERROR, "executor %d connects to this mediator as a program does, because the "
		    "CUDA driver that it loads (%s) is vgpu's own library for guests: remove that from "
		    "this host, or name NVIDIA's file in [executor] libcuda", pid, vg_config.libcuda);
	/* Later on, those who are served lose nothing, and a guest may be behind it. */
	if (p->state == VG_PROC_STARTING && !vg_procs_driver().size)
		vg_stop(2);
	return true;
}

static void listen_ready(struct vg_source *s, uint32_t events)
{
	socklen_t len = sizeof(struct ucred);
	const struct vg_user *who;
	struct guest *g, *old;
	char why[80];
	int fd;

	(void)events;
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		vg_listen_failed(s, ((struct listener *)s)->path);
		return;
	}
	g = calloc(1, sizeof(*g));
	if (!g || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &g->cred, &len) ||
	    is_executor(g->cred.pid))
		goto fail;
	g->tenant = ((struct listener *)s)->tenant;
	g->user = vg_user_get(g->tenant, g->cred.uid);
	if (!g->user)
		goto fail;
	g->source = (struct vg_source){ .fd = fd, .ready = guest_ready,
					.closer = g->user->closer };
	g->since = vg_now_ms();
	g->user->silent++;
	g->tenant->silent++;
	TAILQ_INSERT_TAIL(&guests, g, node);
	if (too_many(g, &who)) {
		old = silent(g->tenant, who);
		if (!old) {
			snprintf(why, sizeof(why), "%s too many connections without a message",
				 !who ? "the users of this socket have" :
				 g->tenant->named ? "this tenant has" : "this user has");
			refuse_for(g, EUSERS, why);
			return;
		}
		refuse(old, ETIMEDOUT);
	}
	if (vg_source_add(&g->source, EPOLLIN))
		drop(g);
	return;
fail:
	vg_closer_hang_up(strays, fd, vg_closer_full(strays));
	free(g);
}

const char *vg_listen_path(const struct vg_tenant *t)
{
	const struct listener *l;

	LIST_FOREACH(l, &listeners, node)
		if (l->tenant == t)
			return l->path;
	return NULL;
}

int vg_listen_tick(void)
{
	int64_t now = vg_now_ms(), next = -1;
	struct guest *g, *after;

	for (g = TAILQ_FIRST(&guests); g; g = after) {
		after = TAILQ_NEXT(g, node);
		if (now - g->since >= SILENCE_MS)
			refuse(g, ETIMEDOUT);
		else if (next < 0 || g->since + SILENCE_MS - now < next)
			next = g->since + SILENCE_MS - now;
	}
	return next;
}

static int open_one(const char *name, const char *path, const char *pool, unsigned int mode,
		    uint64_t memory)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->path = strdup(path);
	l->tenant = vg_tenant_new(name, pool, "socket", "", memory);
	l->source = (struct vg_source){ .fd = -1, .ready = listen_ready };
	LIST_INSERT_HEAD(&listeners, l, node);
	if (!l->path || !l->tenant)
		return -ENOMEM;
	l->tenant->local = true;
	l->tenant->named = strcmp(name, "local");
	vg_quotas_apply(l->tenant);
	l->source.fd = vg_listen_socket(path, SOCK_SEQPACKET, mode);
	if (l->source.fd < 0)
		return l->source.fd;
	if (l->tenant->named)
		vg_info("%s: serving programs on this machine, as %s", path, name);
	else
		vg_info("%s: serving programs on this machine", path);
	return vg_source_add(&l->source, EPOLLIN);
}

int vg_listen_open(void)
{
	struct vg_named_socket *s;
	int ret = 0;

	strays = vg_closer_new();
	if (!strays)
		return -ENOMEM;
	if (*vg_config.socket)
		ret = open_one("local", vg_config.socket, vg_config.local_pool,
			       vg_config.socket_mode, vg_config.local_memory);
	LIST_FOREACH(s, vg_sockets(), node)
		if (!ret)
			ret = open_one(s->name, s->path, s->pool, s->mode == VG_SOCKET_MODE_USUAL ?
				       vg_config.socket_mode : s->mode, s->memory);
	return ret;
}

void vg_listen_close(void)
{
	struct listener *l;

	LIST_FOREACH(l, &listeners, node) {
		if (l->source.fd < 0)
			continue;
		vg_source_remove(&l->source);
		vg_listen_unlink(l->path);
	}
}
