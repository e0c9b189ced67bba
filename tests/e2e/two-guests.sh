# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 900
# Two guests at once, in two pools, and two programs in each at the same time.
host_up
type_a=$(vgpu_types | sed -n 1p)
type_b=$(vgpu_types | grep -v "^${type_a%-*}-" | head -n1)
[ -n "$type_b" ] || die "there are types of two pools"
a=$(vgpu_create "$type_a") || die "an mdev of $type_a is created"
b=$(vgpu_create "$type_b") || die "an mdev of $type_b is created"
case $RIG_GUESTS in both) kind_a=qemu kind_b=uml ;; *) kind_a=$RIG_GUEST kind_b=$RIG_GUEST ;; esac
guest_boot a $kind_a "$a"
guest_boot b $kind_b "$b"
check "guest a ($kind_a, $type_a) comes up" guest_wait a || exit 1
check "guest b ($kind_b, $type_b) comes up" guest_wait b || exit 1

for round in 1 2 3; do
	step "round $round: two programs in each guest"
	a1=$(guest_start a 'matmul_tiled 64')
	b1=$(guest_start b 'reduce_atomic 65536')
	a2=$(guest_start a 'vectoradd 262144')
	b2=$(guest_start b 'vectoradd 262144')
	check "a: matmul_tiled" guest_join a "$a1" 200
	check "a: vectoradd" guest_join a "$a2" 200
	check "b: reduce_atomic" guest_join b "$b1" 200
	check "b: vectoradd" guest_join b "$b2" 200
done

step "each sees its own processes and memory"
# in_use GUEST PROCESSES: what NVML in the guest says.
in_use() {
	local said
	said=$(program "$1" processes) || return 1
	printf '%s\n' "$said"
	printf '%s\n' "$said" | grep -q "^PASS processes: $2 with a context"
}
# Once they compute they are stopped: they keep their memory, and leave the processors
# to the programs that look.
spins=
for g in a a b; do
	s=$(guest_start $g spin)
	spins="$spins $g:$s"
	wait_until 60 job_says $g "$s" running || die "spin computes in guest $g"
	guest_run $g 'killall -STOP spin' >/dev/null
done
check "two in guest a" in_use a 2
check "one in guest b" in_use b 1
guest_run a 'killall -9 spin' >/dev/null
check "none in guest a once they are killed" wait_until 20 in_use a 0
check "still one in guest b" in_use b 1
guest_run b 'killall -9 spin' >/dev/null
for s in $spins; do guest_join "${s%:*}" "${s#*:}" >/dev/null; done

step "each under its own pool"
vgpuctl status
# In a, `processes` may have had to be asked again.
check "a: ten programs" test "$(vgpu_status "$a" processes_ended)" -ge 10
check "b: nine programs" test "$(vgpu_status "$b" processes_ended)" = 9
for g in "$a" "$b"; do
	check "$g: nothing in use" idle "$g"
done
pool_a=$(vgpu_status "$a" pool) pool_b=$(vgpu_status "$b" pool)
check "pools $pool_a and $pool_b" test "$pool_a" != "$pool_b"
check "guest a shuts down" guest_stop a
check "guest b shuts down" guest_stop b
check "mdev a is removed" vgpu_remove "$a"
check "mdev b is removed" vgpu_remove "$b"
check "the host lets go" host_down
