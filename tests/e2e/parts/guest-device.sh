# SPDX-License-Identifier: Apache-2.0
# guest_device GUEST: /dev/vgpu0 as its header promises it and as a hostile program finds
# it, each failure of an allocation or a user copy, and the driver unbound under programs.
# A child that touches the channel of its parent, and must not have it, dies of that.
guest_device() {
	local out status job
	out=$(guest_run "$1" /tests/uapi 200)
	status=$?
	echo "$out" | grep -E '^\[ +(OK|FAILED) +\]|PASSED|FAILED|rror'
	check "guest uapi in $1: every test passes" test $status = 0
	out=$(guest_run "$1" /tests/sweep 400)
	status=$?
	echo "$out" | grep -E '^\[ +(OK|SKIPPED|FAILED) +\]|FAILED|rror|points'
	check "failures injected in $1: every test passes" test $status = 0
	job=$(guest_start "$1" '/tests/register 1500')
	check "$1: programs register memory" wait_until 30 job_says "$1" "$job" registering
	check "meanwhile the driver is unbound and bound" guest_run "$1" '
		cd /sys/bus/pci/drivers/vgpu_guest
		d=$(echo 0000:*)
		while pidof register >/dev/null; do
			sleep 2
			echo $d >unbind && echo $d >bind || exit 1
		done' 1600
	out=$(guest_join "$1" "$job" 120)
	status=$?
	echo "$out"
	check "register against unbind in $1: errors of a device that has gone" test $status = 0
	check "its driver still works" guest_run "$1" 'rmmod vgpu_guest && insmod /rig/vgpu_guest.ko && test -c /dev/vgpu0'
	check "it has been searched for leaks" guest_leaks "$1"
}
