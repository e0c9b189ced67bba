# SPDX-License-Identifier: Apache-2.0
# /dev/vgpu-host, with one vGPU and no mediator.
#
#   host_device   as its header promises it and as a hostile program finds it, and each
#                 failure of an allocation or a user copy
#   host_races    what may come at the same time; to be run last, because lockdep, where
#                 the kernel has it, stops at VFIO's own inversion (tools/vm/rig/dmesg.py)
host_device() {
	_host_tests "host uapi" 60 /tests/uapi
	_host_tests "channels from both ends" 120 /tests/channel
	_host_tests "failures injected on the host" 300 /tests/sweep
}

host_races() {
	_host_tests "races" 120 /tests/races
}

# _host_tests TEXT SECONDS PROGRAM, where the seconds are for an idle machine.
_host_tests() {
	local out status
	out=$(timeout $(($2 * RIG_SLOW * RIG_PATIENCE)) "$3" 2>&1)
	status=$?
	echo "$out" | grep -E '^\[ +(OK|SKIPPED|FAILED) +\]|PASSED|FAILED|rror|asked|rounds|points'
	check "$1: every test passes" test $status = 0
}
