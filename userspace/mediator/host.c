// SPDX-License-Identifier: Apache-2.0
/* The host module: /dev/vgpu-host, a descriptor for each vGPU, their channels. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "common/clock.h"
#include "mediator.h"

#define HOST_WATCH_MS	1000

static void host_ready(struct vg_source *s, uint32_t events);

static struct vg_source host = { .fd = -1, .ready = host_ready };

static struct vg_tenant *of_source(struct vg_source *s)
{
	return (struct vg_tenant *)((char *)s - offsetof(struct vg_tenant, source));
}

static void disconnected(struct vg_tenant *t)
{
	struct vg_event e = { .kind = VG_EVENT_DISCONNECT, .uid = -1 };

	if (!t->connected_ms)
		return;
	snprintf(e.vgpu, sizeof(e.vgpu), "%s", t->uuid);
	e.duration_ms = vg_wall_ms() - t->connected_ms;
	t->connected_ms = 0;
	vg_event(&e);
}

/* Say if a VM has opened the vGPU or closed it since the last look. */
static void connected(struct vg_tenant *t)
{
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };

	if (vg_host_info(t, &info) || !info.out_in_use == !t->connected_ms)
		return;
	if (info.out_in_use) {
		t->connected_ms = vg_wall_ms();
		vg_event_of(VG_EVENT_CONNECT, t);
	} else {
		disconnected(t);
	}
}

/* What a guest may know of a refusal: what is about its own vGPU, and not what others take. */
uint32_t vg_host_why(const struct vg_tenant *t, int error)
{
	switch (error) {
	case ESHUTDOWN:
		return VGPU_WHY_DRAINED;
	case EKEYREVOKED:
		return VGPU_WHY_QUARANTINED;
	case EUSERS:
		/* The numbers of [executor] uids are of all vGPUs together. */
		return t->procs >= vg_quota(t, VG_QUOTA_PROGRAMS) ? VGPU_WHY_LIMIT : VGPU_WHY_UNSAID;
	default:
		return VGPU_WHY_UNSAID;
	}
}

static void channel_refuse(const struct vg_tenant *t, int fd, int error)
{
	struct vgpu_host_refuse refuse = {
		.size = sizeof(refuse), .why = vg_host_why(t, error),
	};

	/* A module of an earlier version has no such call, and its guests hear no reason. */
	if (refuse.why != VGPU_WHY_UNSAID && ioctl(fd, VGPU_HOST_IOC_REFUSE, &refuse) < 0)
		vg_debug("%s: a refusal without its reason: %s", t->uuid, strerror(errno));
	/* The only copy: without it the channel is refused. */
	vg_closer_close(t->closer, fd);
}

static void channel_serve(struct vg_tenant *t, const struct vgpu_host_event *event)
{
	struct vgpu_host_open_channel open = {
		.size = sizeof(open), .id = event->id, .cookie = event->cookie,
	};
	struct vgpu_host_channel_info info = { .size = sizeof(info) };
	struct vg_assign assign = { .kind = VG_ASSIGN_VM };
	struct vg_proc *p;
	char comm[64];

	if (ioctl(t->source.fd, VGPU_HOST_IOC_OPEN_CHANNEL, &open) < 0) {
		/* The guest may have closed it meanwhile. */
		vg_debug("%s: channel %u: %s", t->uuid, event->id, strerror(errno));
		return;
	}
	if (ioctl(open.out_fd, VGPU_HOST_IOC_CHANNEL_INFO, &info) < 0) {
		vg_closer_close(t->closer, open.out_fd);
		return;
	}
	/* A program that begins stands after its VM's connection. */
	connected(t);
	assign.layout = info.out_layout;
	p = vg_proc_serve(t, NULL, &assign, info.out_settings, &open.out_fd, 1);
	if (!p) {
		int err = errno;

		channel_refuse(t, open.out_fd, err);
		vg_text_show(comm, sizeof(comm), info.out_comm, sizeof(info.out_comm));
		/* One event says that it is in quarantine; its guest may try again for ever. */
		if (err == EKEYREVOKED)
			t->quarantine_refused++;
		else
			vg_event_refuse(t, info.out_pid, -1, comm, vg_refusal(err));
		return;
	}
	p->channel_fd = open.out_fd;
	p->channel = event->id;
	p->cookie = event->cookie;
	vg_proc_name(p, info.out_pid, -1, info.out_comm);
}

void vg_host_watch(void)
{
	static int64_t next;
	struct vg_tenant *t;

	if (vg_now_ms() < next)
		return;
	next = vg_now_ms() + HOST_WATCH_MS;
	LIST_FOREACH(t, &vg_tenants, node)
		if (!t->local)
			connected(t);
}

static void channel_closed(struct vg_tenant *t, const struct vgpu_host_event *event)
{
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		if (p->tenant == t && p->channel == event->id && p->cookie == event->cookie)
			vg_proc_end_for(p, "the program closed its channel");
}

static void vgpu_ready(struct vg_source *s, uint32_t events)
{
	struct vg_tenant *t = of_source(s);
	int64_t wait = vg_rate_wait(&t->starts, t);
	struct vgpu_host_event event;

	if (events & EPOLLIN) {
		while (!wait && read(s->fd, &event, sizeof(event)) == sizeof(event)) {
			if (event.kind == VGPU_HOST_EV_CHANNEL) {
				vg_rate_spend(&t->starts);
				channel_serve(t, &event);
				wait = vg_rate_wait(&t->starts, t);
			} else if (event.kind == VGPU_HOST_EV_CLOSED) {
				channel_closed(t, &event);
			}
		}
		/* The module keeps what has not been read, if there is anything. */
		if (wait) {
			t->start_waits += poll(&(struct pollfd){ s->fd, POLLIN, 0 }, 1, 0) > 0;
			vg_source_pause(s, wait);
		}
	}
	if (events & EPOLLHUP) {
		vg_procs_end_tenant(t);
		disconnected(t);
		vg_event_of(VG_EVENT_REMOVE, t);
		vg_tenant_free(t);
	}
}

static void format_uuid(const uint8_t *u, char out[40])
{
	/* A guid_t: the first three fields are little-endian. */
	snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12],
		 u[13], u[14], u[15]);
}

static void vgpu_added(uint32_t id)
{
	struct vgpu_host_open_vgpu open = { .size = sizeof(open), .id = id };
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };
	struct vg_tenant *t;
	char uuid[40];

	if (ioctl(host.fd, VGPU_HOST_IOC_OPEN_VGPU, &open) < 0) {
		vg_warn("vGPU %u: %s", id, strerror(errno));
		return;
	}
	fcntl(open.out_fd, F_SETFL, O_NONBLOCK);
	if (ioctl(open.out_fd, VGPU_HOST_IOC_VGPU_INFO, &info) < 0)
		goto fail;
	format_uuid(info.out_uuid, uuid);
	t = vg_tenant_new(uuid, info.out_pool, info.out_type, info.out_parent,
			  info.out_mem_bytes);
	if (!t)
		goto fail;
	t->id = id;
	t->source = (struct vg_source){ .fd = open.out_fd, .ready = vgpu_ready };
	vg_info("%s: vGPU %u, type %s, pool %s, device %s", t->uuid, id, t->type, t->pool,
		t->parent);
	vg_event_of(VG_EVENT_ADD, t);
	vg_source_add(&t->source, EPOLLIN);
	return;

fail:
	vg_err("vGPU %u: %s", id, strerror(errno));
	close(open.out_fd);
}

static void host_ready(struct vg_source *s, uint32_t events)
{
	struct vgpu_host_event event;

	(void)events;
	while (read(s->fd, &event, sizeof(event)) == sizeof(event))
		if (event.kind == VGPU_HOST_EV_ADDED)
			vgpu_added(event.id);
}

void vg_host_poll(void)
{
	static bool told;

	if (host.fd >= 0)
		return;
	host.fd = open(vg_config.host_device, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (host.fd < 0) {
		if (!told)
			vg_info("%s: %s; serving no VMs until it is there", vg_config.host_device,
				strerror(errno));
		told = true;
		return;
	}
	vg_info("%s: serving VMs", vg_config.host_device);
	vg_source_add(&host, EPOLLIN);
}

void vg_host_look(struct vg_tenant *t)
{
	connected(t);
}

int vg_host_info(const struct vg_tenant *t, void *info)
{
	if (t->vfiouser)
		return vg_vfiouser_info(t, info);
	return ioctl(t->source.fd, VGPU_HOST_IOC_VGPU_INFO, info) < 0 ? -errno : 0;
}
