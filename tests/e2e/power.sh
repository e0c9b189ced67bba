# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 1500
# The guest's device goes away and comes back under a program that computes: the
# guest sleeps (suspend to RAM) and is woken up, the bus of the device is reset,
# the driver is unbound and bound again. Each time the program gets an error and
# does not hang, the host lets go of all memory, and a new program works.
host_up || die "the host is up"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"

# Behind a bridge, because only a bus of its own can be reset. QEMU's monitor is
# on two pipes, which stay open so that QEMU finds both ends.
mkfifo /run/monitor.in /run/monitor.out
cat /run/monitor.out >/run/monitor.log &
exec 5<>/run/monitor.in
guest_boot g qemu none \
	-device pci-bridge,chassis_nr=1,id=bridge \
	-device "vfio-pci,sysfsdev=$MDEV/$uuid,bus=bridge,addr=1" \
	-chardev pipe,id=monitor,path=/run/monitor -mon chardev=monitor,mode=readline
check "the guest comes up" guest_wait g || exit 1
check "a program works" program g vectoradd 4096 || exit 1

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

after() {
	check "$1: the program gets an error" spin_failed
	check "$1: the host has let go of everything" idle "$uuid" 20
	check "$1: a new program works" program g vectoradd 4096
}

# The monitor takes the command only while the guest sleeps, so it is given until
# the guest answers.
woken_up() {
	echo system_wakeup >&5
	[ -e "/run/vm/g/cmd.$sleep.rc" ]
}

step "suspend to RAM"
check "a program computes" spin_start
sleep=$(guest_start g 'echo mem >/sys/power/state')
sleep 5
check "the guest sleeps" grep -q "PM: suspend entry" /run/vm/g/console.log
check "the guest wakes up" wait_until 120 woken_up
check "it slept as it should" guest_join g "$sleep" 60
check "the whole way" grep -q "PM: suspend exit" /run/vm/g/console.log
after "after a suspend"

step "a reset of the bus"
device=$(guest_run g 'ls -d /sys/bus/pci/drivers/vgpu_guest/0000:* | sed "s,.*/,,"')
check "the device can be reset" guest_run g "cat /sys/bus/pci/devices/$device/reset_method"
check "a program computes" spin_start
check "the reset succeeds" guest_run g "echo 1 >/sys/bus/pci/devices/$device/reset" 60
after "after a reset"

step "unbind"
check "a program computes" spin_start
check "the driver is unbound" guest_run g "echo $device >/sys/bus/pci/drivers/vgpu_guest/unbind" 60
check "after an unbind: the program gets an error" spin_failed
check "after an unbind: the host has let go of everything" idle "$uuid" 20
check "the driver is bound again" guest_run g "echo $device >/sys/bus/pci/drivers/vgpu_guest/bind" 60
check "after that a new program works" program g vectoradd 4096

step "everything is put away"
check "the guest shuts down" guest_stop g
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
