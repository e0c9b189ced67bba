# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 900
# What calls cost in a guest, and what they cost the machine: traps and
# interrupts for each 1,000 pipelined launches.  Figures are lines
# "bench NAME VALUE"; tests/bench/run reads them.
host_up
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
# So much that 64 MiB may be registered.
more=mem=256M
[ "$RIG_GUEST" = uml ] || more=
# shellcheck disable=SC2086
guest_boot g "$RIG_GUEST" "$uuid" $more
check "the guest comes up" guest_wait g || exit 1

# counted NAME PER COMMAND: what the command adds to a counter, for each PER
counters="traps doorbells interrupts calls"
counted() {
	local name=$1 per=$2 c
	shift 2
	for c in $counters; do eval "before_$c=$(vgpu_status "$uuid" "$c")"; done
	check "$name runs" guest_run g "$*" 300 || return 1
	for c in $counters; do
		eval "local was=\$before_$c"
		echo "bench $name.$c $(($(vgpu_status "$uuid" "$c") - was)) per $per"
	done
}

step "the channel alone"
guest_run g '/tests/bench_ring 3 300' 300 | sed 's/^/bench ring./'
step "calls"
guest_run g '/tests/bench_calls 3 300' 300 | sed 's/^/bench calls./'

step "10,000 pipelined launches, 1,000 at a time"
# The same program with fewer rounds has the same start and end, which are subtracted.
counted start 1000 /tests/bench_calls launches 1 1000
counted pipelined 11000 /tests/bench_calls launches 11 1000
step "64 MiB of registered memory"
uncopied g "$uuid" 64
check "the guest shuts down" guest_stop g
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
