// SPDX-License-Identifier: Apache-2.0
/*
 * vgpuctl's socket: one request (a JSON object on a line) a connection, one
 * JSON answer, then the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "common/clock.h"
#include "common/fdpass.h"
#include "mediator.h"
#include "state.h"
#include "vg_version.h"

#define REQUEST_MAX 4096
#define ANSWER_MS 1000	/* for all of an answer to be read: the loop waits meanwhile */

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
	uint64_t waits[VG_BUCKETS], waited_us[VG_BUCKETS];
	uint64_t device_ns;	/* 0 without shares */
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

static void add_waits(struct json_object *o, const struct counts *c)
{
	add_u64(o, "call_waits", c->waits[VG_BUCKET_CALLS]);
	add_u64(o, "call_waited_us", c->waited_us[VG_BUCKET_CALLS]);
	add_u64(o, "byte_waits", c->waits[VG_BUCKET_BYTES]);
	add_u64(o, "byte_waited_us", c->waited_us[VG_BUCKET_BYTES]);
}

static struct json_object *process(const struct vg_proc *p, struct counts *sum)
{
	const struct vg_account_entry *e = &p->tenant->account->entry[p->account];
	const struct vg_account_waits *w = &p->tenant->account->waits[p->account];
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
	add_u64(o, "device_ns", atomic_load(&e->device_ns));
	for (unsigned int i = 0; i < VG_BUCKETS; i++) {
		sum->waits[i] += c.waits[i] = atomic_load(&w->waits[i]);
		sum->waited_us[i] += c.waited_us[i] = atomic_load(&w->waited_us[i]);
	}
	add_waits(o, &c);
	sum->calls += c.calls;
	sum->bytes_in += c.bytes_in;
	sum->bytes_out += c.bytes_out;
	sum->direct_in += c.direct_in;
	sum->direct_out += c.direct_out;
	sum->faults += c.faults;
	sum->device_ns += atomic_load(&e->device_ns);
	return o;
}

static struct json_object *settings(const struct vg_tenant *t)
{
	struct json_object *o = json_object_new_object(), *s;
	char text[64];

	for (unsigned int q = 0; q < VG_QUOTAS; q++) {
		s = json_object_new_object();
		vg_quota_show(q, vg_quota(t, q), text);
		add_string(s, "value", text);
		vg_quota_origin(t, q, text);
		add_string(s, "from", text);
		json_object_object_add(o, vg_quota_name(q), s);
	}
	return o;
}

static struct json_object *quarantine(const char *name, const struct vg_quarantine *q)
{
	struct json_object *o = json_object_new_object();

	add_string(o, "name", name);
	add_u64(o, "since_ms", q->since_ms);
	add_string(o, "why", q->why);
	return o;
}

struct quarantined {
	const struct vg_tenant *of;
	struct json_object *list;
};

/* Of the programs of [socket], users are. */
static void add_quarantined(const char *name, const struct vg_quarantine *q, void *arg)
{
	const struct quarantined *all = arg;
	const struct vg_tenant *t = all->of;
	size_t n = strlen(t->uuid);

	if (q && !strncmp(name, t->uuid, n) && name[n] == (t->local && !t->named ? ':' : '\0'))
		json_object_array_add(all->list, quarantine(name, q));
}

static void add_quarantine(struct json_object *o, const struct vg_tenant *t)
{
	struct json_object *list = json_object_new_array();
	struct quarantined all = { t, list };

	vg_state_each(add_quarantined, &all);
	add_u64(o, "quarantined", json_object_array_length(list));
	json_object_object_add(o, "quarantine", list);
	add_u64(o, "quarantine_refused", t->quarantine_refused);
}

static struct json_object *tenant(const struct vg_tenant *t)
{
	struct counts sum = {
		.calls = t->calls, .bytes_in = t->bytes_in, .bytes_out = t->bytes_out,
		.direct_in = t->direct_in, .direct_out = t->direct_out, .faults = t->faults,
	};
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	uint64_t limit = vg_quota(t, VG_QUOTA_MEMORY);
	struct vg_proc *p;

	memcpy(sum.waits, t->waits, sizeof(sum.waits));
	memcpy(sum.waited_us, t->waited_us, sizeof(sum.waited_us));
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
	if (vg_listen_path(t))
		add_string(o, "socket", vg_listen_path(t));
	if (vg_vfiouser_path(t))
		add_string(o, "socket", vg_vfiouser_path(t));
	/* What it was made with, which `vgpuctl set` does not change. */
	if (t->local && t->type_memory != UINT64_MAX)
		add_u64(o, "size", t->type_memory);
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
	add_u64(o, "contexts_limit", vg_quota(t, VG_QUOTA_CONTEXTS));
	add_u64(o, "faults", sum.faults);
	add_quarantine(o, t);
	json_object_object_add(o, "drained", json_object_new_boolean(vg_drained(t)));
	if (vg_drained(t))
		add_u64(o, "drained_since_ms", vg_drained(t));
	add_waits(o, &sum);
	add_u64(o, "start_waits", t->start_waits);
	if (atomic_load(&t->account->turns)) {
		add_u64(o, "turns_ns", vg_turns_used_ns(t));
		add_u64(o, "device_ns", sum.device_ns + t->device_ns);
		json_object_object_add(o, "gpu_due", json_object_new_double(vg_turns_due(t)));
	}
	json_object_object_add(o, "settings", settings(t));
	return o;
}

static struct vg_tenant *find(const char *name)
{
	struct vg_tenant *t;

	LIST_FOREACH(t, &vg_tenants, node)
		if (!strcmp(t->uuid, name))
			return t;
	return NULL;
}

/* Those of which something is kept, and that are not there. */
static void add_absent(const char *name, const struct vg_quarantine *q, void *list)
{
	(void)q;
	if (!strchr(name, ':') && !find(name))
		json_object_array_add(list, json_object_new_string(name));
}

static struct json_object *absent(void)
{
	struct json_object *list = json_object_new_array();

	vg_state_each(add_absent, list);
	return list;
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
	add_string(o, "version", VG_VERSION);
	add_u64(o, "monotonic_us", vg_now_us());
	add_string(o, "history", vg_config.history);
	add_u64(o, "history_dropped", vg_history_dropped());
	add_string(o, "libcuda", vg_config.libcuda);
	add_u64(o, "driver_version", driver.version);
	add_u64(o, "devices", driver.devices);
	add_u64(o, "spares", spares);
	json_object_object_add(o, "drained_all", json_object_new_boolean(vg_drained_all()));
	json_object_object_add(o, "vgpus", list);
	json_object_object_add(o, "set_for_absent", absent());
	return o;
}

static struct json_object *refusal(const char *why)
{
	struct json_object *o = json_object_new_object();

	add_string(o, "error", why);
	return o;
}

/* Whoever may read the socket may look; to change something takes root, or the mediator's user. */
static bool may_change(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
	       (!cred.uid || cred.uid == geteuid());
}

/* The vGPU that a request is about. */
static const char *vgpu_of(struct json_object *q)
{
	struct json_object *o;
	const char *name = json_object_object_get_ex(q, "vgpu", &o) ? json_object_get_string(o) : NULL;

	return name ? name : "";
}

static struct json_object *set(struct json_object *q)
{
	const char *text[VG_QUOTAS] = { NULL }, *name = vgpu_of(q);
	struct json_object *values = NULL, *o;
	bool change[VG_QUOTAS] = { false }, kept = false, gives = false;
	char why[400], names[200];
	struct vg_tenant *t = find(name);

	json_object_object_get_ex(q, "values", &values);
	if (!json_object_is_type(values, json_type_object) || !json_object_object_length(values))
		return refusal("a request without values");
	json_object_object_foreach(values, key, value) {
		enum vg_quota which = vg_quota_find(key);

		if (which == VG_QUOTAS) {
			vg_quota_names(names, sizeof(names));
			snprintf(why, sizeof(why), "there is no setting %.60s; allowed: %s", key, names);
			return refusal(why);
		}
		change[which] = true;
		text[which] = json_object_get_string(value);
		gives |= text[which] != NULL;
	}
	/* What was set for one that has gone can still be taken back. */
	if (!t && (gives || !vg_state_has(name))) {
		snprintf(why, sizeof(why), "there is no vGPU %.60s", name);
		return refusal(why);
	}
	if (!vg_state_set(name, text, change, &kept, why, sizeof(why)))
		return refusal(why);
	if (t)
		vg_quotas_apply(t);
	for (unsigned int i = 0; i < VG_QUOTAS; i++)
		if (change[i])
			vg_info("vgpuctl: %s: %s=%s", name, vg_quota_name(i),
				text[i] ? text[i] : "default");
	o = json_object_new_object();
	json_object_object_add(o, "kept", json_object_new_boolean(kept));
	if (!kept)
		add_string(o, "warning", "it is in force until the mediator ends, because "
			   "[state] path is empty");
	return o;
}

static struct json_object *release(struct json_object *q)
{
	const char *name = vgpu_of(q);
	struct vg_event e = { .kind = VG_EVENT_RELEASE, .uid = -1 };
	char why[300];
	int ret = vg_state_quarantine_end(name);

	if (ret == -ENOENT) {
		snprintf(why, sizeof(why), "%.60s is not in quarantine", name);
		return refusal(why);
	}
	if (ret) {
		snprintf(why, sizeof(why), "%.200s: %s; nothing is changed", vg_config.state,
			 strerror(-ret));
		return refusal(why);
	}
	/* A user of a socket. */
	sscanf(name, "%*[^:]:%" SCNd64, &e.uid);
	snprintf(e.vgpu, sizeof(e.vgpu), "%.*s", (int)strcspn(name, ":"), name);
	vg_event(&e);
	return json_object_new_object();
}

static struct json_object *drain(struct json_object *q, bool on)
{
	const char *name = vgpu_of(q);
	struct vg_tenant *t = find(name);
	struct json_object *all;
	char why[120];

	if (json_object_object_get_ex(q, "all", &all) && json_object_get_boolean(all)) {
		vg_drain(NULL, on);
	} else if (!t) {
		snprintf(why, sizeof(why), "there is no vGPU %.60s", name);
		return refusal(why);
	} else if (!on && vg_drained_all()) {
		return refusal("all vGPUs are drained, and only vgpuctl undrain --all ends that");
	} else {
		vg_drain(t, on);
	}
	return json_object_new_object();
}

static struct json_object *answer(const char *request, int fd)
{
	struct json_object *q = json_tokener_parse(request), *what, *o;
	const char *name = NULL;

	if (q && json_object_object_get_ex(q, "request", &what))
		name = json_object_get_string(what);
	if (name && !strcmp(name, "status")) {
		o = status();
	} else if (name && !strcmp(name, "set")) {
		o = may_change(fd) ? set(q) : refusal("only root or the mediator's user may do that");
	} else if (name && !strcmp(name, "release")) {
		o = may_change(fd) ? release(q) : refusal("only root or the mediator's user may do that");
	} else if (name && (!strcmp(name, "drain") || !strcmp(name, "undrain"))) {
		o = may_change(fd) ? drain(q, *name == 'd') :
				     refusal("only root or the mediator's user may do that");
	} else {
		o = refusal(name ? "no such request" : "not a request");
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

/* One that reads its answer slowly, or not at all, must not hold up the others. */
static void send_answer(int fd, const char *text)
{
	int64_t end = vg_now_ms() + ANSWER_MS, left;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t len = strlen(text), at = 0;
	ssize_t n;

	while (at < len) {
		n = send(fd, text + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			at += n;
		else if (n == 0 || errno != EAGAIN)
			return;
		left = end - vg_now_ms();
		if (left <= 0 || (n < 0 && poll(&p, 1, left) <= 0))
			return;
	}
}

static void client_ready(struct vg_source *s, uint32_t events)
{
	char request[REQUEST_MAX + 1];
	struct json_object *o;
	ssize_t n;

	(void)events;
	/* A request is short and comes in one piece. */
	n = vg_recv_bytes(s->fd, request, REQUEST_MAX);
	if (n > 0) {
		request[n] = '\0';
		o = answer(request, s->fd);
		send_answer(s->fd, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
									     JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	}
	/* At once, or another connection would have the reserve. */
	vg_closer_hang_up(closer, vg_source_take(s), reserve < 0);
	free(s);
	keep_reserve();
}

static void control_ready(struct vg_source *s, uint32_t events)
{
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
