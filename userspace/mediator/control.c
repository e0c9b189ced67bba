// SPDX-License-Identifier: Apache-2.0
/*
 * vgpuctl's socket: one request (a JSON object on a line) a connection, one
 * JSON answer, then the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "common/clock.h"
#include "common/fdpass.h"
#include "mediator.h"

#define REQUEST_MAX 4096

static void control_ready(struct vg_source *s, uint32_t events);
static struct vg_source listener = { .fd = -1, .ready = control_ready };
static struct vg_closer *closer;

static void add_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

struct counts {
	uint64_t calls, bytes_in, bytes_out, direct_in, direct_out, faults;
};

/* The rest of the bytes went through the record, the arena or a buffer: a CPU copied them. */
static void add_moved(struct json_object *o, const struct counts *c)
{
	add_u64(o, "calls", c->calls);
	add_u64(o, "bytes_to_device", c->bytes_in);
	add_u64(o, "direct_to_device", c->direct_in);
	add_u64(o, "bytes_from_device", c->bytes_out);
	add_u64(o, "direct_from_device", c->direct_out);
}

static struct json_object *process(const struct vg_proc *p, struct counts *sum)
{
	const struct vg_account_entry *e = &p->tenant->account->entry[p->account];
	struct counts c = {
		.calls = atomic_load(&e->calls),
		.bytes_in = atomic_load(&e->bytes_in),
		.bytes_out = atomic_load(&e->bytes_out),
		.direct_in = atomic_load(&e->direct_in),
		.direct_out = atomic_load(&e->direct_out),
		.faults = atomic_load(&e->faults),
	};
	struct json_object *o = json_object_new_object();

	add_u64(o, "pid", p->guest_pid);
	add_string(o, "name", p->comm);
	add_u64(o, "executor", p->pid);
	add_u64(o, "since_ms", p->since_ms);
	add_moved(o, &c);
	add_u64(o, "memory", atomic_load(&e->memory));
	add_u64(o, "contexts", atomic_load(&e->contexts));
	add_u64(o, "faults", c.faults);
	sum->calls += c.calls;
	sum->bytes_in += c.bytes_in;
	sum->bytes_out += c.bytes_out;
	sum->direct_in += c.direct_in;
	sum->direct_out += c.direct_out;
	sum->faults += c.faults;
	return o;
}

static struct json_object *tenant(const struct vg_tenant *t)
{
	struct counts sum = { t->calls, t->bytes_in, t->bytes_out, t->direct_in, t->direct_out,
			      t->faults };
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	uint64_t limit = atomic_load(&t->account->limit);
	struct vg_proc *p;

	LIST_FOREACH(p, &vg_procs, node)
		if (p->tenant == t)
			json_object_array_add(list, process(p, &sum));

	add_string(o, "vgpu", t->uuid);
	add_string(o, "pool", t->pool);
	if (t->parent[0])
		add_string(o, "parent", t->parent);
	if (t->devices)
		add_string(o, "devices", t->devices);
	add_string(o, "type", t->type);
	if (!t->local && !vg_host_info(t, &info)) {
		json_object_object_add(o, "in_use", json_object_new_boolean(info.out_in_use));
		add_u64(o, "traps", info.out_traps);
		add_u64(o, "doorbells", info.out_doorbells);
		add_u64(o, "interrupts", info.out_interrupts);
		add_u64(o, "pinned", info.out_pinned_bytes);
		add_u64(o, "read_by_module", info.out_read_bytes);
	}
	if (t->connected_ms)
		add_u64(o, "since_ms", t->connected_ms);
	json_object_object_add(o, "processes", list);
	add_u64(o, "processes_ended", t->ended);
	add_moved(o, &sum);
	add_u64(o, "memory", vg_tenant_memory(t));
	if (limit != UINT64_MAX)
		add_u64(o, "memory_limit", limit);
	add_u64(o, "contexts", vg_tenant_contexts(t));
	add_u64(o, "contexts_limit", atomic_load(&t->account->context_limit));
	add_u64(o, "faults", sum.faults);
	return o;
}

static struct json_object *status(void)
{
	struct vg_exec_ready driver = vg_procs_driver();
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	unsigned int spares = 0;
	struct vg_tenant *t;
	struct vg_proc *p;

	LIST_FOREACH(t, &vg_tenants, node)
		json_object_array_add(list, tenant(t));
	LIST_FOREACH(p, &vg_procs, node)
		spares += p->state == VG_PROC_SPARE && p->warm == vg_config.warm;
	add_u64(o, "monotonic_us", vg_now_us());
	add_string(o, "history", vg_config.history);
	add_u64(o, "history_dropped", vg_history_dropped());
	add_string(o, "libcuda", vg_config.libcuda);
	add_u64(o, "driver_version", driver.version);
	add_u64(o, "devices", driver.devices);
	add_u64(o, "spares", spares);
	json_object_object_add(o, "vgpus", list);
	return o;
}

static struct json_object *answer(const char *request)
{
	struct json_object *q = json_tokener_parse(request), *what, *o;
	const char *name = NULL;

	if (q && json_object_object_get_ex(q, "request", &what))
		name = json_object_get_string(what);
	if (name && !strcmp(name, "status")) {
		o = status();
	} else {
		o = json_object_new_object();
		add_string(o, "error", name ? "no such request" : "not a request");
	}
	json_object_put(q);
	return o;
}

/* So that an operator is answered also where descriptors ran out. */
static int reserve = -1;

static void keep_reserve(void)
{
	if (reserve < 0)
		reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void client_ready(struct vg_source *s, uint32_t events)
{
	char request[REQUEST_MAX + 1];
	struct json_object *o;
	const char *text;
	size_t len, at = 0;
	ssize_t n;

	(void)events;
	/* A request is short and comes in one piece. */
	n = vg_recv_bytes(s->fd, request, REQUEST_MAX);
	if (n > 0) {
		request[n] = '\0';
		o = answer(request);
		text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
		len = strlen(text);
		while (at < len) {
			n = send(s->fd, text + at, len - at, MSG_NOSIGNAL);
			if (n <= 0)
				break;
			at += n;
		}
		json_object_put(o);
	}
	/* At once, or another connection would have the reserve. */
	vg_closer_hang_up(closer, vg_source_take(s), reserve < 0);
	free(s);
	keep_reserve();
}

static void control_ready(struct vg_source *s, uint32_t events)
{
	struct timeval limit = { .tv_sec = 1 };
	struct vg_source *client;
	int fd;

	(void)events;
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && reserve >= 0) {
		close(reserve);
		reserve = -1;
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	}
	if (fd < 0) {
		vg_listen_failed(s, vg_config.control);
		return;
	}
	/* One that does not read its answer must not hold up the others. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	client = calloc(1, sizeof(*client));
	if (!client) {
		vg_closer_hang_up(closer, fd, true);
		return;
	}
	*client = (struct vg_source){ .fd = fd, .ready = client_ready };
	vg_source_add(client, EPOLLIN);
}

int vg_control_open(void)
{
	closer = vg_closer_new();
	if (!closer)
		return -ENOMEM;
	listener.fd = vg_listen_socket(vg_config.control, SOCK_STREAM, 0660);
	if (listener.fd < 0)
		return listener.fd;
	keep_reserve();
	return vg_source_add(&listener, EPOLLIN);
}

void vg_control_close(void)
{
	vg_source_remove(&listener);
	vg_listen_unlink(vg_config.control);
}
