# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 600
# `make demo`: a CUDA program in a virtual machine computes on the host, hop by
# hop. No machine of the chain has a GPU, so that it runs anywhere: the driver
# at its end is softgpu, which runs the program's kernels on the CPU.
step "the host loads its module"
host_modules || die "the kernel's vfio and mdev modules load"
check "vgpu_host.ko loads" insmod /rig/modules/vgpu_host.ko || exit 1
grep '^vgpu_host' /proc/modules
echo "it offers these types of vGPU:"
for t in $(vgpu_types); do
	echo "  $t: $(cat "$PARENT/mdev_supported_types/$t/name")"
done
mediator_start || die "the mediator, which gives each guest process an executor, is up"
ok "the mediator, which gives each guest process an executor, is up"

step "a vGPU is created through sysfs"
type=$(vgpu_types | head -n1)
uuid=$(cat /proc/sys/kernel/random/uuid)
echo "echo $uuid >$PARENT/mdev_supported_types/$type/create"
vgpu_create "$type" "$uuid" >/dev/null
check "mdev $uuid is there" test -d "$MDEV/$uuid" || exit 1

step "a guest boots: stock QEMU with -device vfio-pci,sysfsdev=$MDEV/$uuid"
echo "(under emulation this takes a minute)"
guest_boot guest qemu "$uuid"
check "the guest comes up" guest_wait guest || exit 1
line=$(guest_run guest 'lspci -nn -d 1af4:10f0')
echo "lspci in the guest: $line"
check "the guest sees the device on its PCI bus" test -n "$line"
guest_run guest 'ls -l /dev/vgpu0; grep ^vgpu_guest /proc/modules'
check "vgpu_guest.ko made /dev/vgpu0" guest_run guest 'test -c /dev/vgpu0'

step "a CUDA program in the guest adds two vectors of 1 Mi floats"
echo "program: tests/programs/vectoradd.c, compiled by clang, linked to libcuda.so.1"
out=$(guest_run guest 'vectoradd 1048576' 200)
status=$?
echo "$out"
check "it compared every element and found it right" \
	test "$status:$out" = "0:PASS vectoradd: 1048576 elements" || exit 1

step "vgpuctl status on the host"
vgpuctl status
calls=$(vgpu_status "$uuid" calls)
check "the program's calls are counted" test "${calls:-0}" -gt 10
pool=$(vgpu_status "$uuid" pool | tr -d '"')
check "under the vGPU's pool, $pool" test "$type" != "${type#vgpu-"$pool"-}"
check "12 MiB and more went to and fro" test "$(vgpu_status "$uuid" bytes_to_device)" -ge 8388608 \
	-a "$(vgpu_status "$uuid" bytes_from_device)" -ge 4194304

check "executors are nobody's, and have no capabilities" powerless

step "everything is put away"
check "the guest shuts down" guest_stop guest
check "no device memory is left in use" test "$(vgpu_status "$uuid" memory)" = 0
check "no guest memory is left pinned" test "$(vgpu_status "$uuid" pinned)" = 0
check "the vGPU is removed" vgpu_remove "$uuid"
check "the mediator stops" mediator_stop
check "vgpu_host.ko unloads" rmmod vgpu_host
