// SPDX-License-Identifier: GPL-2.0
#include "fake.h"

static void info(struct kunit *test)
{
	struct vfio_irq_info i = { .index = VFIO_PCI_MSIX_IRQ_INDEX };

	KUNIT_EXPECT_EQ(test, vgpu_irq_info(&i), 0);
	KUNIT_EXPECT_EQ(test, i.count, VGPU_VECTORS);
	i.index = VFIO_PCI_INTX_IRQ_INDEX;
	KUNIT_EXPECT_EQ(test, vgpu_irq_info(&i), 0);
	KUNIT_EXPECT_EQ(test, i.count, 0);
	i.index = VFIO_PCI_NUM_IRQS;
	KUNIT_EXPECT_EQ(test, vgpu_irq_info(&i), -EINVAL);
}

static void set(struct kunit *test)
{
	struct fake *f = test->priv;
	struct vfio_irq_set s = {
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 3, .count = 1,
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
	};
	s32 fd = 1 << 30;

	KUNIT_EXPECT_NE(test, vgpu_irq_set(&f->vgpu, &s, &fd), 0);
	fd = -1;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, &fd), 0);
	s.index = VFIO_PCI_INTX_IRQ_INDEX;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, &fd), -EINVAL);
	s.index = VFIO_PCI_MSIX_IRQ_INDEX;
	s.flags = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, NULL), -ENOTTY);
	s.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, NULL), 0);
	s.count = 0;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, NULL), 0);
}

/* Every event is told, each once, whatever the order they came in. */
static void events(struct kunit *test)
{
	struct fake *f = test->priv;
	u32 id, event, n = 0;

	for (id = VGPU_CHANNELS; id--;) {
		vgpu_event_post(&f->vgpu, id, VGPU_EVENT_LOST);
		vgpu_event_post(&f->vgpu, id, VGPU_EVENT_RELEASED);
		vgpu_event_post(&f->vgpu, id, VGPU_EVENT_RELEASED);
	}
	while ((event = vgpu_event_take(&f->vgpu))) {
		KUNIT_ASSERT_TRUE(test, event & VGPU_EVENT_VALID);
		KUNIT_ASSERT_LT(test, VGPU_EVENT_CHANNEL(event), VGPU_CHANNELS);
		n++;
	}
	KUNIT_EXPECT_EQ(test, n, 2 * VGPU_CHANNELS);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.interrupts), 3 * VGPU_CHANNELS);
	vgpu_event_post(&f->vgpu, 1, VGPU_EVENT_LOST);
	vgpu_events_clear(&f->vgpu);
	KUNIT_EXPECT_EQ(test, vgpu_event_take(&f->vgpu), 0);
}

static struct kunit_case cases[] = { KUNIT_CASE(info), KUNIT_CASE(set), KUNIT_CASE(events), {} };

struct kunit_suite irq_suite = {
	.name = "vgpu_host_irq", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
