// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/slab.h>
#include <vgpu/layout.h>

#include "fake.h"

unsigned long vgpu_pin_limit_pages;
unsigned long vgpu_pin_total_pages;
DEFINE_MUTEX(vgpu_host_lock);
LIST_HEAD(vgpu_host_list);

/* Suites run one after the other, and so do their cases. */
static struct fake *fake;

static void fake_device_release(struct device *dev)
{
}

int fake_init(struct kunit *test)
{
	struct fake *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct vgpu *vgpu;
	int i;

	if (!f)
		return -ENOMEM;
	for (i = 0; i < FAKE_PAGES; i++) {
		f->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!f->pages[i])
			return -ENOMEM;
	}
	vgpu = &f->vgpu;
	f->type.mem_bytes = SZ_1G;
	vgpu->type = &f->type;
	device_initialize(&vgpu->vfio.device);
	vgpu->vfio.device.release = fake_device_release;
	vgpu_channels_init(vgpu);
	spin_lock_init(&vgpu->irq_lock);
	init_waitqueue_head(&vgpu->wq);
	vgpu_config_init(&vgpu->config);
	vgpu_pin_limit_pages = FAKE_PAGES;
	vgpu_pin_total_pages = ~0ul >> 1;
	fake = f;
	test->priv = f;
	return 0;
}

struct fake *fake_lock(struct kunit *test)
{
	struct fake *f = test->priv;

	mutex_lock(&f->vgpu.admin_lock);
	return f;
}

void fake_unlock(struct kunit *test)
{
	struct fake *f = test->priv;

	mutex_unlock(&f->vgpu.admin_lock);
}

void fake_exit(struct kunit *test)
{
	struct fake *f = test->priv;
	int i;

	if (!f)
		return;
	mutex_lock(&f->vgpu.admin_lock);
	vgpu_channels_drop(&f->vgpu);
	mutex_unlock(&f->vgpu.admin_lock);
	rcu_barrier();
	xa_destroy(&f->vgpu.channels);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.pinned_pages), 0);
	for (i = 0; i < FAKE_PAGES; i++)
		__free_page(f->pages[i]);
	put_device(&f->vgpu.vfio.device);
}

void *fake_mem(struct fake *f, u64 addr)
{
	return (u8 *)page_address(f->pages[addr >> PAGE_SHIFT]) + offset_in_page(addr);
}

int fake_pinned(struct fake *f)
{
	int i, n = 0;

	for (i = 0; i < FAKE_PAGES; i++)
		n += f->pins[i];
	return n;
}

void fake_list(struct fake *f, u64 list, u64 addr, u32 pages)
{
	struct vgpu_adm_list *l = fake_mem(f, list);
	u32 i;

	memset(l, 0, sizeof(*l));
	l->count = pages;
	for (i = 0; i < pages; i++) {
		l->run[i].addr = addr + 2 * i * PAGE_SIZE;
		l->run[i].bytes = PAGE_SIZE;
	}
}

int fake_channel(struct kunit *test)
{
	struct fake *f = test->priv;
	struct vgpu_adm_create cmd = { .head = { .channel = 7 }, .vector = 1 };
	u32 pages;

	if (vgpu_layout_make(VGPU_SQ_MIN, 4, PAGE_SIZE, &cmd.layout))
		return -EINVAL;
	pages = cmd.layout.total_bytes >> PAGE_SHIFT;
	cmd.list = FAKE_LIST;
	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, pages);
	return vgpu_channel_create(&f->vgpu, &cmd);
}

int vfio_dma_rw(struct vfio_device *vfio, dma_addr_t iova, void *data, size_t len, bool write)
{
	u8 *to = data;

	while (len) {
		size_t n = min_t(size_t, len, PAGE_SIZE - offset_in_page(iova));

		if (iova >> PAGE_SHIFT >= FAKE_PAGES)
			return -EINVAL;
		memcpy(to, fake_mem(fake, iova), n);
		iova += n;
		to += n;
		len -= n;
	}
	return 0;
}

int vfio_pin_pages(struct vfio_device *vfio, dma_addr_t iova, int npage, int prot,
		   struct page **pages)
{
	u64 first = iova >> PAGE_SHIFT;
	int i;

	if (fake->pinning)
		fake->pinning();
	if (fake->fail_in && !--fake->fail_in)
		return -ENOMEM;
	if (first >= FAKE_PAGES || npage > FAKE_PAGES - first)
		return -EINVAL;
	for (i = 0; i < npage; i++) {
		fake->pins[first + i]++;
		pages[i] = fake->pages[first + i];
	}
	return npage;
}

void vfio_unpin_pages(struct vfio_device *vfio, dma_addr_t iova, int npage)
{
	int i;

	for (i = 0; i < npage; i++)
		fake->pins[(iova >> PAGE_SHIFT) + i]--;
}

struct eventfd_ctx *fake_eventfd_get(int fd)
{
	static long eventfds[FAKE_EVENTFDS];

	if (fd < 0 || fd >= FAKE_EVENTFDS)
		return ERR_PTR(-EBADF);
	fake->eventfd_gets++;
	return (struct eventfd_ctx *)&eventfds[fd];
}

void fake_eventfd_put(struct eventfd_ctx *ctx)
{
	fake->eventfd_puts++;
}

bool vgpu_mediator_serves(struct vgpu *vgpu)
{
	return true;
}
