// SPDX-License-Identifier: Apache-2.0
/* Name lookup: a hash table of each scope's variables and labels, and one of the functions. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ptx.h"

struct sg_map_slot {
	const char *key;
	size_t len;
	void *value;
};

/* FNV-1a */
static uint32_t hash(const char *s, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h ^ h >> 15;
}

/* The slot that has the key, or the empty one where it belongs. */
static struct sg_map_slot *find(const struct sg_map *m, const char *key, size_t len)
{
	uint32_t i = hash(key, len);

	for (;; i++) {
		struct sg_map_slot *s = &m->slots[i & (m->room - 1)];

		if (!s->key || (s->len == len && !memcmp(s->key, key, len)))
			return s;
	}
}

void *sg_map_get(const struct sg_map *m, const char *key, size_t len)
{
	return m->room ? find(m, key, len)->value : NULL;
}

void sg_map_put(struct sg_map *m, struct sg_arena *a, const char *key, void *value)
{
	struct sg_map_slot *s;
	size_t len = strlen(key);

	if (2 * (m->used + 1) > m->room) {
		struct sg_map old = *m;

		m->room = old.room ? 4 * old.room : 8;
		m->slots = sg_arena_alloc(a, m->room * sizeof(*m->slots));
		for (uint32_t i = 0; i < old.room; i++)
			if (old.slots[i].key)
				*find(m, old.slots[i].key, old.slots[i].len) = old.slots[i];
	}
	s = find(m, key, len);
	m->used += !s->key;
	*s = (struct sg_map_slot){ key, len, value };
}

void ptx_add_var(struct sg_arena *a, struct ptx_scope *s, struct ptx_var *v)
{
	v->next = s->vars;
	s->vars = v;
	sg_map_put(v->count ? &s->sets : &s->names, a, v->name, v);
}

void ptx_add_label(struct sg_arena *a, struct ptx_scope *s, struct ptx_label *l)
{
	l->next = s->labels;
	s->labels = l;
	sg_map_put(&s->label_names, a, l->name, l);
}

/*
 * A set of registers is declared once as %r<174> and used as %r0 to %r173. Its own name may end
 * in digits too. A number of more than 9 digits is larger than any set.
 */
static struct ptx_var *find_in_set(const struct sg_map *sets, const char *name, int *index)
{
	size_t n = strlen(name);

	for (size_t stem = n - 1; sets->used && stem >= 1 && n - stem <= 9 &&
	     isdigit((unsigned char)name[stem]); stem--) {
		struct ptx_var *v = sg_map_get(sets, name, stem);
		int number = atoi(name + stem);

		if (v && number < v->count) {
			*index = number;
			return v;
		}
	}
	return NULL;
}

struct ptx_var *ptx_find_var(struct ptx_scope *scope, const char *name, int *index)
{
	int ignored;

	if (!index)
		index = &ignored;
	*index = 0;
	for (; scope; scope = scope->parent) {
		struct ptx_var *v = sg_map_get(&scope->names, name, strlen(name));

		if (!v)
			v = find_in_set(&scope->sets, name, index);
		if (v)
			return v;
	}
	return NULL;
}

struct ptx_label *ptx_find_label(struct ptx_scope *scope, const char *name)
{
	struct ptx_label *l = NULL;

	for (; scope && !l; scope = scope->parent)
		l = sg_map_get(&scope->label_names, name, strlen(name));
	return l;
}

struct ptx_func *ptx_find_func(struct ptx_scope *scope, const char *name)
{
	struct ptx_func *f = NULL;

	for (; scope && !f; scope = scope->parent)
		f = sg_map_get(&scope->func_names, name, strlen(name));
	return f;
}
