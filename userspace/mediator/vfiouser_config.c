// SPDX-License-Identifier: Apache-2.0
/* The sections [vfio-user UUID] of the configuration.  They are opened when the mediator starts. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator.h"

static struct vg_vfiouser_confs confs = LIST_HEAD_INITIALIZER(confs);	/* in force */
static struct vg_vfiouser_confs coming = LIST_HEAD_INITIALIZER(coming);

static bool is_uuid(const char *text)
{
	size_t i;

	for (i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]) || !text[i])
			return false;
	}
	return !text[i];
}

static void clear(struct vg_vfiouser_confs *list)
{
	struct vg_vfiouser_conf *c;

	while ((c = LIST_FIRST(list))) {
		LIST_REMOVE(c, node);
		free(c->path);
		free(c);
	}
}

static struct vg_vfiouser_conf *find_or_add(const char *uuid)
{
	struct vg_vfiouser_conf *c;

	LIST_FOREACH(c, &coming, node)
		if (!strcmp(c->uuid, uuid))
			return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	snprintf(c->uuid, sizeof(c->uuid), "%s", uuid);
	strcpy(c->pool, "A");
	c->mode = 0600;
	LIST_INSERT_HEAD(&coming, c, node);
	return c;
}

static bool set(struct vg_vfiouser_conf *c, const char *key, const char *value)
{
	unsigned long mode;
	char *end;

	if (!strcmp(key, "path")) {
		c->path = strdup(value);
		return c->path && *value == '/';
	}
	if (!strcmp(key, "mode")) {
		c->mode = mode = strtoul(value, &end, 8);
		return isdigit((unsigned char)*value) && !*end && mode <= 0777;
	}
	if (!strcmp(key, "pool")) {
		snprintf(c->pool, sizeof(c->pool), "%s", value);
		return *value && strlen(value) < sizeof(c->pool);
	}
	if (!strcmp(key, "pages")) {
		c->pages = !strcmp(value, "memfd");
		return c->pages;
	}
	return vg_parse_bytes(value, &c->memory) && c->memory;
}

const char *vg_vfiouser_set(const char *uuid, const char *key, const char *value)
{
	static const struct {
		const char *key, *allowed;
	} keys[] = {
		{ "path", "a path from the root" }, { "mode", "0 to 777, octal" },
		{ "pool", "a name of at most 15 bytes" },
		{ "memory", "a number of more than 0, or one with K, M, G or T" },
		{ "pages", "memfd, which lets an executor reach all memory of its own VM" },
	};
	struct vg_vfiouser_conf *c;

	if (!is_uuid(uuid))
		return "a section is named by a UUID, in small letters";
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i].key, key))
			continue;
		c = find_or_add(uuid);
		if (!c)
			return "no memory";
		if (c->given & 1u << i)
			return "each key once";
		c->given |= 1u << i;
		return set(c, key, value) ? NULL : keys[i].allowed;
	}
	return "path, mode, pool, memory, pages";
}

const char *vg_vfiouser_wrong(const char **what)
{
	const struct vg_vfiouser_conf *c;

	LIST_FOREACH(c, &coming, node) {
		*what = !c->path ? "path" : !c->memory ? "memory" : !c->pages ? "pages" : NULL;
		if (*what)
			return c->uuid;
	}
	return NULL;
}

void vg_vfiouser_end(bool keep)
{
	struct vg_vfiouser_conf *c;

	if (keep)
		clear(&confs);
	while (keep && (c = LIST_FIRST(&coming))) {
		LIST_REMOVE(c, node);
		LIST_INSERT_HEAD(&confs, c, node);
	}
	clear(&coming);
}

const struct vg_vfiouser_confs *vg_vfiouser_confs(void)
{
	return &confs;
}
