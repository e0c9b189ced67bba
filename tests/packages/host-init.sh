#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of the host VM until systemd takes its place: what the rig's own init does
# (tools/vm/l1-init.sh), and no more.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
# under emulation the machine boots on one CPU (tools/vm/run says why)
for cpu in /sys/devices/system/cpu/cpu*/online; do
	[ "$(cat "$cpu")" = 1 ] || echo 1 >"$cpu"
done
for port in 1 2 3; do stty -F /dev/ttyS$port raw -echo; done
exec /lib/systemd/systemd
