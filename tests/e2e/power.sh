# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 2000
# The guest's device goes away and comes back under a program that computes: the
# bus of the device is reset, the driver is unbound and bound again, the guest is
# suspended to RAM (when QEMU wakes it up it resets all devices) and to idle (which
# leaves the devices alone). Each time the program gets an error and does not hang, the
# host lets go of all memory, also while the guest sleeps, and a new program works.
# No clock decides when the guest wakes up, since it may take long to fall asleep.
host_up || die "the host is up"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"

# Behind a bridge, because only a bus of its own can be reset.
guest_boot g qemu-s3 none -device pci-bridge,chassis_nr=1,id=bridge \
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

step "suspend to RAM"
# If it hangs, the console tells where.
guest_run g 'echo N >/sys/module/printk/parameters/console_suspend'
spin_start || die "spin computes"
job=$(guest_start g 'echo deep >/sys/power/mem_sleep && echo mem >/sys/power/state')
asleep() { monitor_says g '"SUSPEND"'; }
check "the guest falls asleep" wait_until 120 asleep || { guest_join g "$job" 1; exit 1; }
check "meanwhile the host has let go of everything" idle "$uuid" 20
guest_monitor g system_wakeup
check "it wakes up from S3" guest_join g "$job" 120
check "that was S3, in which QEMU resets the device" monitor_says g '"WAKEUP"'
fails "after a suspend to RAM"
works "after a suspend to RAM"

step "suspend to idle"
spin_start || die "spin computes"
frozen() { [ "$(grep -c "Freezing remaining freezable tasks completed" "$VM/g/console.log")" = "$1" ]; }
# Any interrupt of the agent's line is to wake the guest.
job=$(guest_start g \
	'echo enabled >/sys/class/tty/ttyS1/power/wakeup && echo freeze >/sys/power/state')
check "the guest falls asleep" wait_until 120 frozen 2 || { guest_join g "$job" 1; exit 1; }
check "meanwhile the host has let go of everything" idle "$uuid" 20
# The line is heard only once all devices sleep, so more than one word may be needed.
ended() { [ -e "$VM/g/cmd.$job.rc" ]; }
word() { guest_start g true && wait_until 10 ended; }
check "a word from outside wakes it up" wait_until 120 word
check "it has slept" guest_join g "$job"
fails "after a suspend to idle"
works "after a suspend to idle"

step "everything is put away"
check "the guest shuts down" guest_stop g
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
