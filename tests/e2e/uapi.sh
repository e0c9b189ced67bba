# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 900
# expect: uapi\[\d+\]: segfault at
# Both character devices as their headers promise them and as a hostile program
# finds them: /dev/vgpu-host with no mediator, then /dev/vgpu0 in guests; races in
# the host's module, and each failure of an allocation or a user copy. The
# segfault is a child's that touches the channel of its parent, and must not have it.
. /rig/parts/host-device.sh
. /rig/parts/guest-device.sh

step "/dev/vgpu-host, with one vGPU and no mediator"
host_modules || die "the kernel's vfio and mdev modules load"
# shellcheck disable=SC2086
insmod /rig/modules/vgpu_host.ko $RIG_HOST_PARAMS || die "vgpu_host.ko loads"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
host_device
vgpu_remove "$uuid"

mediator_start || die "the mediator is up"
for kind in uml qemu; do
	case $RIG_GUESTS in $kind | both) ;; *) continue ;; esac
	step "/dev/vgpu0 in a guest ($kind)"
	uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
	guest_boot $kind $kind "$uuid"
	check "the $kind guest comes up" guest_wait $kind || exit 1
	guest_device $kind
	check "the $kind guest shuts down" guest_stop $kind
	check "no memory of it stays pinned" test "$(vgpu_status "$uuid" pinned)" = 0
	check "its mdev is removed" vgpu_remove "$uuid"
done
check "the mediator stops" mediator_stop

step "races in the host's module"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
host_races
vgpu_remove "$uuid"
check "vgpu_host.ko unloads" rmmod vgpu_host
