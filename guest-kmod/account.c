// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory users may take for the host to reach.  It is all unswappable,
 * and /dev/vgpuN is open to everybody, so it is counted for each user and in all,
 * over all devices: memory of channels (SETUP) and registered memory (REGISTER).
 *
 * Registered memory also counts against the user's RLIMIT_MEMLOCK, as with RDMA
 * and VFIO, unless the parameter `memlock` says no.  CAP_IPC_LOCK passes both
 * limits of the user, and not the one of all.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vgpu_guest.h"

static unsigned int pin_limit;
module_param(pin_limit, uint, 0444);
MODULE_PARM_DESC(pin_limit, "MiB that all programs' channels and registered memory may take; 0 = half of RAM");

static unsigned int user_limit;
module_param(user_limit, uint, 0444);
MODULE_PARM_DESC(user_limit, "MiB of these that one user may take; 0 = half of pin_limit");

static bool memlock = true;
module_param(memlock, bool, 0444);
MODULE_PARM_DESC(memlock, "registered memory also counts against RLIMIT_MEMLOCK");

struct vgpu_account {
	struct list_head node;
	kuid_t uid;
	unsigned long pages;
	unsigned long locked;	/* of these, by REGISTER */
};

static DEFINE_MUTEX(account_lock);
static LIST_HEAD(accounts);		/* under account_lock, as the next */
static unsigned long account_total;

static unsigned long account_max(void)
{
	return pin_limit ? (unsigned long)pin_limit << (20 - PAGE_SHIFT) : totalram_pages() / 2;
}

static unsigned long account_user_max(void)
{
	return user_limit ? (unsigned long)user_limit << (20 - PAGE_SHIFT) : account_max() / 2;
}

static struct vgpu_account *account_find(kuid_t uid)
{
	struct vgpu_account *account;

	list_for_each_entry(account, &accounts, node)
		if (uid_eq(account->uid, uid))
			return account;
	return NULL;
}

static struct vgpu_account *account_get(kuid_t uid)
{
	struct vgpu_account *account = account_find(uid);

	if (account)
		return account;
	account = kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);
	if (account) {
		account->uid = uid;
		list_add(&account->node, &accounts);
	}
	return account;
}

static void account_put(struct vgpu_account *account)
{
	if (account->pages)
		return;
	list_del(&account->node);
	kfree(account);
}

static bool account_over(const struct vgpu_account *account, unsigned long pages, bool lock)
{
	if (account->pages + pages > account_user_max())
		return true;
	return lock && memlock && account->locked + pages > rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
}

static int account_check(const struct vgpu_account *account, unsigned long pages, bool lock)
{
	if (pages > account_max() || account_total > account_max() - pages)
		return -ENOSPC;
	return account_over(account, pages, lock) && !capable(CAP_IPC_LOCK) ? -ENOSPC : 0;
}

struct vgpu_account *vgpu_account_charge(unsigned long pages, bool lock)
{
	struct vgpu_account *account;
	int ret;

	mutex_lock(&account_lock);
	account = account_get(current_uid());
	if (!account) {
		mutex_unlock(&account_lock);
		return ERR_PTR(-ENOMEM);
	}
	ret = account_check(account, pages, lock);
	if (!ret) {
		account_total += pages;
		account->pages += pages;
		if (lock)
			account->locked += pages;
	}
	account_put(account);
	mutex_unlock(&account_lock);
	return ret ? ERR_PTR(ret) : account;
}

void vgpu_account_uncharge(struct vgpu_account *account, unsigned long pages, bool lock)
{
	mutex_lock(&account_lock);
	account_total -= pages;
	account->pages -= pages;
	if (lock)
		account->locked -= pages;
	account_put(account);
	mutex_unlock(&account_lock);
}
