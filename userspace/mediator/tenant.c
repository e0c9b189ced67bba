// SPDX-License-Identifier: Apache-2.0
/* A tenant and its account page. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mediator.h"

struct vg_tenants vg_tenants = LIST_HEAD_INITIALIZER(vg_tenants);

struct vg_tenant *vg_tenant_new(const char *uuid, const char *pool, const char *type,
				const char *parent, uint64_t memory)
{
	struct vg_tenant *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return NULL;
	ret = vg_pool_devices(pool, parent, &t->devices);
	if (ret) {
		free(t);
		errno = -ret;
		return NULL;
	}
	t->source.fd = -1;
	t->closer = vg_closer_new();
	LIST_INIT(&t->tokens);
	snprintf(t->uuid, sizeof(t->uuid), "%s", uuid);
	snprintf(t->pool, sizeof(t->pool), "%s", pool);
	snprintf(t->type, sizeof(t->type), "%s", type);
	snprintf(t->parent, sizeof(t->parent), "%s", parent);
	t->account_fd = memfd_create("vgpu-account", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* An executor that shrank it would have the mediator and the others fault. */
	if (!t->closer || t->account_fd < 0 || ftruncate(t->account_fd, sizeof(*t->account)) ||
	    fcntl(t->account_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	t->account = mmap(NULL, sizeof(*t->account), PROT_READ | PROT_WRITE, MAP_SHARED,
			  t->account_fd, 0);
	if (t->account == MAP_FAILED)
		goto fail;
	ret = vg_turns_join(t);
	if (ret) {
		munmap(t->account, sizeof(*t->account));
		errno = -ret;
		goto fail;
	}
	t->type_memory = memory;
	memcpy(t->account->name, t->uuid, sizeof(t->account->name));
	LIST_INSERT_HEAD(&vg_tenants, t, node);
	vg_quotas_apply(t);
	return t;

fail:
	if (t->account_fd >= 0)
		close(t->account_fd);
	vg_closer_put(t->closer);
	free(t->devices);
	free(t);
	return NULL;
}

/* Its processes have been told to end; they settle with NULL. */
void vg_tenant_free(struct vg_tenant *t)
{
	LIST_REMOVE(t, node);
	vg_source_remove(&t->source);
	vg_turns_leave(t);
	/* It may have been the last with a share. */
	vg_turns_switch();
	vg_faults_forget(&t->fault_times);
	munmap(t->account, sizeof(*t->account));
	close(t->account_fd);
	vg_closer_put(t->closer);
	vg_uid_put(t->executors);
	vg_cgroup_sweep();
	free(t->devices);
	free(t);
}

static void clear(struct vg_account *a, unsigned int index)
{
	memset((void *)&a->entry[index], 0, sizeof(a->entry[index]));
	memset((void *)&a->waits[index], 0, sizeof(a->waits[index]));
	memset((void *)&a->launch[index], 0, sizeof(a->launch[index]));
}

/*
 * All of the account page that is the mediator's, and the entries that nobody has. An executor that a
 * guest has taken over may have written there, and that is to count no longer than it lives.
 */
static void restore(struct vg_tenant *t)
{
	/* Behind these nobody looks. */
	for (unsigned int i = 0; i < t->entries; i++)
		if (!t->entry_used[i])
			clear(t->account, i);
	memcpy(t->account->name, t->uuid, sizeof(t->account->name));
	atomic_store(&t->account->entries, t->entries);
	atomic_store(&t->account->orphaned, t->orphaned);
	vg_quotas_tell(t);
	vg_turns_tell(t);
}

void vg_tenant_orphan(struct vg_tenant *t, int64_t bytes)
{
	t->orphaned += bytes;
	atomic_store(&t->account->orphaned, t->orphaned);
}

int vg_tenant_entry(struct vg_tenant *t)
{
	for (unsigned int i = 0; i < VG_ACCOUNT_ENTRIES; i++) {
		if (t->entry_used[i])
			continue;
		if (t->entries <= i)
			t->entries = i + 1;
		restore(t);
		t->entry_used[i] = true;
		t->procs++;
		return i;
	}
	return -ENOSPC;
}

/* An executor has gone: its memory is free, its counts go to the tenant. */
void vg_tenant_settle(struct vg_tenant *t, unsigned int index)
{
	struct vg_account_entry *e = &t->account->entry[index];

	t->ended++;
	t->calls += atomic_load(&e->calls);
	t->bytes_in += atomic_load(&e->bytes_in);
	t->bytes_out += atomic_load(&e->bytes_out);
	t->direct_in += atomic_load(&e->direct_in);
	t->direct_out += atomic_load(&e->direct_out);
	t->faults += atomic_load(&e->faults);
	t->device_ns += atomic_load(&e->device_ns);
	for (unsigned int i = 0; i < VG_BUCKETS; i++) {
		t->waits[i] += atomic_load(&t->account->waits[index].waits[i]);
		t->waited_us[i] += atomic_load(&t->account->waits[index].waited_us[i]);
	}
	t->entry_used[index] = false;
	t->procs--;
	restore(t);
	vg_turns_look();
}

uint64_t vg_tenant_contexts(const struct vg_tenant *t)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < t->entries; i++)
		sum += atomic_load(&t->account->entry[i].contexts);
	return sum;
}

uint64_t vg_tenant_memory(const struct vg_tenant *t)
{
	uint64_t sum = t->orphaned;

	for (unsigned int i = 0; i < t->entries; i++)
		sum += atomic_load(&t->account->entry[i].memory);
	return sum;
}
