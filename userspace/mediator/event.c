// SPDX-License-Identifier: Apache-2.0
/* Events: a line in the log each, and a row in the history. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "mediator.h"

static const char *const names[] = {
	[VG_EVENT_START] = "start",	[VG_EVENT_STOP] = "stop",
	[VG_EVENT_ADD] = "add",		[VG_EVENT_REMOVE] = "remove",
	[VG_EVENT_CONNECT] = "connect", [VG_EVENT_DISCONNECT] = "disconnect",
	[VG_EVENT_BEGIN] = "begin",	[VG_EVENT_END] = "end",
	[VG_EVENT_QUARANTINE] = "quarantine", [VG_EVENT_RELEASE] = "release",
	[VG_EVENT_DRAIN] = "drain",	[VG_EVENT_UNDRAIN] = "undrain",
	[VG_EVENT_REFUSE] = "refuse",	[VG_EVENT_KERNEL_TIMEOUT] = "kernel-timeout",
	[VG_EVENT_LOST] = "lost",
};

const char *vg_event_name(enum vg_event_kind kind)
{
	return names[kind];
}

struct line {
	char text[700];
	size_t at;
};

static void add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *l, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(l->text + l->at, sizeof(l->text) - l->at, format, args);
	va_end(args);
	if (n > 0)
		l->at += n;
	if (l->at >= sizeof(l->text))
		l->at = sizeof(l->text) - 1;
}

/* In quotes, which nothing in it can end: a guest gives itself its name. */
static void add_text(struct line *l, const char *field, const char *text)
{
	if (!*text)
		return;
	add(l, " %s=\"", field);
	for (; *text; text++)
		add(l, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	add(l, "\"");
}

static void add_number(struct line *l, const char *field, uint64_t n)
{
	if (n)
		add(l, " %s=%" PRIu64, field, n);
}

void vg_event(struct vg_event *e)
{
	/* A guest can begin and be refused as often as it likes. */
	static struct vg_log_rate rates[sizeof(names) / sizeof(names[0])];
	struct line l = { .at = 0 };

	e->time_ms = vg_wall_ms();
	add(&l, "event=%s", names[e->kind]);
	if (*e->vgpu)
		add(&l, " vgpu=%s", e->vgpu);
	add_number(&l, "executor", e->executor);
	add_number(&l, "pid", e->pid);
	if (e->uid >= 0)
		add(&l, " uid=%" PRId64, e->uid);
	add_text(&l, "name", e->name);
	add_text(&l, "why", e->why);
	if (e->kind == VG_EVENT_END || e->kind == VG_EVENT_DISCONNECT)
		add(&l, " duration_ms=%" PRIu64, e->duration_ms);
	if (e->kind == VG_EVENT_END)
		add(&l,
		    " calls=%" PRIu64 " bytes_to_device=%" PRIu64 " bytes_from_device=%" PRIu64
		    " memory_peak=%" PRIu64 " memory_refused=%" PRIu64 " faults=%" PRIu64,
		    e->calls, e->bytes_in, e->bytes_out, e->memory_peak, e->memory_refused,
		    e->faults);
	add_number(&l, "waited_ms", e->waited_ms);
	if (e->kind == VG_EVENT_REFUSE || e->kind == VG_EVENT_KERNEL_TIMEOUT ||
	    e->kind == VG_EVENT_QUARANTINE)
		vg_log_some(&rates[e->kind], VG_WARNING, "%s", l.text);
	else
		vg_info("%s", l.text);
	vg_history_put(e);
}

void vg_event_of(enum vg_event_kind kind, const struct vg_tenant *t)
{
	struct vg_event e = { .kind = kind, .uid = -1 };

	if (t)
		snprintf(e.vgpu, sizeof(e.vgpu), "%s", t->uuid);
	vg_event(&e);
}

const char *vg_refusal(int error)
{
	switch (error) {
	case EUSERS:
		return "as many programs run as may, or all numbers of [executor] uids are in use";
	case ESHUTDOWN:
		return "the operator has drained the vGPU";
	case EHOSTDOWN:
		return "no executor could be started";
	case EPROTO:
		return "the program's library speaks another version of the protocol";
	case ETIMEDOUT:
		return "the program connected and sent no message";
	default:
		return strerror(error);
	}
}

void vg_event_refuse(const struct vg_tenant *t, uint32_t pid, int64_t uid, const char *name,
		     const char *why)
{
	struct vg_event e = { .kind = VG_EVENT_REFUSE, .pid = pid, .uid = uid };

	snprintf(e.vgpu, sizeof(e.vgpu), "%s", t->uuid);
	snprintf(e.name, sizeof(e.name), "%s", name);
	snprintf(e.why, sizeof(e.why), "%s", why);
	vg_event(&e);
}
