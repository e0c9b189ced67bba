# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 2400
# kills [ROUNDS [GUEST-ROUNDS]]: SIGKILL of a guest program, of an executor, of
# the mediator and of a guest's VMM in the middle of work. Each time nothing
# hangs, device memory and pinned memory are back at zero, no executor stays
# but the spare one, and a new program works.
n=${1:-20}
guest_n=${2:-$n}
host_modules || die "the kernel's vfio and mdev modules load"
# shellcheck disable=SC2086
insmod /rig/modules/vgpu_host.ko $RIG_HOST_PARAMS || die "vgpu_host.ko loads"
mediator_supervise || die "the mediator is up"
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"

boot() {
	guest_boot g "$RIG_GUEST" "$uuid"
	guest_wait g
}

# A program in the guest, computing; every other round also one that starts.
work() {
	job=$(guest_start g spin)
	other=
	wait_until 60 job_says g "$job" running || { echo "spin does not run"; return 1; }
	[ $(($1 % 2)) = 0 ] && other=$(guest_start g spin)
	usleep $(($(od -An -N2 -tu2 /dev/urandom) * 10))
	[ "$(vgpu_status "$uuid" memory)" -gt 0 ] || { echo "spin holds no memory"; return 1; }
}

_settled() { job_says g "$other" running || [ -e "/run/vm/g/cmd.$other.rc" ] || ! guest_alive g; }

# The one that computed has ended with an error of its own.  One that was only
# starting has done so too, or came late enough to compute undisturbed.
ended_by_error() {
	local status
	guest_join g "$job" 60
	status=$?
	case $status in
	0 | 124 | 125) echo "spin ended with status $status"; return 1 ;;
	esac
	[ -n "$other" ] || return 0
	wait_until 60 _settled || { echo "a program that was starting hangs"; return 1; }
	guest_run g 'killall -9 spin' >/dev/null
	guest_join g "$other" 60
	status=$?
	case $status in
	0 | 124 | 125) echo "the other spin ended with status $status"; return 1 ;;
	esac
}

only_spare() { [ "$(executors | wc -w)" = 1 ]; }

back_to_normal() {
	idle "$uuid" 20 || return 1
	wait_until 20 only_spare || { echo "executors: $(executors)"; return 1; }
}

works_again() { program g vectoradd 4096; }

kill_program() {
	work "$1" || return 1
	guest_run g 'killall -9 spin' || return 1
	ended_by_error && back_to_normal && works_again
}

kill_executor() {
	work "$1" || return 1
	# shellcheck disable=SC2046
	kill -KILL $(executors)
	ended_by_error && back_to_normal && works_again
}

answers_again() { [ "$(mediator_pid)" != "$1" ] && mediator_answers 1 >/dev/null; }

kill_mediator() {
	local old
	work "$1" || return 1
	old=$(mediator_pid)
	kill -KILL "$old"
	ended_by_error || return 1
	wait_until 20 answers_again "$old" || { echo "no new mediator"; return 1; }
	back_to_normal && works_again
}

kill_vmm() {
	work "$1" || return 1
	guest_kill g KILL || { echo "the VMM does not die"; return 1; }
	back_to_normal && boot && works_again
}

boot || die "the guest comes up"
check "a program works before" works_again || exit 1
step "SIGKILL of a guest program"
rounds "$n" "guest program" kill_program
step "SIGKILL of executors"
rounds "$n" "executors" kill_executor
step "SIGKILL of the mediator"
rounds "$n" "mediator" kill_mediator
check "it was started again each time, and did not end otherwise" test "$(cat /run/mediator.ends)" = "$n"
step "SIGKILL of the guest's VMM ($RIG_GUEST)"
rounds "$guest_n" "VMM" kill_vmm

step "everything is put away"
check "the guest shuts down" guest_stop g
check "nothing is in use" back_to_normal
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
