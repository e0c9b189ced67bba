// SPDX-License-Identifier: GPL-2.0
/* The registers of BAR0 (vgpu_dev.h). */
#include "vgpu_host.h"

/*
 * How long a reset by register holds the vCPU, for drivers that do not look at
 * VGPU_FEATURE_RESET_BUSY.  QEMU's other threads stand still meanwhile.
 */
#define RESET_WAIT HZ

u32 vgpu_bar_read(struct vgpu *vgpu, u32 off)
{
	atomic64_inc(&vgpu->traps);

	if (off >= VGPU_REG_UUID && off < VGPU_REG_UUID + sizeof(vgpu->uuid)) {
		u32 word;

		memcpy(&word, &vgpu->uuid.b[off - VGPU_REG_UUID], sizeof(word));
		return word;
	}

	switch (off) {
	case VGPU_REG_MAGIC:
		return VGPU_DEV_MAGIC;
	case VGPU_REG_ABI:
		return VGPU_DEV_ABI;
	case VGPU_REG_FEATURES:
		return VGPU_FEATURE_RESET_BUSY;
	case VGPU_REG_CHANNELS:
		return VGPU_CHANNELS;
	case VGPU_REG_VECTORS:
		return VGPU_VECTORS;
	case VGPU_REG_STATUS:
		return vgpu_mediator_serves(vgpu) ? VGPU_STATUS_MEDIATOR : 0;
	case VGPU_REG_CTRL:
		return vgpu_resetting(vgpu) ? VGPU_CTRL_RESET : 0;
	case VGPU_REG_EVENT:
		return vgpu_event_take(vgpu);
	case VGPU_REG_ADMIN_LO:
		return lower_32_bits(READ_ONCE(vgpu->admin_addr));
	case VGPU_REG_ADMIN_HI:
		return upper_32_bits(READ_ONCE(vgpu->admin_addr));
	case VGPU_REG_ADMIN_RESULT:
		return READ_ONCE(vgpu->admin_result);
	case VGPU_REG_MEM_LO:
		return lower_32_bits(vgpu->type->mem_bytes);
	case VGPU_REG_MEM_HI:
		return upper_32_bits(vgpu->type->mem_bytes);
	default:
		return ~0u;
	}
}

void vgpu_bar_write(struct vgpu *vgpu, u32 off, u32 val)
{
	atomic64_inc(&vgpu->traps);

	if (off >= VGPU_REG_DOORBELL && off < VGPU_REG_DOORBELL + 4 * VGPU_CHANNELS) {
		atomic64_inc(&vgpu->doorbells);
		vgpu_channel_doorbell(vgpu, (off - VGPU_REG_DOORBELL) / 4);
		return;
	}

	switch (off) {
	case VGPU_REG_CTRL:
		if (val == VGPU_CTRL_RESET)
			vgpu_reset(vgpu, RESET_WAIT);
		return;
	case VGPU_REG_ADMIN_LO:
	case VGPU_REG_ADMIN_HI:
	case VGPU_REG_ADMIN_KICK:
		break;
	default:
		return;	/* read-only, or nothing there */
	}

	/* Behind another vCPU's command, which may pin for long. */
	if (mutex_lock_killable(&vgpu->admin_lock))
		return;
	if (off == VGPU_REG_ADMIN_LO)
		vgpu->admin_addr = (vgpu->admin_addr & ~(u64)U32_MAX) | val;
	else if (off == VGPU_REG_ADMIN_HI)
		vgpu->admin_addr = (vgpu->admin_addr & U32_MAX) | (u64)val << 32;
	else
		WRITE_ONCE(vgpu->admin_result, vgpu_admin_run(vgpu, vgpu->admin_addr, val));
	mutex_unlock(&vgpu->admin_lock);
}
