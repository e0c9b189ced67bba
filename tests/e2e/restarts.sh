# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 3000
# restarts [ROUNDS [SEED]]: the mediator ends by SIGTERM and by SIGKILL, in turn, while programs
# begin, compute and end in two guests, and while a setting is being stored. Each time another
# mediator is started. Programs lose their device and are told so by each call from then on; a new
# program is right in each guest; nothing of the old mediator is left.
LANES_SPIN=4
. /rig/parts/lanes.sh
. /rig/parts/flat.sh
n=${1:-50}
seed=${2:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
HOST_KIB=4096
MEDIATOR_KIB=256
GUEST_KIB=1024

host_modules || die "the kernel's vfio and mdev modules load"
# shellcheck disable=SC2086
insmod /rig/modules/vgpu_host.ko $RIG_HOST_PARAMS || die "vgpu_host.ko loads"
mkdir -p /var/lib/vgpu
mediator_supervise || die "the mediator is up"
type_a=$(vgpu_types | sed -n 1p)
type_b=$(vgpu_types | grep -v "^${type_a%-*}-" | head -n1)
a=$(vgpu_create "$type_a") || die "an mdev of $type_a is created"
b=$(vgpu_create "$type_b") || die "an mdev of $type_b is created"
guest_boot a "$RIG_GUEST" "$a"
guest_boot b "$RIG_GUEST" "$b"
check "guest a comes up" guest_wait a || exit 1
check "guest b comes up" guest_wait b || exit 1

new_programs() { program a vectoradd 4096 && program b vectoradd 4096; }

answers_again() { [ "$(mediator_pid)" != "$1" ] && mediator_answers 1 >/dev/null; }

# lost GUEST JOB: what docs/operations.md says of a program that has its device.
lost() {
	local out status
	out=$(guest_join "$1" "$2" 60)
	status=$?
	printf '%s\n' "$out"
	guest_forget "$1" "$2"
	[ $status = 1 ] && printf '%s\n' "$out" | grep -q \
		'gave 46 (CUDA_ERROR_DEVICE_UNAVAILABLE), and so did the calls after it$'
}

none_of() {
	local pid
	for pid in $1; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != vgpu-executor ] || _gone "$pid" || return 1
	done
}

_as_first() {
	[ "$(_descriptors)" = "$(_figure first descriptors)" ] &&
		[ "$(_users)" = "$(_figure first users)" ]
}

nothing_left() {
	nothing_in_use || return
	[ ! -e /run/figures.first ] || wait_until 20 _as_first || {
		figures now
		cat /run/figures.first
		ls -l "/proc/$(mediator_pid)/fd"
		return 1
	}
}

# The value that was being stored when the mediator ended is there if vgpuctl had said so.
# Otherwise it may be, or the one before is.
setting() { vgpuctl show "$a" | awk '$1 == "weight" { print $2 }'; }
setting_right() {
	local now
	now=$(setting)
	echo "vgpuctl set weight=$1 ended with status $3; before it was $2, now it is $now"
	[ "$now" = "$1" ] || { [ "$3" != 0 ] && [ "$now" = "$2" ]; }
}

restart() {
	local old pids on_a on_b signal was set_pid status=0
	on_a=$(guest_start a spin)
	on_b=$(guest_start b spin)
	lanes_resume a b
	wait_until 60 job_says a "$on_a" running && wait_until 60 job_says b "$on_b" running ||
		{ echo "spin does not run"; return 1; }
	signal=KILL
	[ $(($1 % 2)) = 0 ] || signal=TERM
	was=$(setting)
	old=$(mediator_pid) pids=$(executors)
	random 3000
	usleep $((picked * 1000))
	fault_begin mediator all
	vgpuctl set "$a" weight=$(($1 + 100)) >/dev/null 2>&1 &
	set_pid=$!
	random 16
	usleep $((picked * 25000))
	kill -$signal "$old"
	wait $set_pid || status=$?
	lost a "$on_a" && lost b "$on_b" || { echo "spin was not told that its device has gone"; return 1; }
	wait_until 30 answers_again "$old" || { echo "no new mediator"; return 1; }
	fault_end
	wait_until 20 none_of "$pids" || { echo "executors of the old mediator: $(executors)"; return 1; }
	new_programs || { echo "a new program is not right"; return 1; }
	setting_right $(($1 + 100)) "$was" $status || return
	lanes_quiet a b && lanes_fine && nothing_left || return
	echo "$signal $status" >>/run/restarts
}

step "seed $seed"
lanes_begin "$seed"
check "a program is right in each guest before" new_programs || exit 1
check "and nothing is in use" nothing_left || exit 1
lanes_start a 1
lanes_start b 1
check "the first programs of a lane in each guest end" lanes_quiet a b || exit 1
: >/run/restarts
# What is made once and kept is made in the first rounds.
warm=$(((n + 9) / 10))
rounds $warm "the mediator is started again under load" restart || exit 1
lanes_row
figures first
rounds $((n - warm)) "and again" restart || exit 1
check "the lanes end" lanes_end || exit 1
check "their programs were right, or ended by an error that fits" lanes_fine
lanes_row
check "each lane has had right programs" ran_right $(((n + 4) / 5))

step "what they leave behind"
figures end
terms=$(grep -c TERM /run/restarts)
echo "$n restarts, $terms by SIGTERM; $(grep -c ' 0$' /run/restarts) settings were confirmed"
check "the mediator ended $n times, $terms of them in order" test \
	"$(cat /run/mediator.ends):$(grep -c '^mediator ended with status 0$' /run/mediator.log)" = "$n:$terms"
check "some settings were confirmed" grep -q ' 0$' /run/restarts
events() { [ "$(vgpuctl events --json | grep -c "\"event\":\"$1\"")" = "$2" ]; }
check "the history has $((n + 1)) starts" wait_until 20 events start $((n + 1))
check "and $terms stops" events stop "$terms"
check "a setting is stored" vgpuctl set "$a" weight=default
check "no file of an interrupted one is left" test ! -e /var/lib/vgpu/state.json.new
check "as many files are open, and as many hold vgpu_host.ko" nothing_left
check "the mediator's memory has not grown by more than $MEDIATOR_KIB KiB" \
	flat first end anonymous $MEDIATOR_KIB
check "the host's slab has not grown by more than $HOST_KIB KiB" flat first end slab $HOST_KIB
for g in a b; do
	check "guest $g's slab has not grown by more than $GUEST_KIB KiB" flat first end slab_$g $GUEST_KIB
	check "guest $g has been searched for leaks" guest_leaks $g
	check "guest $g shuts down" guest_stop $g
done
check "mdev a is removed" vgpu_remove "$a"
check "mdev b is removed" vgpu_remove "$b"
check "the host lets go" host_down
