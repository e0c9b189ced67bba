// SPDX-License-Identifier: Apache-2.0
/*
 * The sections [socket NAME]: tenants that come over a socket of their own.
 *
 * Each is a vGPU without a VM, with the name for its id; the file's owner and mode, or the folder
 * that it lies in, say who may use it.  They are opened when the mediator starts.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator.h"

static struct vg_named_sockets sockets = LIST_HEAD_INITIALIZER(sockets);	/* in force */
static struct vg_named_sockets coming = LIST_HEAD_INITIALIZER(coming);

bool vg_socket_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return n && n <= VG_SOCKET_NAME_MAX && !name[n] && isalpha((unsigned char)*name);
}

static void clear(struct vg_named_sockets *list)
{
	struct vg_named_socket *s;

	while ((s = LIST_FIRST(list))) {
		LIST_REMOVE(s, node);
		free(s->path);
		free(s);
	}
}

static struct vg_named_socket *find_or_add(const char *name)
{
	struct vg_named_socket *s;

	LIST_FOREACH(s, &coming, node)
		if (!strcmp(s->name, name))
			return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->mode = VG_SOCKET_MODE_USUAL;
	s->memory = UINT64_MAX;
	strcpy(s->pool, "A");
	LIST_INSERT_HEAD(&coming, s, node);
	return s;
}

static bool set(struct vg_named_socket *s, const char *key, const char *value)
{
	unsigned long mode;
	char *end;

	if (!strcmp(key, "path")) {
		free(s->path);
		s->path = strdup(value);
		return s->path && *value == '/';
	}
	if (!strcmp(key, "mode")) {
		s->mode = mode = strtoul(value, &end, 8);
		return isdigit((unsigned char)*value) && !*end && mode <= 0777;
	}
	if (!strcmp(key, "pool")) {
		snprintf(s->pool, sizeof(s->pool), "%s", value);
		return *value && strlen(value) < sizeof(s->pool);
	}
	return vg_parse_bytes(value, &s->memory) && s->memory;
}

const char *vg_socket_set(const char *name, const char *key, const char *value, unsigned int line)
{
	static const struct {
		const char *key, *allowed;
	} keys[] = {
		{ "path", "a path from the root" }, { "mode", "0 to 777, octal" },
		{ "pool", "a name of at most 15 bytes" },
		{ "memory", "a number of more than 0, or one with K, M, G or T" },
	};
	struct vg_named_socket *s;

	/* The mediator has a cgroup of its own beside those of tenants (cgroup.c). */
	if (!vg_socket_name(name) || !strcmp(name, "local") || !strcmp(name, "mediator"))
		return "NAME is 1 to 31 small letters, digits, - and _, a letter first, and not local, nor "
		       "mediator";
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i].key, key))
			continue;
		s = find_or_add(name);
		if (!s)
			return "no memory";
		if (s->given & 1u << i)
			return "each key once";
		s->given |= 1u << i;
		if (!strcmp(key, "path"))
			s->line = line;
		return set(s, key, value) ? NULL : keys[i].allowed;
	}
	return "path, mode, pool, memory";
}

const char *vg_sockets_wrong(void)
{
	const struct vg_named_socket *s;

	LIST_FOREACH(s, &coming, node)
		if (!s->path)
			return s->name;
	return NULL;
}

void vg_sockets_end(bool keep)
{
	struct vg_named_socket *s;

	if (keep)
		clear(&sockets);
	while (keep && (s = LIST_FIRST(&coming))) {
		LIST_REMOVE(s, node);
		LIST_INSERT_HEAD(&sockets, s, node);
	}
	clear(&coming);
}

struct vg_named_sockets *vg_sockets(void)
{
	return &sockets;
}
