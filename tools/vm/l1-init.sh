#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The host VM's init: mount, run the scenario with its output on the second
# serial line, end the machine.  The first line is the kernel's alone, so that
# it can be searched for trouble; the third carries the guests' consoles.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/shm /dev/pts /run/vm /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
ip link set lo up 2>/dev/null
# under emulation the machine boots on one CPU (tools/vm/run says why)
for cpu in /sys/devices/system/cpu/cpu*/online; do
	[ "$(cat "$cpu")" = 1 ] || echo 1 >"$cpu"
done
for port in 1 2 3; do stty -F /dev/ttyS$port raw -echo; done
exec </dev/null >/dev/ttyS1 2>&1
. /rig/env
. /rig/l1-lib.sh
_rig_begin
# shellcheck disable=SC2086 # the arguments are one word each by construction
(. /rig/scenario.sh $RIG_ARGS)
_rig_end $?
