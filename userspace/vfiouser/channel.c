// SPDX-License-Identifier: Apache-2.0
/*
 * Channels: what the guest does with one, what its executor asks for, and its end.
 *
 *              CREATE            told                DESTROY
 *   (nothing) -------> WAITING --------> ATTACHED ------------> CLOSING
 *                         |                 |                      |
 *                         | DESTROY         | life ends:           | life ends:
 *                         v                 v event LOST           v event RELEASED
 *                     (nothing) <--------- LOST                (nothing)
 *                                DESTROY
 *
 * A reset takes every channel out of the table at once (DEAD).  The life of a channel is a
 * pipe, whose other end the mediator closes when it has reaped the executor: then nobody on
 * the host reaches the channel's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vgpu/layout.h>

#include "common/fdpass.h"
#include "vfiouser.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void drop_memory(struct vfu *v, struct vfu_channel *ch)
{
	struct vfu_memory *m;

	while ((m = LIST_FIRST(&ch->regions))) {
		LIST_REMOVE(m, node);
		vfu_memory_free(v, m);
	}
	vfu_memory_free(v, ch->memory);
	ch->memory = NULL;
}

/* Nobody else has anything of it any more. */
static void close_all(struct vfu *v, struct vfu_channel *ch)
{
	if (ch->sock >= 0)
		v->ops->forget(v, ch->sock);
	if (ch->raise >= 0)
		v->ops->forget(v, ch->raise);
	if (ch->life >= 0)
		v->ops->forget(v, ch->life);
	close_fd(&ch->sock);
	close_fd(&ch->peer);
	close_fd(&ch->life);
	close_fd(&ch->alive);
	close_fd(&ch->bell);
	close_fd(&ch->raise);
	drop_memory(v, ch);
}

static void channel_free(struct vfu *v, struct vfu_channel *ch)
{
	close_all(v, ch);
	atomic_fetch_sub(&v->counters->channels, 1);
	free(ch);
}

/* The mediator has given its executor's end away, or will. */
static bool held(const struct vfu_channel *ch)
{
	return ch->state == VFU_ATTACHED || ch->state == VFU_CLOSING || ch->state == VFU_DEAD;
}

/* The mediator is to end its executor. */
static void send_off(struct vfu *v, struct vfu_channel *ch)
{
	ch->ending = true;
	v->untold = true;
}

int vfu_channel_create(struct vfu *v, const struct vgpu_adm_create *cmd)
{
	const struct vgpu_layout *want = &cmd->layout;
	struct vgpu_layout layout;
	struct vfu_channel *ch;
	int pair[2], ret;

	if (cmd->head.channel >= VGPU_CHANNELS)
		return -EINVAL;
	if (!cmd->vector || cmd->vector >= VGPU_VECTORS)
		return -EINVAL;
	memset(&layout, 0, sizeof(layout));
	ret = vgpu_layout_make(want->sq_bytes, want->slot_count, want->arena_bytes, &layout);
	if (ret)
		return ret;
	if (memcmp(&layout, want, sizeof(layout)))
		return -EINVAL;
	if (v->channel[cmd->head.channel])
		return -EEXIST;

	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return -ENOMEM;
	LIST_INIT(&ch->regions);
	ch->sock = ch->peer = ch->life = ch->alive = ch->bell = ch->raise = -1;
	atomic_fetch_add(&v->counters->channels, 1);
	ret = vfu_memory_new(v, cmd->list, layout.total_bytes, 0, &ch->memory);
	if (ret)
		goto fail;
	ret = -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		goto fail;
	ch->sock = pair[0];
	ch->peer = pair[1];
	if (pipe2(pair, O_CLOEXEC))
		goto fail;
	ch->life = pair[0];
	ch->alive = pair[1];
	ch->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ch->raise = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ch->bell < 0 || ch->raise < 0 || v->ops->watch(v, ch->sock, ch) ||
	    v->ops->watch(v, ch->raise, ch) || v->ops->watch(v, ch->life, ch))
		goto fail;
	ch->state = VFU_WAITING;
	ch->id = cmd->head.channel;
	ch->vector = cmd->vector;
	ch->cookie = ++v->next_cookie;
	ch->pid = cmd->pid;
	ch->settings = cmd->settings;
	memcpy(ch->comm, cmd->comm, sizeof(ch->comm));
	ch->comm[sizeof(ch->comm) - 1] = '\0';
	ch->layout = layout;
	v->channel[ch->id] = ch;
	v->untold = true;
	return 0;

fail:
	channel_free(v, ch);
	return ret;
}

int vfu_channel_destroy(struct vfu *v, uint32_t id)
{
	struct vfu_channel *ch = id < VGPU_CHANNELS ? v->channel[id] : NULL;

	if (!ch)
		return -ENOENT;
	if (held(ch)) {
		if (ch->state == VFU_ATTACHED) {
			ch->state = VFU_CLOSING;
			send_off(v, ch);
		}
		return -EINPROGRESS;
	}
	v->channel[id] = NULL;
	channel_free(v, ch);
	return 0;
}

static struct vfu_memory *region_of(struct vfu_channel *ch, uint32_t region)
{
	struct vfu_memory *m;

	LIST_FOREACH(m, &ch->regions, node)
		if (m->region == region)
			return m;
	return NULL;
}

int vfu_channel_map(struct vfu *v, const struct vgpu_adm_map *cmd)
{
	struct vfu_channel *ch;
	struct vfu_memory *m;
	int ret;

	if (cmd->reserved || cmd->region >= VGPU_REGIONS)
		return -EINVAL;
	if (!cmd->bytes || cmd->bytes % 4096 || cmd->bytes > VGPU_REGION_BYTES_MAX || cmd->va % 4096)
		return -EINVAL;
	ch = cmd->head.channel < VGPU_CHANNELS ? v->channel[cmd->head.channel] : NULL;
	if (!ch)
		return -ENOENT;
	if (region_of(ch, cmd->region))
		return -EEXIST;
	ret = vfu_memory_new(v, cmd->list, cmd->bytes, cmd->va, &m);
	if (ret)
		return ret;
	m->region = cmd->region;
	LIST_INSERT_HEAD(&ch->regions, m, node);
	return 0;
}

void vfu_channel_doorbell(struct vfu *v, uint32_t id)
{
	const uint64_t one = 1;
	ssize_t n;

	/* One that rings before its executor listens finds the eventfd set. */
	if (v->channel[id] && v->channel[id]->bell >= 0) {
		n = write(v->channel[id]->bell, &one, sizeof(one));
		(void)n;
	}
}

bool vfu_channels_dying(const struct vfu *v)
{
	return !LIST_EMPTY(&v->dying);
}

/* Out of the table. */
static void drop(struct vfu *v, struct vfu_channel *ch)
{
	v->channel[ch->id] = NULL;
	if (!held(ch)) {
		channel_free(v, ch);
		return;
	}
	if (ch->state == VFU_ATTACHED)
		send_off(v, ch);
	ch->state = VFU_DEAD;
	LIST_INSERT_HEAD(&v->dying, ch, dying);
}

void vfu_channels_drop(struct vfu *v)
{
	for (uint32_t i = 0; i < VGPU_CHANNELS; i++)
		if (v->channel[i])
			drop(v, v->channel[i]);
}

static bool overlaps(const struct vfu_channel *ch, uint64_t iova, uint64_t bytes)
{
	const struct vfu_memory *m;

	if (ch->memory && vfu_memory_overlaps(ch->memory, iova, bytes))
		return true;
	LIST_FOREACH(m, &ch->regions, node)
		if (vfu_memory_overlaps(m, iova, bytes))
			return true;
	return false;
}

/*
 * The VM gives up memory.  A mapping cannot be taken from an executor here, so the executors
 * that may have one are ended, and the guest is told that its channels are lost.
 */
void vfu_channels_dma_unmap(struct vfu *v, uint64_t iova, uint64_t bytes)
{
	for (uint32_t i = 0; i < VGPU_CHANNELS; i++) {
		struct vfu_channel *ch = v->channel[i];

		if (!ch || ch->state == VFU_LOST || !overlaps(ch, iova, bytes))
			continue;
		drop(v, ch);
		vfu_event_post(v, i, VGPU_EVENT_LOST, VGPU_WHY_UNSAID);
	}
}

/* -- the mediator */

static int tell_of(struct vfu *v, struct vfu_channel *ch)
{
	struct vg_vfu_event e = {
		.size = sizeof(e), .id = ch->id, .cookie = ch->cookie, .pid = ch->pid,
		.layout = ch->layout, .settings = ch->settings,
	};
	int ret;

	memcpy(e.comm, ch->comm, sizeof(e.comm));
	if (ch->state == VFU_WAITING) {
		/* If there is room for the first alone, both are repeated, and the last counts. */
		e.kind = VG_VFU_LIFE;
		ret = v->ops->tell(v, &e, ch->alive);
		if (ret)
			return ret;
		e.kind = VG_VFU_CHANNEL;
		ret = v->ops->tell(v, &e, ch->peer);
		if (ret)
			return ret;
		close_fd(&ch->alive);
		close_fd(&ch->peer);
		ch->state = VFU_ATTACHED;
	} else if (ch->ending && !ch->told) {
		e.kind = VG_VFU_CLOSED;
		ret = v->ops->tell(v, &e, -1);
		if (ret)
			return ret;
		ch->told = true;
	}
	return 0;
}

void vfu_channels_tell(struct vfu *v)
{
	struct vfu_channel *ch;

	if (!v->untold)
		return;
	LIST_FOREACH(ch, &v->dying, dying)
		if (tell_of(v, ch))
			return;
	for (uint32_t i = 0; i < VGPU_CHANNELS; i++)
		if (v->channel[i] && tell_of(v, v->channel[i]))
			return;
	v->untold = false;
}

void vfu_channel_refused(struct vfu *v, const struct vg_vfu_refusal *r)
{
	struct vfu_channel *ch = r->id < VGPU_CHANNELS ? v->channel[r->id] : NULL;

	if (r->size == sizeof(*r) && ch && ch->cookie == r->cookie && r->why <= VGPU_WHY_LIMIT)
		ch->why = r->why;
}

/* -- its executor */

/* Its executor has been reaped, or there never was one. */
static void detach(struct vfu *v, struct vfu_channel *ch)
{
	uint32_t id = ch->id;

	switch (ch->state) {
	case VFU_ATTACHED:
		close_all(v, ch);
		ch->state = VFU_LOST;
		vfu_event_post(v, id, VGPU_EVENT_LOST, ch->why);
		return;
	case VFU_CLOSING:
		v->channel[id] = NULL;
		channel_free(v, ch);
		vfu_event_post(v, id, VGPU_EVENT_RELEASED, VGPU_WHY_UNSAID);
		return;
	case VFU_DEAD:
		LIST_REMOVE(ch, dying);
		channel_free(v, ch);
		return;
	default:
		return;		/* it is still ours */
	}
}

static int answer(struct vfu_channel *ch, struct vfu_memory *m, bool bells)
{
	struct vg_vfu_memory a = { .size = sizeof(a) };
	int fds[3 + VG_VFU_FILES], count = 0;

	if (!m) {
		a.status = ENOENT;
		return vg_send_fds(ch->sock, &a, sizeof(a), NULL, 0);
	}
	a.runs = m->runs;
	a.va = m->va;
	a.bytes = m->bytes;
	fds[count++] = m->list;
	if (bells) {
		fds[count++] = ch->bell;
		fds[count++] = ch->raise;
	}
	for (unsigned int i = 0; i < m->file_count; i++)
		fds[count++] = m->file[i];
	return vg_send_fds(ch->sock, &a, sizeof(a), fds, count);
}

/* 0, or a negative errno: the executor broke the protocol, or does not take its answers. */
static int asked(struct vfu_channel *ch, const struct vg_vfu_ask *ask)
{
	struct vfu_memory *m;
	int ret;

	if (ask->size != sizeof(*ask) || ask->reserved)
		return -EPROTO;
	switch (ask->op) {
	case VG_VFU_ASK_MEMORY:
		if (ch->served)
			return -EPROTO;
		ch->served = true;
		return answer(ch, ch->memory, true);
	case VG_VFU_ASK_REGION:
		m = region_of(ch, ask->region);
		ret = answer(ch, m, false);
		if (m && !ret)
			m->mapped = true;
		return ret;
	case VG_VFU_UNMAPPED:
		m = region_of(ch, ask->region);
		if (m)
			m->mapped = false;
		return 0;
	default:
		return -EPROTO;
	}
}

/* What its executor has said, of which there is never much unless it misbehaves. */
#define ASKS 1024

static void listen_to(struct vfu *v, struct vfu_channel *ch)
{
	struct vg_vfu_ask ask;
	int ret;

	for (int i = 0; i < ASKS && !ch->broken; i++) {
		ret = vg_recv_fds(ch->sock, &ask, sizeof(ask), NULL, 0);
		if (ret == -EAGAIN)
			return;
		if (ret == -EPIPE) {
			/* It will say no more.  Its end is another matter. */
			ch->broken = true;
			v->ops->forget(v, ch->sock);
			return;
		}
		if (ret >= 0)
			ret = ch->ending ? 0 : asked(ch, &ask);
		if (ret < 0) {
			ch->broken = true;
			v->ops->forget(v, ch->sock);
			send_off(v, ch);
		}
	}
}

int vfu_channel_unmap(struct vfu *v, uint32_t id, uint32_t region)
{
	struct vfu_channel *ch = id < VGPU_CHANNELS ? v->channel[id] : NULL;
	struct vfu_memory *m;

	if (!ch)
		return -ENOENT;
	/* What the executor said before the guest asked may still be in the socket. */
	if (ch->sock >= 0)
		listen_to(v, ch);
	m = region_of(ch, region);
	if (!m)
		return -ENOENT;
	if (m->mapped)
		return -EBUSY;
	LIST_REMOVE(m, node);
	vfu_memory_free(v, m);
	return 0;
}

void vfu_channel_ready(struct vfu *v, struct vfu_channel *ch, int fd)
{
	uint64_t times;

	if (fd == ch->raise) {
		if (read(ch->raise, &times, sizeof(times)) == sizeof(times) && ch->state == VFU_ATTACHED)
			vfu_irq_raise(v, ch->vector);
		return;
	}
	if (fd != ch->life) {
		listen_to(v, ch);
		return;
	}
	/* It was said before the pipe was closed. */
	v->ops->hear(v);
	detach(v, ch);
}
