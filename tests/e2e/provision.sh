# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 400
# From the module to the device node, with no mediator: the host offers types,
# an mdev is created and removed through sysfs, the guest finds the PCI device
# and its driver makes a node of it.
step "vgpu_host loads"
check "vfio and mdev load" host_modules || exit 1
check "vgpu_host.ko loads" insmod /rig/modules/vgpu_host.ko || exit 1
step "the types it offers"
for t in $(vgpu_types); do
	dir=$PARENT/mdev_supported_types/$t
	echo "$t: $(cat "$dir/name"), $(cat "$dir/available_instances") free"
	check "$t is for vfio-pci" test "$(cat "$dir/device_api")" = vfio-pci
done
type=$(vgpu_types | head -n1)

step "an mdev is created and removed"
check "a type is offered" test -n "$type"
free=$(cat "$PARENT/mdev_supported_types/$type/available_instances")
uuid=$(vgpu_create "$type")
check "mdev $uuid is created" test -d "$MDEV/$uuid" || exit 1
check "one instance less is free" test \
	"$(cat "$PARENT/mdev_supported_types/$type/available_instances")" -lt "$free"
check "it is removed" vgpu_remove "$uuid"
check "its instance is free again" test \
	"$(cat "$PARENT/mdev_supported_types/$type/available_instances")" = "$free"

step "a guest on an mdev"
uuid=$(vgpu_create "$type")
guest_boot g "$RIG_GUEST" "$uuid"
check "the guest comes up" guest_wait g || exit 1
guest_run g 'lspci -nn -d 1af4:10f0; ls -l /dev/vgpu*; lsmod'
check "the guest has the device" test -n "$(guest_run g 'lspci -d 1af4:10f0')"
check "the driver made /dev/vgpu0" guest_run g 'test -c /dev/vgpu0'
check "the driver unloads" guest_run g 'rmmod vgpu_guest'
check "its node is gone" guest_run g '! test -e /dev/vgpu0'
check "the driver loads again" guest_run g 'insmod /rig/vgpu_guest.ko && test -c /dev/vgpu0'
check "the guest shuts down" guest_stop g

step "the host lets go"
check "the mdev is removed" vgpu_remove "$uuid"
check "vgpu_host.ko unloads" rmmod vgpu_host

step "a PCI device offers vGPUs"
# guest_boot puts a folder of mdevs over this one for user-mode Linux.
umount /sys/bus/pci/devices 2>/dev/null
# QEMU's device for teaching stands for a GPU, and pci-stub for the GPU's driver.
echo 1234 11e8 >/sys/bus/pci/drivers/pci-stub/new_id
gpu=$(basename "$(readlink -f /sys/bus/pci/drivers/pci-stub/0000:*)")
below=$(readlink -f "/sys/bus/pci/devices/$gpu")
load() { insmod /rig/modules/vgpu_host.ko types=A:1G,B:1G,B:2G "$@"; }
refused() { ! load "$@" && ! grep -q '^vgpu_host ' /proc/modules; }
check "a parent that is not an address is refused" refused parent=gpu0
check "so is a pool that has no types" refused pools=C=virtual
check "vgpu_host.ko loads for $gpu" load parent="$gpu" pools=A=virtual+"$gpu",B=virtual || exit 1
PARENT=/sys/class/mdev_bus/$gpu
check "it offers the types of its pool alone, named after its driver" \
	test "$(vgpu_types)" = pci-stub-A-1024M
check "they are below the device" test -d "$below/mdev_supported_types/pci-stub-A-1024M"
check "there is no virtual parent" test ! -e /sys/class/mdev_bus/vgpu
uuid=$(vgpu_create pci-stub-A-1024M)
check "an mdev is below the device, too" test -d "$below/$uuid"

step "what the tools of operators read"
one=/sys/bus/pci/devices/$gpu/mdev_supported_types/pci-stub-A-1024M
is_number() { grep -qx '[0-9]*' "$1"; }
# libvirt: node_device_udev.c, node_device_driver.c
check "libvirt: the parent is a PCI device" test -e "$below/class" -a -e "$below/vendor"
check "libvirt: its types have an API, a name and a number of instances" \
	test "$(cat "$one/device_api"):$(cat "$one/name")" = "vfio-pci:vGPU, pool A, 1024 MiB"
check "libvirt: the instances are a number" is_number "$one/available_instances"
check "libvirt: the mdev names its type" \
	test "$(basename "$(readlink -f "$MDEV/$uuid/mdev_type")")" = pci-stub-A-1024M
# KubeVirt: common.go, GetMdevParentPCIAddr
check "KubeVirt: the folder above the mdev is its parent's address" \
	test "$(basename "$(dirname "$(readlink -f "$MDEV/$uuid")")")" = "$gpu"
# Kernels without NUMA have no nodes.
check "KubeVirt: which has a NUMA node" \
	test -e "/sys/bus/pci/devices/$gpu/numa_node" -o ! -e /sys/devices/system/node
# Nova: driver.py, _get_mediated_device_info; a virtual parent's name has to have no underscore
check "Nova: parents are PCI devices" sh -c \
	'for p in /sys/class/mdev_bus/*; do case ${p##*/} in ????:??:??.?) ;; *) exit 1 ;; esac; done'
# Proxmox: SysFSTools.pm
check "Proxmox: a type has a description" grep -q memory=1024M "$one/description"

step "the device loses its driver, and goes"
echo "$gpu" >/sys/bus/pci/drivers/pci-stub/unbind
check "both stay when the driver leaves" test -d "$below/$uuid" -a -d "$PARENT"
echo "$gpu" >/sys/bus/pci/drivers/pci-stub/bind
check "and when it comes back" test "$(vgpu_types)" = pci-stub-A-1024M
echo 1 >"$below/remove"
check "with the device both go" test ! -e "$MDEV/$uuid" -a ! -e "$PARENT"
echo 1 >/sys/bus/pci/rescan
check "a device that comes back offers vGPUs again" test "$(vgpu_types)" = pci-stub-A-1024M
check "an mdev is created" vgpu_create pci-stub-A-1024M
check "vgpu_host.ko unloads, with the mdev" rmmod vgpu_host
check "and the device has no types any more" test ! -e "$below/mdev_supported_types"
