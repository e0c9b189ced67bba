// SPDX-License-Identifier: GPL-2.0
#include <linux/pci_regs.h>

#include "fake.h"

static u32 read_at(const struct vgpu_config *c, u32 off, u32 len)
{
	u32 val = 0;

	return vgpu_config_read(c, off, &val, len) ? ~0u : val;
}

static void identity(struct kunit *test)
{
	struct vgpu_config c;

	vgpu_config_init(&c);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_VENDOR_ID, 2), VGPU_PCI_VENDOR);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_DEVICE_ID, 2), VGPU_PCI_DEVICE);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_CLASS_REVISION, 4),
			VGPU_PCI_CLASS << 8 | VGPU_PCI_REVISION);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_INTERRUPT_PIN, 1), 0);
}

static void bar_sizing(struct kunit *test)
{
	struct vgpu_config c;
	u32 ones = ~0u;

	vgpu_config_init(&c);
	KUNIT_EXPECT_EQ(test, vgpu_config_write(&c, PCI_BASE_ADDRESS_0, &ones, 4), 0);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_BASE_ADDRESS_0, 4), ~(VGPU_BAR0_BYTES - 1));
	KUNIT_EXPECT_EQ(test, vgpu_config_write(&c, PCI_BASE_ADDRESS_1, &ones, 4), 0);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_BASE_ADDRESS_1, 4), 0);
}

static void read_only_stays(struct kunit *test)
{
	struct vgpu_config c, before;
	u8 ones[VGPU_CONFIG_BYTES], zeros[VGPU_CONFIG_BYTES] = {};
	int i;

	vgpu_config_init(&c);
	before = c;
	memset(ones, 0xff, sizeof(ones));
	vgpu_config_write(&c, 0, ones, sizeof(ones));
	vgpu_config_write(&c, 0, zeros, sizeof(zeros));
	for (i = 0; i < VGPU_CONFIG_BYTES; i++)
		KUNIT_EXPECT_EQ(test, c.data[i] & ~c.writable[i],
				before.data[i] & ~before.writable[i]);
	KUNIT_EXPECT_EQ(test, read_at(&c, PCI_VENDOR_ID, 2), VGPU_PCI_VENDOR);
}

static void ranges(struct kunit *test)
{
	struct vgpu_config c;
	u64 buf = 0;

	vgpu_config_init(&c);
	KUNIT_EXPECT_EQ(test, vgpu_config_read(&c, 248, &buf, 8), 0);
	KUNIT_EXPECT_EQ(test, vgpu_config_read(&c, 249, &buf, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_config_read(&c, 256, &buf, 0), 0);
	KUNIT_EXPECT_EQ(test, vgpu_config_read(&c, 257, &buf, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_config_write(&c, 255, &buf, 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_config_write(&c, ~0u, &buf, 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_config_write(&c, 0, &buf, ~0u), -EINVAL);
}

/* The chain ends, within the space, and MSI-X points into BAR0. */
static void capabilities(struct kunit *test)
{
	struct vgpu_config c;
	int left = 48;
	bool msix = false;
	u32 pos;

	vgpu_config_init(&c);
	KUNIT_EXPECT_TRUE(test, read_at(&c, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (pos = read_at(&c, PCI_CAPABILITY_LIST, 1); pos && left--;
	     pos = read_at(&c, pos + PCI_CAP_LIST_NEXT, 1)) {
		KUNIT_ASSERT_GE(test, pos, 0x40);
		KUNIT_EXPECT_EQ(test, pos % 4, 0);
		if (read_at(&c, pos, 1) != PCI_CAP_ID_MSIX)
			continue;
		msix = true;
		KUNIT_EXPECT_EQ(test, read_at(&c, pos + PCI_MSIX_FLAGS, 2), VGPU_VECTORS - 1);
		KUNIT_EXPECT_LE(test,
				read_at(&c, pos + PCI_MSIX_TABLE, 4) +
					VGPU_VECTORS * PCI_MSIX_ENTRY_SIZE,
				read_at(&c, pos + PCI_MSIX_PBA, 4));
	}
	KUNIT_EXPECT_TRUE(test, msix);
	KUNIT_EXPECT_GE(test, left, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(identity), KUNIT_CASE(bar_sizing), KUNIT_CASE(read_only_stays),
	KUNIT_CASE(ranges), KUNIT_CASE(capabilities), {}
};

struct kunit_suite config_suite = { .name = "vgpu_host_config", .test_cases = cases };
