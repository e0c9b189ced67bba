#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest's init, which becomes its agent.
export PATH=/programs:/tests:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
export LD_LIBRARY_PATH=/usr/lib/vgpu
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/shm /tmp /run
mount -t tmpfs tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
echo 8 >/proc/sys/kernel/printk
# the scan of every ten minutes is long under emulation; guest_leaks() asks for one
[ -e /sys/kernel/debug/kmemleak ] && echo scan=off >/sys/kernel/debug/kmemleak
[ -e /rig/vgpu_guest.ko ] && insmod /rig/vgpu_guest.ko
. /rig/agent.sh
