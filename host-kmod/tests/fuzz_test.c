// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of admin commands.
 *
 * A guest sends commands through the registers.  Most are valid but for one odd field,
 * and their page lists may loop, repeat pages, say more or less than the command, or
 * leave guest memory; the guest may also rewrite a list while its pages are pinned.
 * Between the commands the mediator opens channels, executors map regions and end, and
 * the VM gives up memory.  After each command, each page has as many pins as the
 * channels' memory says, and the counts agree with them.  After each sequence and a
 * reset nothing is left: no pin, no channel, no reference to the vGPU.
 *
 * The log has the seed.  To repeat a run: tools/vm/kunit vgpu_host_kunit.seed=NUMBER
 */
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <vgpu/layout.h>

#include "fake.h"

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "of the random commands (0: another one each time)");

static uint rounds = 500;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "sequences of random commands");

#define PIN_LIMIT	700u	/* pages; a list may need three of its own */
#define LISTS		200u	/* the first page that lists are written to */
#define CHANNELS_USED	4u
#define REGIONS_USED	4u
#define HELD		8	/* descriptors, and mappings, that executors have */
#define STEPS_MAX	100

struct fuzz {
	struct kunit *test;
	struct fake *f;
	struct rnd_state rnd;
	u64 seed;		/* of this round */
	s64 others;		/* pages that were pinned before, by no vGPU of ours */
	u32 commands;
	u32 done[VGPU_ADM_UNMAP + 1];	/* commands that had an effect, by operation */
	struct vgpu_channel *fd[HELD];
	struct vgpu_mem *map[HELD];
	bool failed;
};

/* The one that the fake's hook works for. */
static struct fuzz *fuzzing;

static u32 rnd(struct fuzz *z, u32 below)
{
	return prandom_u32_state(&z->rnd) % below;
}

static bool one_in(struct fuzz *z, u32 n)
{
	return !rnd(z, n);
}

static u64 rnd64(struct fuzz *z)
{
	return (u64)prandom_u32_state(&z->rnd) << 32 | prandom_u32_state(&z->rnd);
}

static u64 odd_value(struct fuzz *z)
{
	static const u64 odd[] = {
		0, 1, 2, 255, 256, 1024, 4095, 4096, 4097, 65535, 65536, 0x7fffffff, 0x80000000,
		0xfffff000, 0xffffffff, 1ull << 32, 1ull << 40, 1ull << 63, ~0ull << PAGE_SHIFT,
		~0ull - 1, ~0ull, FAKE_PAGES * PAGE_SIZE, FAKE_PAGES * PAGE_SIZE - 1,
		VGPU_REGION_BYTES_MAX, VGPU_REGION_BYTES_MAX + PAGE_SIZE,
	};

	return one_in(z, 4) ? rnd64(z) : odd[rnd(z, ARRAY_SIZE(odd))];
}

#define EXPECT(z, condition, format, ...)                                               \
	do {                                                                            \
		if (!(condition)) {                                                     \
			KUNIT_FAIL((z)->test, "%s; seed %#llx, command %u: " format,    \
				   #condition, (z)->seed, (z)->commands, ##__VA_ARGS__); \
			(z)->failed = true;                                             \
		}                                                                       \
	} while (0)

/* Page lists. */

static u64 list_page(struct fuzz *z)
{
	return (u64)(LISTS + rnd(z, FAKE_PAGES - LISTS)) << PAGE_SHIFT;
}

static void list_spoil(struct fuzz *z, u64 addr)
{
	struct vgpu_adm_list *l = fake_mem(z->f, addr);
	struct vgpu_adm_run *run = &l->run[rnd(z, min(l->count, VGPU_ADM_RUNS) ?: 1)];

	switch (rnd(z, 12)) {
	case 0:
		l->count = odd_value(z);
		break;
	case 1:
		l->reserved = odd_value(z);
		break;
	case 2:
		l->next = addr;		/* itself */
		break;
	case 3:
		l->next = list_page(z);	/* another's, or one of this list again */
		break;
	case 4:
		l->next = odd_value(z);
		break;
	case 5:
		run->addr = odd_value(z);
		break;
	case 6:
		run->bytes = odd_value(z);
		break;
	case 7:			/* over the end of memory */
		run->addr = (u64)(FAKE_PAGES - 1) << PAGE_SHIFT;
		run->bytes += PAGE_SIZE;
		break;
	case 8:			/* over the end of all addresses */
		run->addr = ~0ull << PAGE_SHIFT;
		run->bytes = 2 * PAGE_SIZE;
		break;
	case 9:
		run->bytes += one_in(z, 2) ? PAGE_SIZE : -PAGE_SIZE;
		break;
	case 10:
		l->count += one_in(z, 2) ? 1 : -1;
		break;
	default:
		((u32 *)l)[rnd(z, sizeof(*l) / sizeof(u32))] = prandom_u32_state(&z->rnd);
		break;
	}
}

/* A list of so many pages; the address of its first page. */
static u64 list_write(struct fuzz *z, u64 pages)
{
	u32 longest = one_in(z, 3) ? 1 : one_in(z, 2) ? 4 : 64;
	u32 full = one_in(z, 8) ? 1 + rnd(z, 8) : VGPU_ADM_RUNS;	/* runs of a list page */
	u64 first = list_page(z), addr = first, before = 0;
	struct vgpu_adm_list *l;

	if (one_in(z, 16))		/* far more than the command says */
		pages += rnd(z, 2 * VGPU_ADM_RUNS);
	pages = min_t(u64, pages, 3 * VGPU_ADM_RUNS);
	do {
		l = fake_mem(z->f, addr);
		memset(l, 0, sizeof(*l));
		while (pages && l->count < full) {
			u32 n = 1 + rnd(z, min_t(u64, longest, pages));

			l->run[l->count].addr = (u64)rnd(z, FAKE_PAGES - n + 1) << PAGE_SHIFT;
			l->run[l->count].bytes = (u64)n << PAGE_SHIFT;
			l->count++;
			pages -= n;
		}
		if (pages)
			l->next = list_page(z);	/* may be one that was written already */
		if (one_in(z, 12))
			list_spoil(z, one_in(z, 2) || !before ? addr : before);
		before = addr;
		addr = l->next;
	} while (pages && addr && PAGE_ALIGNED(addr) && addr >> PAGE_SHIFT < FAKE_PAGES);
	return one_in(z, 30) ? odd_value(z) : first;
}

/* The guest rewrites a list while the module pins what it said. */
static void list_rewrite(void)
{
	if (one_in(fuzzing, 4))
		list_spoil(fuzzing, list_page(fuzzing));
}

/* Commands. */

union command {
	struct vgpu_adm_head head;
	struct vgpu_adm_create create;
	struct vgpu_adm_map map;
	struct vgpu_adm_unmap unmap;
	u32 words[32];
};

static u32 known_size(u32 op)
{
	switch (op) {
	case VGPU_ADM_CREATE:
		return sizeof(struct vgpu_adm_create);
	case VGPU_ADM_MAP:
		return sizeof(struct vgpu_adm_map);
	case VGPU_ADM_UNMAP:
		return sizeof(struct vgpu_adm_unmap);
	default:
		return sizeof(struct vgpu_adm_head);
	}
}

/* Most commands name a channel, and most UNMAPs a region, that is there. */
static void aim(struct fuzz *z, union command *c)
{
	struct vgpu_channel *ch;
	u32 tries;

	for (tries = 0; tries < 6; tries++) {
		c->head.channel = rnd(z, CHANNELS_USED);
		c->unmap.region = rnd(z, REGIONS_USED);
		ch = xa_load(&z->f->vgpu.channels, c->head.channel);
		if (ch && (c->head.op == VGPU_ADM_MAP) == !xa_load(&ch->regions, c->unmap.region))
			break;
	}
}

static u32 command_make(struct fuzz *z, union command *c)
{
	static const u8 ops[] = {
		VGPU_ADM_CREATE, VGPU_ADM_CREATE, VGPU_ADM_CREATE, VGPU_ADM_MAP, VGPU_ADM_MAP,
		VGPU_ADM_MAP, VGPU_ADM_MAP, VGPU_ADM_UNMAP, VGPU_ADM_UNMAP, VGPU_ADM_DESTROY,
	};
	u32 size, pages;

	memset(c, 0, sizeof(*c));
	c->head.op = ops[rnd(z, ARRAY_SIZE(ops))];
	size = known_size(c->head.op);
	switch (c->head.op) {
	case VGPU_ADM_CREATE:
		c->head.channel = rnd(z, CHANNELS_USED);
		c->create.vector = 1 + rnd(z, VGPU_VECTORS - 1);
		vgpu_layout_make(VGPU_SQ_MIN << rnd(z, 2), 1 + rnd(z, 8),
				 (1 + rnd(z, 8)) << PAGE_SHIFT, &c->create.layout);
		c->create.list = list_write(z, c->create.layout.total_bytes >> PAGE_SHIFT);
		break;
	case VGPU_ADM_MAP:
		aim(z, c);
		pages = 1 + rnd(z, one_in(z, 4) ? 2 * VGPU_ADM_RUNS + 2 : 20);
		c->map.va = (u64)rnd(z, 1 << 20) << PAGE_SHIFT;
		c->map.bytes = (u64)pages << PAGE_SHIFT;
		c->map.list = list_write(z, pages);
		break;
	case VGPU_ADM_UNMAP:
		aim(z, c);
		break;
	default:
		c->head.channel = rnd(z, CHANNELS_USED);
		break;
	}
	c->head.size = size;
	if (one_in(z, 16)) {		/* longer than this host knows */
		size = c->head.size = size + 4 * (1 + rnd(z, 8));
		if (one_in(z, 2))
			c->words[size / 4 - 1] = odd_value(z);
	}
	while (one_in(z, 8))
		c->words[rnd(z, size / 4)] = odd_value(z);
	return size;
}

/* What the command may make the module read: itself, and full list pages but the last. */
static s64 bytes_read_max(const union command *c, u32 kick)
{
	u64 bytes = 0;

	if (c->head.op == VGPU_ADM_CREATE)
		bytes = c->create.layout.total_bytes;
	if (c->head.op == VGPU_ADM_MAP)
		bytes = c->map.bytes;
	bytes = min_t(u64, bytes, (u64)PIN_LIMIT << PAGE_SHIFT);
	return kick + DIV_ROUND_UP(bytes >> PAGE_SHIFT, VGPU_ADM_RUNS) * PAGE_SIZE;
}

static bool result_is_known(u32 op, u32 result)
{
	switch (result) {
	case 0:
	case EINVAL:
	case E2BIG:
	case EOPNOTSUPP:
	case EEXIST:
	case ENOENT:
	case EFAULT:
	case ENOSPC:
	case ENOMEM:
		return true;
	case EBUSY:
		return op == VGPU_ADM_UNMAP;
	case EINPROGRESS:
		return op == VGPU_ADM_DESTROY;
	default:
		return false;
	}
}

static void command(struct fuzz *z)
{
	struct fake *f = z->f;
	u64 addr = (u64)rnd(z, LISTS) << PAGE_SHIFT;
	union command c;
	bool elsewhere = one_in(z, 30);	/* the module finds another command, or none */
	u32 kick, result, i;
	s64 pinned, read;

	kick = command_make(z, &c);
	memcpy(fake_mem(f, addr), &c, sizeof(c));
	if (one_in(z, 30))
		kick = odd_value(z);
	if (elsewhere)
		addr = odd_value(z);
	if (one_in(z, 10))
		f->fail_in = 1 + rnd(z, 6);
	if (one_in(z, 8))
		f->pinning = list_rewrite;
	pinned = atomic64_read(&f->vgpu.pinned_pages);
	read = atomic64_read(&f->vgpu.bytes_read);

	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_LO, lower_32_bits(addr));
	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_HI, upper_32_bits(addr));
	if (one_in(z, 10))
		WRITE_ONCE(current->fail_nth, 1 + rnd(z, 10));
	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_KICK, kick);
	WRITE_ONCE(current->fail_nth, 0);
	result = vgpu_bar_read(&f->vgpu, VGPU_REG_ADMIN_RESULT);
	f->pinning = NULL;
	f->fail_in = 0;
	z->commands++;

	pinned = atomic64_read(&f->vgpu.pinned_pages) - pinned;
	read = atomic64_read(&f->vgpu.bytes_read) - read;
	if (elsewhere)
		return;
	EXPECT(z, result_is_known(c.head.op, result), "operation %u: result %u", c.head.op, result);
	EXPECT(z, read <= bytes_read_max(&c, kick), "operation %u read %lld bytes", c.head.op, read);
	if (result) {
		EXPECT(z, !pinned, "operation %u failed with %u and left %lld pins", c.head.op,
		       result, pinned);
		return;
	}
	EXPECT(z, c.head.size == kick && !c.head.flags && c.head.op <= VGPU_ADM_UNMAP,
	       "operation %u of %u bytes", c.head.op, c.head.size);
	for (i = known_size(c.head.op); i < min_t(u32, kick, sizeof(c)); i += 4)
		EXPECT(z, !c.words[i / 4], "operation %u: word %u", c.head.op, i / 4);
	if (c.head.op <= VGPU_ADM_UNMAP)
		z->done[c.head.op]++;
}

/* What the mediator, executors and the VM do meanwhile. */

static struct vgpu_channel *some_channel(struct fuzz *z)
{
	return xa_load(&z->f->vgpu.channels, rnd(z, CHANNELS_USED));
}

/* OPEN_CHANNEL: the descriptor has a reference of its own. */
static void open_channel(struct fuzz *z, u32 i)
{
	struct vgpu_channel *ch = some_channel(z);

	if (z->fd[i] || !ch)
		return;
	kref_get(&ch->ref);
	if (vgpu_channel_attach(ch, NULL))
		vgpu_channel_put(ch);
	else
		z->fd[i] = ch;
}

static void close_channel(struct fuzz *z, u32 i)
{
	if (!z->fd[i])
		return;
	mutex_lock(&z->f->vgpu.admin_lock);
	vgpu_channel_detach(z->fd[i]);
	mutex_unlock(&z->f->vgpu.admin_lock);
	z->fd[i] = NULL;
}

/* mmap() of a region, as channel_fd.c does it. */
static void map_region(struct fuzz *z, u32 i)
{
	struct vgpu_channel *ch = z->fd[rnd(z, HELD)];
	struct vgpu_mem *mem;

	if (!ch || z->map[i])
		return;
	mutex_lock(&ch->map_lock);
	mem = vgpu_channel_mem(ch, rnd(z, REGIONS_USED + 1));
	if (mem && !mem->revoked) {
		kref_get(&mem->ref);
		atomic_inc(&mem->maps);
		z->map[i] = mem;
	}
	mutex_unlock(&ch->map_lock);
}

static void unmap_region(struct fuzz *z, u32 i)
{
	if (!z->map[i])
		return;
	atomic_dec(&z->map[i]->maps);
	vgpu_mem_put(z->map[i]);
	z->map[i] = NULL;
}

static void others(struct fuzz *z)
{
	struct vgpu *vgpu = &z->f->vgpu;
	struct vgpu_host_event event;

	switch (rnd(z, 8)) {
	case 0:
	case 1:
		open_channel(z, rnd(z, HELD));
		break;
	case 2:
		close_channel(z, rnd(z, HELD));
		break;
	case 3:
		map_region(z, rnd(z, HELD));
		break;
	case 4:
		unmap_region(z, rnd(z, HELD));
		break;
	case 5:
		if (vgpu_channels_event(vgpu, &event))
			vgpu_channels_told(vgpu, &event);
		vgpu_bar_read(vgpu, VGPU_REG_EVENT);
		vgpu_bar_write(vgpu, VGPU_REG_DOORBELL + 4 * rnd(z, VGPU_CHANNELS + 1), 1);
		break;
	case 6:
		if (!one_in(z, 4))
			break;
		mutex_lock(&vgpu->admin_lock);
		vgpu_channels_dma_unmap(vgpu, (u64)rnd(z, FAKE_PAGES) << PAGE_SHIFT,
					(1 + rnd(z, 8)) << PAGE_SHIFT);
		mutex_unlock(&vgpu->admin_lock);
		break;
	case 7:
		if (one_in(z, 8))
			vgpu_reset(vgpu, 0);
		break;
	}
}

/* What must be true at any time. */

static void count(int *pins, const struct vgpu_mem *mem, s64 *pages)
{
	u32 i, k;

	for (i = 0; i < mem->nruns; i++)
		for (k = 0; k < mem->runs[i].pages; k++)
			pins[(mem->runs[i].iova >> PAGE_SHIFT) + k]++;
	*pages += mem->npages;
}

static void check(struct fuzz *z)
{
	struct vgpu *vgpu = &z->f->vgpu;
	static int pins[FAKE_PAGES];
	struct vgpu_channel *ch;
	struct vgpu_mem *region;
	unsigned long i, r;
	s64 pages = 0, pinned = atomic64_read(&vgpu->pinned_pages);

	memset(pins, 0, sizeof(pins));
	xa_for_each(&vgpu->channels, i, ch) {
		if (ch->mem)
			count(pins, ch->mem, &pages);
		xa_for_each(&ch->regions, r, region)
			count(pins, region, &pages);
	}
	EXPECT(z, !memcmp(pins, z->f->pins, sizeof(pins)), "%d pins are held", fake_pinned(z->f));
	EXPECT(z, fake_pinned(z->f) == pages, "%d and %lld", fake_pinned(z->f), pages);
	EXPECT(z, pinned == pages, "%lld and %lld", pinned, pages);
	EXPECT(z, pinned <= PIN_LIMIT, "%lld pages", pinned);
	EXPECT(z, fake_pinned_total() - z->others == pinned, "%lld and %lld", fake_pinned_total(),
	       pinned);
}

/* Executors end, the guest resets: nothing is left. */
static void end(struct fuzz *z)
{
	struct vgpu *vgpu = &z->f->vgpu;
	u32 i;

	if (one_in(z, 2))
		vgpu_reset(vgpu, 0);
	for (i = 0; i < HELD; i++) {
		unmap_region(z, i);
		close_channel(z, i);
	}
	vgpu_bar_write(vgpu, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	check(z);
	EXPECT(z, !fake_pinned(z->f), "%d pins", fake_pinned(z->f));
	EXPECT(z, xa_empty(&vgpu->channels), "the table of channels");
	EXPECT(z, !vgpu_bar_read(vgpu, VGPU_REG_CTRL), "a channel still dies");
	EXPECT(z, !vgpu_bar_read(vgpu, VGPU_REG_EVENT), "an event is left");
	EXPECT(z, kref_read(&vgpu->vfio.device.kobj.kref) == 1, "%u references",
	       kref_read(&vgpu->vfio.device.kobj.kref));
}

static void commands(struct kunit *test)
{
	struct fuzz *z = kunit_kzalloc(test, sizeof(*z), GFP_KERNEL);
	u64 base = seed ?: get_random_u32();
	u32 round, steps, op;

	KUNIT_ASSERT_NOT_NULL(test, z);
	z->test = test;
	z->f = test->priv;
	z->others = fake_pinned_total();
	vgpu_pin_limit_pages = PIN_LIMIT;
	fuzzing = z;
	for (round = 0; round < rounds && !z->failed; round++) {
		z->seed = base + round;
		prandom_seed_state(&z->rnd, z->seed);
		for (steps = 1 + rnd(z, STEPS_MAX); steps && !z->failed; steps--) {
			if (one_in(z, 3))
				others(z);
			else
				command(z);
			check(z);
		}
		end(z);
		cond_resched();
	}
	kunit_info(test, "fuzz: %u commands in %u rounds, done: %u CREATE, %u MAP, %u UNMAP, %u DESTROY; seed %#llx\n",
		   z->commands, round, z->done[VGPU_ADM_CREATE], z->done[VGPU_ADM_MAP],
		   z->done[VGPU_ADM_UNMAP], z->done[VGPU_ADM_DESTROY], base);
	/* Each has worked now and then, or the sequences say little. */
	for (op = VGPU_ADM_CREATE; op <= VGPU_ADM_UNMAP && rounds >= 100; op++)
		KUNIT_EXPECT_GT(test, z->done[op], round / 4);
	fuzzing = NULL;
}

static struct kunit_case cases[] = { KUNIT_CASE(commands), {} };

struct kunit_suite fuzz_suite = {
	.name = "vgpu_host_fuzz", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
