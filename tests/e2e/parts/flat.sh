# SPDX-License-Identifier: Apache-2.0
# What the host, its mediator and the guests `a` and `b` hold while no program runs, and whether
# that grows.
#
#   nothing_in_use        by programs, neither of the device nor of the host
#   figures NAME          measure, and keep it under a name
#   flat FROM TO KEY [MORE]       has the figure KEY grown by at most MORE (0)? KEY:
#       descriptors       open files of the mediator
#       anonymous         its own memory (RssAnon), KiB
#       users             what holds vgpu_host.ko: mediators, VMs, channels
#       slab              of the host's kernel, KiB
#       slab_a, slab_b    of the guests' kernels, KiB

# Slabs that are partly empty, and what KASAN keeps of freed objects, would hide what is in use.
SHRINK='for cache in /sys/kernel/slab/*; do
		[ -L $cache ] || ! [ -e $cache/shrink ] || echo 1 >$cache/shrink
	done
	echo 3 >/proc/sys/vm/drop_caches'

# A connection of vgpuctl's may not be closed yet, so figures() takes the lowest of some looks.
_descriptors() { set -- "/proc/$(mediator_pid)/fd/"*; echo $#; }
_users() { awk '$1 == "vgpu_host" { print $3 }' /proc/modules; }

# One question for all vGPUs, because each takes a tenth of a second under emulation.
_nothing_in_use() {
	vgpuctl status --json | awk '
		/^      "(memory|pinned|contexts)":/ && !/: *0,?$/ { n++ }
		/^          "pid":/ { n++ }
		/^      "vgpu":/ { vgpus++ }
		END { exit n > 0 || !vgpus }' && [ "$(executors | wc -w)" = 1 ]
}

# Soon no program has anything, and the mediator has but its spare executor.
nothing_in_use() {
	wait_until 20 _nothing_in_use && return
	vgpuctl status
	echo "executors: $(executors)"
	return 1
}

figures() {
	local g
	eval "$SHRINK"
	{
		echo "descriptors $(for g in 1 2 3 4 5; do _descriptors; usleep 100000; done | sort -n | head -n 1)"
		echo "anonymous $(awk '/^RssAnon:/ { print $2 }' "/proc/$(mediator_pid)/status")"
		echo "users $(_users)"
		echo "slab $(awk '/^Slab:/ { print $2 }' /proc/meminfo)"
		for g in a b; do
			echo "slab_$g $(guest_run $g "$SHRINK; awk '/^Slab:/ { print \$2 }' /proc/meminfo")"
		done
	} >"/run/figures.$1"
	echo "$1: $(tr '\n' ' ' <"/run/figures.$1")"
}

_figure() { awk -v key="$2" '$1 == key { print $2 }' "/run/figures.$1"; }

flat() {
	local from to
	from=$(_figure "$1" "$3") to=$(_figure "$2" "$3")
	echo "$3: $from, then $to"
	[ -n "$from" ] && [ -n "$to" ] && [ "$to" -le $((from + ${4:-0})) ]
}
