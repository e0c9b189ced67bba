# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 900
# expect: uapi\[\d+\]: segfault at
# Both character devices as their headers promise them and as a hostile program
# finds them: /dev/vgpu-host with no mediator, then /dev/vgpu0 in guests; races in
# the host's module, and each failure of an allocation or a user copy. The
# segfault is a child's that touches the channel of its parent, and must not have it.
step "/dev/vgpu-host, with one vGPU and no mediator"
host_modules || die "the kernel's vfio and mdev modules load"
# shellcheck disable=SC2086
insmod /rig/modules/vgpu_host.ko $RIG_HOST_PARAMS || die "vgpu_host.ko loads"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
out=$(timeout $((60 * RIG_SLOW * RIG_PATIENCE)) /tests/uapi 2>&1)
status=$?
echo "$out" | grep -E '^\[ +(OK|FAILED) +\]|PASSED|FAILED|rror'
check "host uapi: every test passes" test $status = 0
out=$(timeout $((120 * RIG_SLOW)) /tests/channel 2>&1)
status=$?
echo "$out" | grep -E '^\[ +(OK|FAILED) +\]|PASSED|FAILED|rror|asked'
check "channels from both ends: every test passes" test $status = 0
out=$(timeout $((120 * RIG_SLOW)) /tests/races 2>&1)
status=$?
echo "$out" | grep -E '^\[ +(OK|FAILED) +\]|PASSED|FAILED|rror|rounds'
check "races: every test passes" test $status = 0
out=$(timeout $((300 * RIG_SLOW)) /tests/sweep 2>&1)
status=$?
echo "$out" | grep -E '^\[ +(OK|SKIPPED|FAILED) +\]|FAILED|rror|points'
check "failures injected on the host: every test passes" test $status = 0
vgpu_remove "$uuid"

mediator_start || die "the mediator is up"
for kind in uml qemu; do
	case $RIG_GUESTS in $kind | both) ;; *) continue ;; esac
	step "/dev/vgpu0 in a guest ($kind)"
	uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
	guest_boot $kind $kind "$uuid"
	check "the $kind guest comes up" guest_wait $kind || exit 1
	out=$(guest_run $kind /tests/uapi 200)
	status=$?
	echo "$out" | grep -E '^\[ +(OK|FAILED) +\]|PASSED|FAILED|rror'
	check "guest uapi in $kind: every test passes" test $status = 0
	out=$(guest_run $kind /tests/sweep 400)
	status=$?
	echo "$out" | grep -E '^\[ +(OK|SKIPPED|FAILED) +\]|FAILED|rror|points'
	check "failures injected in $kind: every test passes" test $status = 0
	job=$(guest_start $kind '/tests/register 100')
	check "$kind: programs register memory" wait_until 30 job_says $kind "$job" registering
	check "meanwhile the driver is unbound and bound" guest_run $kind '
		cd /sys/bus/pci/drivers/vgpu_guest
		d=$(echo 0000:*)
		for i in 1 2 3 4 5; do
			sleep 2
			echo $d >unbind && echo $d >bind || exit 1
		done' 200
	out=$(guest_join $kind "$job" 120)
	status=$?
	echo "$out"
	check "register against unbind in $kind: errors of a device that has gone" test $status = 0
	check "its driver still works" guest_run $kind 'rmmod vgpu_guest && insmod /rig/vgpu_guest.ko && test -c /dev/vgpu0'
	check "it has been searched for leaks" guest_leaks $kind
	check "the $kind guest shuts down" guest_stop $kind
	check "no memory of it stays pinned" test "$(vgpu_status "$uuid" pinned)" = 0
	check "its mdev is removed" vgpu_remove "$uuid"
done
check "the mediator stops" mediator_stop
check "vgpu_host.ko unloads" rmmod vgpu_host
