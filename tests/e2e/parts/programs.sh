# SPDX-License-Identifier: Apache-2.0

# Whether an executor was started with this variable (docs/environment.md).
driver_has() {
	local pid
	for pid in $(executors); do
		tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "$1" && return
	done
	return 1
}

# programs GUEST UUID: every CUDA program in a guest; then one with an illegal address
# beside one that computes, which must not notice.
programs() {
	local g=$1 uuid=$2 was calls rang spin round

	step "each program alone"
	check "devinfo" program "$g" devinfo
	check "vectoradd, 1 Mi floats" program "$g" vectoradd 1048576
	check "matmul_tiled: shared memory and barriers" program "$g" matmul_tiled
	check "reduce_atomic: a reduction with atomics" program "$g" reduce_atomic
	check "warp_scan: a scan with shuffles" program "$g" warp_scan
	check "stream_pipeline: two streams, events and their timing" program "$g" stream_pipeline
	check "threads4: launches from four threads" program "$g" threads4
	check "features: recursion, calls, structures, branches, doubles" program "$g" features
	check "hostmem: pinned, managed and registered memory, a polled flag" program "$g" hostmem 5000
	check "ipc: two processes with one piece of device memory" program "$g" ipc 5000
	check "illegal_address: the error, and a poisoned context" program "$g" illegal_address

	step "registered memory is copied by the device alone"
	# What an emulated guest of 128 MiB may pin; `make bench` has a larger one.
	uncopied "$g" "$uuid" 32

	step "10,000 pipelined launches, 1,000 at a time, with the program's start and end"
	# An executor that has nothing to do sleeps, and the next launch rings it awake. Where other work
	# holds the guest up in between, that is often; so one round of five has to be without.
	for round in 1 2 3 4 5; do
		was=$(vgpu_status "$uuid" doorbells) calls=$(vgpu_status "$uuid" calls)
		check "they run" guest_run "$g" '/tests/bench_calls launches 10 1000' 200
		rang=$(($(vgpu_status "$uuid" doorbells) - was))
		calls=$(($(vgpu_status "$uuid" calls) - calls))
		echo "$rang doorbells, $calls calls"
		check "each is a call" test "$calls" -ge 10000
		[ "$rang" -gt 100 ] || break
	done
	# As tests/counts has it over the socket; some 0.5 for 1,000 in an emulated guest.
	check "at most 10 doorbells for each 1,000" test "$rang" -le 100

	step "an illegal address beside a program that computes"
	spin=$(guest_start "$g" 'CUDA_DEVICE_MAX_CONNECTIONS=7 spin')
	wait_until 60 job_says "$g" "$spin" running || die "spin computes"
	check "its executor's driver has its environment" driver_has CUDA_DEVICE_MAX_CONNECTIONS=7
	for round in 1 2 3; do
		check "the fault of round $round is its own program's" program "$g" illegal_address
	done
	check "spin computes meanwhile" guest_run "$g" 'killall -TERM spin'
	check "spin was right to its end" guest_join "$g" "$spin" 120
	check "three faulted processes and spin are counted" test \
		"$(vgpu_status "$uuid" processes_ended)" -ge 14
	check "the faults are counted" test "$(vgpu_status "$uuid" faults)" -ge 4
}
