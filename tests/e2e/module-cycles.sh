# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 1500
# module-cycles [ROUNDS [BUSY-ROUNDS]]: modules loaded and unloaded, mdevs
# created and removed, over and over, at rest and with a program in flight.
n=${1:-100}
busy=${2:-10}
host_modules || die "the kernel's vfio and mdev modules load"
type=$(
	insmod /rig/modules/vgpu_host.ko
	vgpu_types | head -n1
	rmmod vgpu_host
)
[ -n "$type" ] || die "vgpu_host.ko offers a type"

refused() { ! "$@"; }

host_cycle() {
	insmod /rig/modules/vgpu_host.ko || return 1
	# every third with an mdev that is still there
	[ $(($1 % 3)) -gt 0 ] || vgpu_create "$type" || return 1
	rmmod vgpu_host
}
step "at rest"
rounds "$n" "vgpu_host.ko loads and unloads" host_cycle

insmod /rig/modules/vgpu_host.ko || die "vgpu_host.ko loads"
mediator_start || die "the mediator is up"
mdev_cycle() {
	local u
	u=$(vgpu_create "$type") || return 1
	vgpu_remove "$u" && [ ! -e "$MDEV/$u" ]
}
rounds "$n" "an mdev is created and removed" mdev_cycle
uuid=$(vgpu_create "$type") || die "an mdev is created"
guest_boot g "$RIG_GUEST" "$uuid"
check "the guest comes up" guest_wait g || exit 1
check "vgpu_guest.ko loads and unloads ($n rounds)" guest_run g "
	for i in \$(seq $n); do
		rmmod vgpu_guest && [ ! -e /dev/vgpu0 ] && insmod /rig/vgpu_guest.ko &&
			[ -c /dev/vgpu0 ] || { echo round \$i; exit 1; }
	done" 600
check "a program works after that" program g vectoradd 4096

step "with a program in flight"
spin_start() {
	spin=$(guest_start g spin)
	wait_until 60 job_says g "$spin" running
}
spin_start || die "spin computes"
busy_cycle() {
	refused rmmod vgpu_host && mdev_cycle
}
rounds "$n" "vgpu_host.ko does not unload, other mdevs come and go" busy_cycle
check "vgpu_guest.ko does not unload ($busy rounds)" guest_run g "
	for i in \$(seq $busy); do ! rmmod vgpu_guest || exit 1; done" 600
check "spin still computes" refused test -e "/run/vm/g/cmd.$spin.rc"
guest_run g 'killall -9 spin'
guest_join g "$spin" >/dev/null

unbind='cd /sys/bus/pci/drivers/vgpu_guest; for d in 0000:*; do echo $d >unbind; done'
unbind_cycle() {
	local status
	spin_start || { echo "spin does not compute"; return 1; }
	guest_run g "$unbind" 60 || { echo "unbind failed"; return 1; }
	guest_join g "$spin" 60
	status=$?
	case $status in 0 | 124 | 125) echo "spin ended with status $status"; return 1 ;; esac
	guest_run g 'rmmod vgpu_guest && insmod /rig/vgpu_guest.ko && test -c /dev/vgpu0' || return 1
	idle "$uuid" && program g vectoradd 4096
}
rounds "$busy" "the guest's driver is unbound: an error, and no hang" unbind_cycle
check "the guest has been searched for leaks" guest_leaks g

step "the mdev of a running guest is removed"
spin_start || die "spin computes"
vgpu_remove "$uuid" &
removal=$!
sleep 2
guest_kill g KILL
check "the removal ends with the guest" wait_until 20 _gone $removal
check "the mdev has gone" test ! -e "$MDEV/$uuid"
check "the host lets go" host_down
