# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 1800
# expect: uapi\[\d+\]: segfault at
# What uapi and programs look at, in one x86 guest: under emulation its boot takes as
# long as many of its programs.
. /rig/parts/host-device.sh
. /rig/parts/guest-device.sh
. /rig/parts/programs.sh

step "/dev/vgpu-host, with one vGPU and no mediator"
host_modules || die "the kernel's vfio and mdev modules load"
check "vgpu_host.ko loads" insmod /rig/modules/vgpu_host.ko || exit 1
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
host_device
vgpu_remove "$uuid"

step "a guest on an mdev"
mediator_start || die "the mediator is up"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
guest_boot g qemu "$uuid"
check "the guest comes up" guest_wait g || exit 1
check "the guest sees the device on its PCI bus" guest_run g "lspci -n -d 1af4:10f0 | grep ."
check "vgpu_guest.ko made /dev/vgpu0" guest_run g 'test -c /dev/vgpu0'

programs g "$uuid"
check "executors are nobody's, and have no capabilities" powerless
check "no device memory is in use" idle "$uuid"

step "/dev/vgpu0"
guest_device g

step "nothing stays behind"
check "the guest shuts down" guest_stop g
check "no memory of it stays pinned" test "$(vgpu_status "$uuid" pinned)" = 0
check "the mdev is removed" vgpu_remove "$uuid"
check "the mediator stops" mediator_stop

step "races in the host's module"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
host_races
vgpu_remove "$uuid"
check "vgpu_host.ko unloads" rmmod vgpu_host
