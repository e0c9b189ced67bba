// SPDX-License-Identifier: Apache-2.0
/*
 * Conditions of graphs.  A handle is the address of one, and kernels set it by that; whether
 * there is one at an address, the list of all says.
 */
#include <stdlib.h>

#include "exec.h"
#include "graph.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below, and every value */
static struct sg_condition *all;

struct sg_condition *sg_condition_new(unsigned int initial, bool assign)
{
	struct sg_condition *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct sg_condition){ .refs = 1, .initial = initial, .assign = assign };
	pthread_mutex_lock(&lock);
	c->next_of_all = all;
	all = c;
	pthread_mutex_unlock(&lock);
	return c;
}

struct sg_condition *sg_condition_get(struct sg_condition *c)
{
	pthread_mutex_lock(&lock);
	c->refs++;
	pthread_mutex_unlock(&lock);
	return c;
}

void sg_condition_put(struct sg_condition *c)
{
	struct sg_condition **at = &all;
	bool last;

	pthread_mutex_lock(&lock);
	last = !--c->refs;
	if (last) {
		while (*at != c)
			at = &(*at)->next_of_all;
		*at = c->next_of_all;
	}
	pthread_mutex_unlock(&lock);
	if (last)
		free(c);
}

unsigned int sg_condition_value(struct sg_condition *c)
{
	unsigned int value;

	pthread_mutex_lock(&lock);
	value = c->value;
	pthread_mutex_unlock(&lock);
	return value;
}

bool sg_condition_set(uint64_t handle, uint32_t value)
{
	struct sg_condition *c;

	pthread_mutex_lock(&lock);
	for (c = all; c && (uintptr_t)c != handle; c = c->next_of_all)
		;
	if (c)
		c->value = value;
	pthread_mutex_unlock(&lock);
	return c;
}
