// SPDX-License-Identifier: Apache-2.0
/* Settings that each vGPU has of its own (quota.h). */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator.h"
#include "state.h"

#define BYTES "a number, one with K, M, G or T, or none"
#define BYTES_SOME "a number of more than 0, one with K, M, G or T, or none"

static const struct quota {
	const char *name;
	uint64_t min, max;
	bool bytes;
	const char *allowed;
	const char *limits;	/* what it is called in [limits]; NULL: it is not there */
} quotas[VG_QUOTAS] = {
	[VG_QUOTA_MEMORY] = { "memory", .min = 1, .bytes = true, .allowed = BYTES_SOME },
	[VG_QUOTA_CONTEXTS] = { "contexts", .min = 1, .bytes = true, .allowed = BYTES_SOME,
				.limits = "contexts" },
	[VG_QUOTA_HOST_MEMORY] = { "host_memory", .min = 1, .bytes = true, .allowed = BYTES_SOME,
				   .limits = "memory" },
	[VG_QUOTA_THREADS] = { "threads", .max = 4194304, .allowed = "0 to 4194304",
			       .limits = "threads" },
	[VG_QUOTA_PROGRAMS] = { "programs", .min = 1, .max = 100000, .allowed = "1 to 100000",
				.limits = "programs" },
	[VG_QUOTA_STARTS] = { "starts", .min = 1, .max = 100000, .allowed = "1 to 100000",
			      .limits = "starts" },
	[VG_QUOTA_STARTS_BURST] = { "starts_burst", .max = 100000, .allowed = "0 to 100000",
				    .limits = "starts_burst" },
	[VG_QUOTA_CALLS] = { "calls", .max = 1000000000, .allowed = "0 to 1000000000",
			     .limits = "calls" },
	[VG_QUOTA_CALLS_BURST] = { "calls_burst", .max = 1000000000, .allowed = "0 to 1000000000",
				   .limits = "calls_burst" },
	[VG_QUOTA_BYTES] = { "bytes", .min = 1, .bytes = true, .allowed = BYTES_SOME,
			     .limits = "bytes" },
	[VG_QUOTA_KERNEL_SECONDS] = { "kernel_seconds", .max = 86400, .allowed = "0 to 86400",
				      .limits = "kernel_seconds" },
	[VG_QUOTA_FAULTS] = { "faults", .max = VG_FAULTS_MAX, .allowed = "0 to 1000",
			      .limits = "faults" },
	[VG_QUOTA_FAULT_SECONDS] = { "fault_seconds", .min = 1, .max = 86400,
				     .allowed = "1 to 86400", .limits = "fault_seconds" },
	[VG_QUOTA_BYTES_BURST] = { "bytes_burst", .min = 1, .bytes = true, .allowed = BYTES_SOME,
				   .limits = "bytes_burst" },
	[VG_QUOTA_SHARE] = { "share", .max = VG_SHARE_MAX, .allowed = "0 to 10000" },
	[VG_QUOTA_WEIGHT] = { "weight", .min = 1, .max = VG_SHARE_MAX, .allowed = "1 to 10000" },
	[VG_QUOTA_LATENCY] = { "latency", .max = 1, .allowed = "0 or 1" },
};

static const char *const kinds[VG_SCOPES] = {
	[VG_SCOPE_POOL] = "pool", [VG_SCOPE_TYPE] = "type", [VG_SCOPE_VGPU] = "vgpu",
};

/* A section of the file. */
struct scope {
	LIST_ENTRY(scope) node;
	enum vg_scope kind;
	char name[40];
	char *text[VG_QUOTAS];		/* NULL: it says nothing of this */
	uint64_t value[VG_QUOTAS];
};

LIST_HEAD(scopes, scope);

static struct scopes scopes = LIST_HEAD_INITIALIZER(scopes);	/* in force */
static struct scopes coming = LIST_HEAD_INITIALIZER(coming);	/* of the file that is being read */

/* -- names and values */

const char *vg_quota_name(enum vg_quota q)
{
	return quotas[q].name;
}

enum vg_quota vg_quota_find(const char *name)
{
	unsigned int q;

	for (q = 0; q < VG_QUOTAS; q++)
		if (!strcmp(quotas[q].name, name))
			break;
	return q;
}

const char *vg_quota_allowed(enum vg_quota q)
{
	return quotas[q].allowed;
}

bool vg_quota_parse(enum vg_quota q, const char *text, uint64_t *value)
{
	const struct quota *k = &quotas[q];
	char *end;

	if (k->bytes) {
		*value = VG_QUOTA_NONE;
		return !strcmp(text, "none") ||
		       (vg_parse_bytes(text, value) && *value >= k->min && *value != VG_QUOTA_NONE);
	}
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && isdigit((unsigned char)*text) && !*end && *value >= k->min &&
	       *value <= k->max;
}

void vg_quota_show(enum vg_quota q, uint64_t value, char out[24])
{
	static const char *const suffix[] = { "", "K", "M", "G", "T" };
	unsigned int i = 0;

	if (quotas[q].bytes && value == VG_QUOTA_NONE) {
		strcpy(out, "none");
		return;
	}
	while (quotas[q].bytes && value && i < 4 && !(value & 1023)) {
		value >>= 10;
		i++;
	}
	snprintf(out, 24, "%" PRIu64 "%s", value, suffix[i]);
}

void vg_quota_names(char *out, size_t size)
{
	size_t at = 0;

	for (unsigned int q = 0; q < VG_QUOTAS && at < size; q++)
		at += snprintf(out + at, size - at, "%s%s", q ? ", " : "", quotas[q].name);
}

/* -- the file */

static struct scope *find(struct scopes *list, enum vg_scope kind, const char *name)
{
	struct scope *s;

	LIST_FOREACH(s, list, node)
		if (s->kind == kind && !strcmp(s->name, name))
			return s;
	return NULL;
}

static bool is_name(enum vg_scope kind, const char *name, char *why, size_t size)
{
	size_t max = kind == VG_SCOPE_POOL ? 15 : 31;

	if (kind == VG_SCOPE_VGPU) {
		if (!vg_state_is_name(name)) {
			snprintf(why, size, "%.40s is neither a UUID, in small letters, nor a socket's name or local; ",
				 name);
			return false;
		}
		return true;
	}
	if (*name && strlen(name) <= max)
		return true;
	snprintf(why, size, "the name of a %s has 1 to %zu bytes; ", kinds[kind], max);
	return false;
}

bool vg_quota_file(enum vg_scope kind, const char *name, enum vg_quota q, const char *value,
		   char *why, size_t size)
{
	struct scope *s;
	uint64_t n;

	if (!is_name(kind, name, why, size))
		return false;
	s = find(&coming, kind, name);
	if (s && s->text[q]) {
		snprintf(why, size, "it is given twice; ");
		return false;
	}
	if (!vg_quota_parse(q, value, &n))
		return false;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return false;
		s->kind = kind;
		strcpy(s->name, name);
		LIST_INSERT_HEAD(&coming, s, node);
	}
	s->text[q] = strdup(value);
	s->value[q] = n;
	return s->text[q];
}

static void clear(struct scopes *list)
{
	struct scope *s;

	while ((s = LIST_FIRST(list))) {
		LIST_REMOVE(s, node);
		for (unsigned int q = 0; q < VG_QUOTAS; q++)
			free(s->text[q]);
		free(s);
	}
}

/* How many values of `list` are others in `before`, or are not there; with `gone`, only the latter. */
static unsigned int compare(struct scopes *list, struct scopes *before, bool gone)
{
	unsigned int changes = 0;
	struct scope *s, *old;

	LIST_FOREACH(s, list, node) {
		old = find(before, s->kind, s->name);
		for (unsigned int q = 0; q < VG_QUOTAS; q++) {
			const char *was = old ? old->text[q] : NULL;

			if (!s->text[q] || (was && (gone || !strcmp(was, s->text[q]))))
				continue;
			vg_info("configuration: [%s %s] %s = %s: taken over", kinds[s->kind], s->name,
				quotas[q].name, gone ? "the default" : s->text[q]);
			changes++;
		}
	}
	return changes;
}

unsigned int vg_quotas_end(bool keep)
{
	unsigned int changes = 0;
	struct scope *s;

	if (keep) {
		changes = compare(&coming, &scopes, false) + compare(&scopes, &coming, true);
		clear(&scopes);
	}
	while (keep && (s = LIST_FIRST(&coming))) {
		LIST_REMOVE(s, node);
		LIST_INSERT_HEAD(&scopes, s, node);
	}
	clear(&coming);
	return changes;
}

/* -- a vGPU */

/* What counts for all that say nothing of their own. */
static uint64_t base(const struct vg_tenant *t, enum vg_quota q)
{
	switch (q) {
	case VG_QUOTA_MEMORY:
		return t->type_memory;
	case VG_QUOTA_CONTEXTS:
		return vg_config.contexts;
	case VG_QUOTA_HOST_MEMORY:
		return vg_config.group_memory ? vg_config.group_memory : VG_QUOTA_NONE;
	case VG_QUOTA_THREADS:
		return vg_config.group_threads;
	case VG_QUOTA_PROGRAMS:
		/* [limits] programs is one user's. */
		return t->local ? vg_config.programs : VG_ACCOUNT_ENTRIES;
	case VG_QUOTA_STARTS:
		return vg_config.starts;
	default:
		return vg_config.quota[q];
	}
}

/* The section that has it; NULL: none. */
static struct scope *scope_of(const struct vg_tenant *t, enum vg_quota q)
{
	const char *const names[VG_SCOPES] = {
		[VG_SCOPE_POOL] = t->pool, [VG_SCOPE_TYPE] = t->type, [VG_SCOPE_VGPU] = t->uuid,
	};
	struct scope *s;

	for (int kind = VG_SCOPE_VGPU; kind >= VG_SCOPE_POOL; kind--) {
		s = find(&scopes, kind, names[kind]);
		if (s && s->text[q])
			return s;
	}
	return NULL;
}

uint64_t vg_quota(const struct vg_tenant *t, enum vg_quota q)
{
	return t->quota[q];
}

static uint64_t resolve(const struct vg_tenant *t, enum vg_quota q)
{
	const struct scope *s;
	uint64_t value;

	if (vg_state_value(t->uuid, q, &value))
		return value;
	s = scope_of(t, q);
	return s ? s->value[q] : base(t, q);
}

void vg_quota_origin(const struct vg_tenant *t, enum vg_quota q, char out[64])
{
	const struct scope *s = scope_of(t, q);
	uint64_t value;

	if (vg_state_value(t->uuid, q, &value))
		strcpy(out, "set");
	else if (s)
		snprintf(out, 64, "[%s %s]", kinds[s->kind], s->name);
	else if (q == VG_QUOTA_MEMORY)
		snprintf(out, 64, t->vfiouser ? "[vfio-user %s]" : t->named ? "[socket %s]" :
			 t->local ? "[socket]" : "its type", t->uuid);
	else if (q == VG_QUOTA_PROGRAMS && !t->local)
		strcpy(out, "fixed");
	else if (!quotas[q].limits)
		strcpy(out, "usual");
	else if (strcmp(quotas[q].limits, quotas[q].name))
		snprintf(out, 64, "[limits] %s", quotas[q].limits);
	else
		strcpy(out, "[limits]");
}

static void set_bucket(struct vg_account_bucket *b, uint64_t rate, uint64_t burst)
{
	if (atomic_load(&b->rate) == rate && atomic_load(&b->burst) == burst)
		return;
	atomic_store(&b->rate, rate);
	atomic_store(&b->burst, burst);
	/* Nobody waits for what an old rate would take. */
	atomic_store(&b->earned_ns, 0);
	atomic_fetch_add(&b->change, 1);
}

static void set_buckets(struct vg_tenant *t)
{
	uint64_t calls = t->quota[VG_QUOTA_CALLS], calls_burst = t->quota[VG_QUOTA_CALLS_BURST];
	uint64_t bytes = t->quota[VG_QUOTA_BYTES], bytes_burst = t->quota[VG_QUOTA_BYTES_BURST];

	set_bucket(&t->account->bucket[VG_BUCKET_CALLS], calls, calls_burst ? calls_burst : calls);
	if (bytes == VG_QUOTA_NONE)
		bytes = 0;
	set_bucket(&t->account->bucket[VG_BUCKET_BYTES], bytes,
		   bytes_burst == VG_QUOTA_NONE ? bytes : bytes_burst);
}

void vg_quotas_tell(struct vg_tenant *t)
{
	/* What is held already stays: nothing more is given until the sum is below. */
	atomic_store(&t->account->limit, t->quota[VG_QUOTA_MEMORY]);
	atomic_store(&t->account->context_limit, t->quota[VG_QUOTA_CONTEXTS]);
	atomic_store(&t->account->kernel_ms, t->quota[VG_QUOTA_KERNEL_SECONDS] * 1000);
	set_buckets(t);
}

void vg_quotas_apply(struct vg_tenant *t)
{
	int ret;

	for (unsigned int q = 0; q < VG_QUOTAS; q++)
		t->quota[q] = resolve(t, q);
	vg_quotas_tell(t);
	vg_turns_set(t);
	vg_turns_switch();
	ret = vg_cgroup_limits(t);
	if (ret)
		vg_warn("%s: its limits of host memory and threads stay as they are: %s", t->uuid,
			strerror(-ret));
}

void vg_quotas_apply_all(void)
{
	struct vg_tenant *t;

	LIST_FOREACH(t, &vg_tenants, node)
		vg_quotas_apply(t);
}
