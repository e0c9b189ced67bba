// SPDX-License-Identifier: GPL-2.0
/* What both resets of a vGPU do: the register's and VFIO_DEVICE_RESET. */
#include <linux/sched/signal.h>

#include "vgpu_host.h"

/* Executors still hold channels that a reset, or the end of a VM, took away. */
bool vgpu_resetting(struct vgpu *vgpu)
{
	return !list_empty(&vgpu->dying);
}

/*
 * No channels, no memory, no events.  Executors are asked to go; a device may
 * write to guest memory on their behalf until they have.  The guest can read in
 * VGPU_REG_CTRL when that is, so the wait here is bounded, and a signal that ends
 * the VM ends it.
 */
int vgpu_reset(struct vgpu *vgpu, long wait)
{
	long left;

	if (mutex_lock_killable(&vgpu->admin_lock))
		return -EINTR;
	vgpu_channels_drop(vgpu);
	vgpu_events_clear(vgpu);
	vgpu->admin_addr = 0;
	WRITE_ONCE(vgpu->admin_result, 0);
	mutex_unlock(&vgpu->admin_lock);

	left = wait_event_killable_timeout(vgpu->idle_wq, !vgpu_resetting(vgpu), wait);
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}
