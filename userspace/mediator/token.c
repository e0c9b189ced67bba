// SPDX-License-Identifier: Apache-2.0
/*
 * What the processes of one vGPU let each other have.  Each vGPU has a table of its
 * own, and an executor's requests are looked up in that of its own vGPU, so a token
 * is worth nothing anywhere else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mediator.h"

#define TOKENS_MAX	4096u	/* of one vGPU, or of one user of the socket */
#define TOKEN_FDS_MAX	512u	/* descriptors among them */
#define USERS_MAX	4u	/* times as many for all users of the socket together */

/* /dev/nvidiactl: nvidia-modprobe, and each NVIDIA driver, has this number for it. */
#define NVIDIACTL	makedev(195, 255)

/* How often a process has taken a token. */
struct hold {
	LIST_ENTRY(hold) node;
	const struct vg_proc *by;
	uint64_t count;
};

struct vg_token {
	LIST_ENTRY(vg_token) node;
	const struct vg_proc *owner;	/* NULL once it has withdrawn it or ended */
	struct vg_user *user;		/* who pays for it, of the socket's; or NULL */
	uint32_t kind;
	int fd;				/* -1 for none */
	uint64_t bytes;
	uint8_t name[VG_TOKEN_BYTES];
	uint8_t data[VG_TOKEN_DATA];
	LIST_HEAD(, hold) holds;
};

/*
 * What it counts as when nobody owns it. Whoever opens a block of cuMemAlloc() has the pieces that it
 * lies in, also those that the block shared with others.
 */
static uint64_t charge_of(const struct vg_token *k)
{
	if (k->kind != VG_TOKEN_MEMORY && k->kind != VG_TOKEN_SOFT_MEMORY)
		return k->bytes;
	return (k->bytes + VG_DEVICE_PIECE - 1) & ~(VG_DEVICE_PIECE - 1);
}

static void drop(struct vg_tenant *t, struct vg_token *k)
{
	LIST_REMOVE(k, node);
	t->token_count--;
	if (k->user) {
		k->user->token_count--;
		vg_user_put(k->user);
	}
	free(k);
}

/*
 * Nobody can take it any more; those who have it keep it, and their vGPU pays.  Its
 * descriptor is the caller's, or -1.
 */
static int withdraw(struct vg_tenant *t, struct vg_token *k)
{
	int fd = k->fd;

	if (fd >= 0) {
		k->fd = -1;
		t->token_fds--;
		if (k->user)
			k->user->token_fds--;
	}
	k->owner = NULL;
	if (LIST_EMPTY(&k->holds))
		drop(t, k);
	else
		vg_tenant_orphan(t, charge_of(k));
	return fd;
}

static void unhold(struct vg_tenant *t, struct vg_token *k, struct hold *h)
{
	LIST_REMOVE(h, node);
	free(h);
	if (k->owner || !LIST_EMPTY(&k->holds))
		return;
	vg_tenant_orphan(t, -(int64_t)charge_of(k));
	drop(t, k);
}

static struct hold *hold_of(struct vg_token *k, const struct vg_proc *p)
{
	struct hold *h;

	LIST_FOREACH(h, &k->holds, node)
		if (h->by == p)
			break;
	return h;
}

static struct vg_token *find(struct vg_tenant *t, const uint8_t *name)
{
	struct vg_token *k;

	LIST_FOREACH(k, &t->tokens, node)
		if (!memcmp(k->name, name, sizeof(k->name)))
			break;
	return k;
}

/*
 * Is it what drivers export?  NVIDIA's exports memory and pools as a file of /dev/nvidiactl,
 * softgpu as a memfd.  The mediator may be the last to close what an executor has offered.  A
 * closer does that (closer.c), but other kinds need never end: a connection that is closed
 * only when its other side has read all, or a file of a user's file system.
 */
static bool is_export(int fd)
{
	struct statx st;

	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	/* What the kernel has of it: a file system of a user's own might never answer. */
	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) &&
	       S_ISCHR(st.stx_mode) && makedev(st.stx_rdev_major, st.stx_rdev_minor) == NVIDIACTL;
}

/*
 * A user of the socket cannot use up what others have.  Descriptors that are still being closed
 * count, or else whoever offers and withdraws in turn would have any number of them.
 */
static bool room(const struct vg_proc *p, unsigned int fds)
{
	const struct vg_tenant *t = p->tenant;
	const struct vg_user *u = p->user;
	unsigned int times = u ? USERS_MAX : 1;

	if (fds)
		fds += vg_closer_open(p->closer);
	return t->token_count < times * TOKENS_MAX && t->token_fds + fds <= times * TOKEN_FDS_MAX &&
	       (!u || (u->token_count < TOKENS_MAX && u->token_fds + fds <= TOKEN_FDS_MAX));
}

static int offer(struct vg_proc *p, const struct vg_token_request *rq, int fd,
		 struct vg_token_answer *a)
{
	struct vg_tenant *t = p->tenant;
	static struct vg_log_rate odd;
	struct vg_token *k;

	/* The limit may be none, and charge_of() rounds up to what is added and taken as an int64_t. */
	if (rq->bytes > vg_quota(t, VG_QUOTA_MEMORY) || rq->bytes > INT64_MAX - VG_DEVICE_PIECE)
		return -EINVAL;
	if (fd >= 0 && !is_export(fd)) {
		vg_log_some(&odd, VG_WARNING,
			    "executor %d: it shares a descriptor that is neither a memfd nor of /dev/nvidiactl: refused",
			    p->pid);
		return -EINVAL;
	}
	if (!room(p, fd >= 0))
		return -ENOSPC;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	if (getrandom(k->name, sizeof(k->name), GRND_NONBLOCK) != sizeof(k->name))
		goto fail;
	/* Executors that are started later must not inherit it. */
	k->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (fd >= 0 && k->fd < 0)
		goto fail;
	k->owner = p;
	k->kind = rq->kind;
	k->bytes = rq->bytes;
	memcpy(k->data, rq->data, sizeof(k->data));
	LIST_INIT(&k->holds);
	LIST_INSERT_HEAD(&t->tokens, k, node);
	t->token_count++;
	t->token_fds += fd >= 0;
	k->user = p->user ? vg_user_get(t, p->user->uid) : NULL;
	if (k->user) {
		k->user->token_count++;
		k->user->token_fds += fd >= 0;
	}
	memcpy(a->token, k->name, sizeof(a->token));
	return 0;

fail:
	free(k);
	return -EAGAIN;
}

static int take(struct vg_proc *p, const struct vg_token_request *rq, struct vg_token_answer *a,
		int *fd)
{
	struct vg_token *k = find(p->tenant, rq->token);
	struct hold *h;

	if (!k || !k->owner || k->kind != rq->kind)
		return -ENOENT;
	if (k->bytes) {
		h = hold_of(k, p);
		if (!h) {
			h = calloc(1, sizeof(*h));
			if (!h)
				return -ENOMEM;
			h->by = p;
			LIST_INSERT_HEAD(&k->holds, h, node);
		}
		h->count++;
	}
	a->bytes = k->bytes;
	memcpy(a->data, k->data, sizeof(a->data));
	*fd = k->fd;
	return 0;
}

static int leave(struct vg_proc *p, const struct vg_token_request *rq)
{
	struct vg_token *k = find(p->tenant, rq->token);
	struct hold *h = k ? hold_of(k, p) : NULL;

	if (!h)
		return -ENOENT;
	if (!--h->count)
		unhold(p->tenant, k, h);
	return 0;
}

static int take_back(struct vg_proc *p, const struct vg_token_request *rq, int *fd)
{
	struct vg_token *k = find(p->tenant, rq->token);

	if (!k || k->owner != p)
		return -ENOENT;
	*fd = withdraw(p->tenant, k);
	return 0;
}

int vg_token_serve(struct vg_proc *p, const struct vg_token_request *rq, int fd,
		   struct vg_token_answer *a, int *out_fd)
{
	bool wants_fd = rq->op == VG_TOKEN_OFFER && vg_token_has_fd(rq->kind);
	int ret;

	*out_fd = -1;
	if (rq->size != sizeof(*rq) || rq->reserved || !rq->kind || rq->kind >= VG_TOKEN_KINDS ||
	    wants_fd != (fd >= 0) || !p->tenant)
		return -EPROTO;
	*a = (struct vg_token_answer){ .size = sizeof(*a) };
	switch (rq->op) {
	case VG_TOKEN_OFFER:
		ret = offer(p, rq, fd, a);
		break;
	case VG_TOKEN_TAKE:
		ret = take(p, rq, a, out_fd);
		break;
	case VG_TOKEN_LEAVE:
		ret = leave(p, rq);
		break;
	case VG_TOKEN_WITHDRAW:
		ret = take_back(p, rq, out_fd);
		break;
	default:
		return -EPROTO;
	}
	a->status = -ret;
	return 0;
}

void vg_tokens_forget(struct vg_proc *p)
{
	struct vg_token *k, *next;
	struct hold *h;

	for (k = p->tenant ? LIST_FIRST(&p->tenant->tokens) : NULL; k; k = next) {
		next = LIST_NEXT(k, node);
		h = hold_of(k, p);
		if (k->owner == p) {
			/* Its own holds first, or it would be charged for what nobody has. */
			if (h)
				unhold(p->tenant, k, h);
			vg_closer_close(p->closer, withdraw(p->tenant, k));
		} else if (h) {
			unhold(p->tenant, k, h);
		}
	}
}
