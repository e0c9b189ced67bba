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

/* A set of eventfds is put in place as a whole, or nothing of it is. */
static void set_is_all_or_nothing(struct kunit *test)
{
	struct fake *f = test->priv;
	struct vfio_irq_set s = {
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 3, .count = 4,
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
	};
	const s32 good[] = { 10, 11, -1, 13 };
	const s32 bad[][4] = { { 20, 21, 22, FAKE_EVENTFDS }, { 20, -2, 22, 23 },
			       { S32_MIN, 21, 22, 23 } };
	u32 i;

	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, good), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_NE(test, vgpu_irq_set(&f->vgpu, &s, bad[i]), 0);
		KUNIT_EXPECT_EQ(test, f->eventfd_gets - f->eventfd_puts, 3);
		KUNIT_EXPECT_PTR_EQ(test, f->vgpu.msix[3], fake_eventfd_get(10));
		KUNIT_EXPECT_NULL(test, f->vgpu.msix[5]);
		KUNIT_EXPECT_PTR_EQ(test, f->vgpu.msix[6], fake_eventfd_get(13));
		f->eventfd_gets -= 2;	/* the test's own */
	}
	s.start = VGPU_VECTORS - 3;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, good), -EINVAL);
	s.start = VGPU_VECTORS + 1;
	KUNIT_EXPECT_EQ(test, vgpu_irq_set(&f->vgpu, &s, good), -EINVAL);
	vgpu_irq_release(&f->vgpu);
	KUNIT_EXPECT_EQ(test, f->eventfd_gets, f->eventfd_puts);
}

/* Every event is told, each once, whatever the order they came in. */
static void events(struct kunit *test)
{
	struct fake *f = test->priv;
	u32 id, event, n = 0;

	for (id = VGPU_CHANNELS; id--;) {
		vgpu_event_post(&f->vgpu, id, VGPU_EVENT_LOST, 0);
		vgpu_event_post(&f->vgpu, id, VGPU_EVENT_RELEASED, 0);
		vgpu_event_post(&f->vgpu, id, VGPU_EVENT_RELEASED, 0);
	}
	while ((event = vgpu_event_take(&f->vgpu))) {
		KUNIT_ASSERT_TRUE(test, event & VGPU_EVENT_VALID);
		KUNIT_ASSERT_LT(test, VGPU_EVENT_CHANNEL(event), VGPU_CHANNELS);
		n++;
	}
	KUNIT_EXPECT_EQ(test, n, 2 * VGPU_CHANNELS);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.interrupts), 3 * VGPU_CHANNELS);
	vgpu_event_post(&f->vgpu, 1, VGPU_EVENT_LOST, 0);
	vgpu_events_clear(&f->vgpu);
	KUNIT_EXPECT_EQ(test, vgpu_event_take(&f->vgpu), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(info), KUNIT_CASE(set),
	KUNIT_CASE(set_is_all_or_nothing), KUNIT_CASE(events), {}
};

struct kunit_suite irq_suite = {
	.name = "vgpu_host_irq", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
