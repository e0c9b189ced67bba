# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 1500
# The guest's device goes away and comes back under a program that computes: the
# bus of the device is reset, the driver is unbound and bound again, the guest
# sleeps (suspend to idle, woken up by its clock) and goes on. Each time the program
# gets an error and does not hang, the host lets go of all memory, and a new program
# works.
host_up || die "the host is up"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"

# Behind a bridge, because only a bus of its own can be reset.
guest_boot g qemu none -device pci-bridge,chassis_nr=1,id=bridge \
	-device "vfio-pci,sysfsdev=$MDEV/$uuid,bus=bridge,addr=1"
check "the guest comes up" guest_wait g || exit 1
check "a program works" program g vectoradd 4096 || exit 1
device=$(guest_run g 'ls -d /sys/bus/pci/drivers/vgpu_guest/0000:* | sed "s,.*/,,"')

# Not by check, which runs what it is given in a shell of its own: spin is set here.
spin_start() {
	spin=$(guest_start g spin)
	wait_until 60 job_says g "$spin" running || { echo "spin does not compute"; return 1; }
}

spin_failed() {
	local status
	guest_join g "$spin" 120
	status=$?
	case $status in 0 | 124 | 125) echo "spin ended with status $status"; return 1 ;; esac
}

works() { check "$1: a new program works" program g vectoradd 4096; }

fails() {
	check "$1: the program gets an error" spin_failed
	check "$1: the host has let go of everything" idle "$uuid" 20
}

step "a reset of the bus"
check "the device can be reset" guest_run g "cat /sys/bus/pci/devices/$device/reset_method"
spin_start || die "spin computes"
check "the reset succeeds" guest_run g "echo 1 >/sys/bus/pci/devices/$device/reset" 60
fails "after a reset"
works "after a reset"

step "unbind"
spin_start || die "spin computes"
check "the driver is unbound" guest_run g "echo $device >/sys/bus/pci/drivers/vgpu_guest/unbind" 60
fails "after an unbind"
check "the driver is bound again" guest_run g "echo $device >/sys/bus/pci/drivers/vgpu_guest/bind" 60
works "after that"

step "suspend"
guest_run g 'echo N >/sys/module/printk/parameters/console_suspend'
spin_start || die "spin computes"
check "the guest sleeps, and its clock wakes it up" guest_run g \
	'echo +60 >/sys/class/rtc/rtc0/wakealarm && echo freeze >/sys/power/state' 120
check "it slept" grep -q "PM: suspend exit" /run/vm/g/console.log
fails "after a suspend"
works "after a suspend"

step "everything is put away"
check "the guest shuts down" guest_stop g
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
