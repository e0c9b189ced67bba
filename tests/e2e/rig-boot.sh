# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 400
# modules: none
# The rig itself, without a device: both machines boot, the agent runs commands
# and carries output and status, time limits hold, and a killed guest is noticed.
step "vfio and mdev load in the host"
check "the kernel's modules load" host_modules
check "mdev is there" test -d /sys/bus/mdev

step "a guest boots"
guest_boot g "$RIG_GUEST" none
check "the agent answers" guest_wait g || exit 1
guest_run g 'uname -r; grep -c ^processor /proc/cpuinfo; lspci'

step "the agent"
out=$(guest_run g 'echo one; echo "two  spaces"; echo three >&2; exit 7')
status=$?
check "carries the status" test $status = 7
check "carries every line" test "$out" = "one
two  spaces
three"
job=$(guest_start g 'sleep 3; echo late')
out=$(guest_run g 'echo early')
check "runs commands side by side" test "$out" = early
check "joins a job" test "$(guest_join g "$job")" = late
guest_run g 'sleep 100' 1
check "ends a wait in time" test $? = 124

if [ -n "$RIG_DISK" ]; then
	step "the disk, on which the rig has put docs/"
	check "is mounted in the guest" guest_mount g /disk
	check "and whole" test "$(guest_run g 'cd /disk && cat *.md | md5sum')" = "$RIG_ARGS  -"
fi

step "the guest ends"
check "cleanly" guest_stop g
guest_run g 'true' 5
check "a command in a guest that is gone fails" test $? = 125
