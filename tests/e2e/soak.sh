# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 2700
# soak [SECONDS [SEED]]: two guests with four programs each all the time, and one fault after
# another: programs and executors killed, the mediator started again, launches without an end,
# programs that stop, limits set and taken back, quarantine, the guest's module loaded anew. Each
# program is right, or ends by an error that such a fault explains. Now and then the programs
# pause; then nothing is in use, a new program is right in each guest, and what the host and
# the guests hold has not grown.
. /rig/parts/lanes.sh
. /rig/parts/flat.sh
seconds=${1:-240}
seed=${2:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
lanes=4
MEDIATOR_KIB=512
HOST_KIB=4096
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

# --- faults, each of which ends before the next begins ---

# A guest, and its vGPU.
pick_guest() {
	random 2
	if [ $picked = 0 ]; then g=a uuid=$a; else g=b uuid=$b; fi
}

pause_some() { random "$1"; usleep $(((picked + 1) * 1000000)); }

# signal_one SIGNAL: to a program of a lane in $g; prints its pid. A lane has no program for most of the
# time, so the guest looks again until there is one. The shell itself looks, because pidof takes
# seconds for each name beside four programs.
signal_one() {
	random 1000
	guest_run $g "n=0
		while [ \$n -lt 5000 ]; do
			n=\$((n + 1))
			set --
			for p in /proc/[0-9]*; do
				read -r name <\$p/comm || continue
				case \$name in
				spin | vectoradd | matmul_tiled | reduce_atomic | warp_scan | threads4 | features | hostmem)
					set -- \"\$@\" \${p#/proc/} ;;
				esac
			done 2>/dev/null
			[ \$# -gt 0 ] || continue
			shift \$(($picked % \$#))
			kill -$1 \$1 2>/dev/null && echo \$1 && exit
		done
		echo 'no program of a lane ran'
		exit 1" 300
}

fault_kill() {
	fault_begin kill $g
	signal_one KILL || return
	fault_end
}

# Whoever computes beside it is not to notice.
fault_stop() {
	local pid
	fault_begin stop $g
	pid=$(signal_one STOP) || { echo "$pid"; return 1; }
	echo "$pid"
	pause_some 5
	guest_run $g "kill -CONT $pid 2>/dev/null; true"
	fault_end
}

spare_again() { mediator_answers 1 >/dev/null; }

# Of executors that serve a program; a spare's end would cost nobody anything.
serving() { vgpuctl status --json | sed -n 's/.*"executor":\([0-9]*\).*/\1/p'; }

kill_serving() {
	# shellcheck disable=SC2046
	set -- $(serving)
	[ $# -gt 0 ] || return
	random 1000
	shift $((picked % $#))
	kill -KILL "$1" 2>/dev/null && executor=$1
}

fault_executor() {
	local executor=
	fault_begin executor all
	wait_until 60 kill_serving || { echo "no executor served a program"; return 1; }
	echo "$executor"
	wait_until 20 _gone "$executor" || return
	wait_until 30 spare_again || { echo "no new spare executor"; return 1; }
	fault_end
}

answers_again() { [ "$(mediator_pid)" != "$1" ] && mediator_answers 1 >/dev/null; }

fault_mediator() {
	local old
	old=$(mediator_pid)
	random 2
	fault_begin mediator all
	kill -$([ $picked = 0 ] && echo TERM || echo KILL) "$old"
	wait_until 30 answers_again "$old" || { echo "no new mediator"; return 1; }
	fault_end
}

fault_memory() {
	fault_begin memory $g
	vgpuctl set $uuid memory=1M || return
	pause_some 5
	vgpuctl unset $uuid memory || return
	fault_end
}

fault_starts() {
	fault_begin starts $g
	vgpuctl set $uuid programs=2 || return
	pause_some 5
	vgpuctl unset $uuid programs || return
	fault_end
}

fault_rates() {
	fault_begin rates $g
	vgpuctl set $uuid calls=500 calls_burst=100 bytes=1M starts=1 || return
	pause_some 6
	vgpuctl unset $uuid calls calls_burst bytes starts || return
	fault_end
}

# The limit counts for the launches of others, too, which are short but share the machine.
fault_kernel() {
	local job status
	fault_begin kernel $g
	vgpuctl set $uuid kernel_seconds=2 || return
	job=$(guest_start $g forever)
	guest_join $g "$job" 200
	status=$?
	guest_forget $g "$job"
	vgpuctl unset $uuid kernel_seconds || return
	fault_end
	return $status
}

in_quarantine() { vgpuctl status | grep -q "QUARANTINE: $uuid"; }

# Perhaps a program of a lane is quicker, and this one is refused already.
fault_quarantine() {
	fault_begin starts $g
	vgpuctl set $uuid faults=1 || return
	guest_run $g illegal_address
	wait_until 20 in_quarantine || { echo "no quarantine after a fault"; return 1; }
	pause_some 3
	vgpuctl unset $uuid faults && vgpuctl release $uuid || return
	fault_end
}

fault_module() {
	fault_begin module $g
	lanes_quiet $g || return
	guest_run $g 'rmmod vgpu_guest && [ ! -e /dev/vgpu0 ] && insmod /rig/vgpu_guest.ko &&
		[ -c /dev/vgpu0 ]' || { echo "vgpu_guest.ko is not loaded anew"; return 1; }
	lanes_resume $g
	fault_end
}

KINDS="kill stop executor memory starts rates kernel quarantine module mediator"

# All of them once, in this order; then as it comes. In the second half the mediator
# stays, so that one of them serves long enough to show whether it grows.
one_fault() {
	local kinds=$KINDS kind
	pick_guest
	if [ $faults -lt "$(echo "$KINDS" | wc -w)" ]; then
		kind=$(echo "$KINDS" | cut -d ' ' -f $((faults + 1)))
	else
		[ "$(_now)" -lt $half ] || kinds=${KINDS% mediator}
		random "$(echo "$kinds" | wc -w)"
		kind=$(echo "$kinds" | cut -d ' ' -f $((picked + 1)))
	fi
	faults=$((faults + 1))
	echo $kind >>/run/faults
	if ! fault_$kind >/run/fault.out 2>&1; then
		not_ok "fault $faults: $kind in guest $g"
		sed 's/^/# /' /run/fault.out
		return 1
	fi
	echo "$((($(_now) - began) / 100)) s: $kind, guest $g $(head -n 1 /run/fault.out)"
}

# --- in between, everything pauses ---

quiet() {
	lanes_quiet a b && lanes_fine && nothing_in_use || return
	program a vectoradd 4096 && program b vectoradd 4096 && nothing_in_use || return
	lanes_fine
}

# pause NAME: then measure, and go on.
pause() {
	check "after $((($(_now) - began) / 100)) s and $faults faults: nothing is in use, and a new \
program is right in each guest" quiet || return
	lanes_row
	figures "$1"
	lanes_resume a b
}

# --- the soak ---

step "seed $seed: $lanes programs in each guest for $seconds s"
lanes_begin "$seed"
check "a program is right in each guest before" eval \
	'program a vectoradd 4096 && program b vectoradd 4096' || exit 1
lanes_start a $lanes
lanes_start b $lanes
: >/run/faults
began=$(_now) faults=0
half=$((began + seconds * 50)) end=$((began + seconds * 100))
# Minute 2, and then every 2 minutes; a short soak is divided by four.
every=$((seconds < 480 ? seconds * 25 : 12000))
next=$((began + every)) name=first
# A machine that is slow soaks for longer: each kind of fault has its turn.
until [ "$(_now)" -ge $end ] && [ $faults -ge "$(echo "$KINDS" | wc -w)" ] && [ $name = later ]; do
	random 40
	usleep $(((picked + 5) * 100000))
	one_fault || exit 1
	[ ! -s $LANES/wrong ] || break
	[ "$(_now)" -ge $next ] || continue
	[ $name = first ] || [ "$(_now)" -lt $half ] || [ -e /run/figures.half ] || name=half
	pause $name || exit 1
	case $name in first) name=between ;; half) name=later ;; esac
	next=$(($(_now) + every))
done
check "each program was right, or ended by an error that fits" lanes_fine || exit 1
check "the last programs end" lanes_end || exit 1
check "they fit, too" lanes_fine
check "nothing is in use, and a new program is right in each guest" quiet || exit 1
lanes_row
sort /run/faults | uniq -c | awk '{ printf "%s%s %s", (NR > 1 ? ", " : "faults: "), $1, $2 } END { print "" }'
figures end

step "what it leaves behind"
check "each lane has had right programs" ran_right 2
check "an executor's end cost one program at most" executors_cost_one
check "the mediator ended $(grep -c mediator /run/faults) times, each time by us" \
	test "$(cat /run/mediator.ends)" = "$(grep -c mediator /run/faults)"
check "the mediator has as many files open" flat half end descriptors
check "its memory has not grown by more than $MEDIATOR_KIB KiB" flat half end anonymous $MEDIATOR_KIB
check "as many hold vgpu_host.ko" flat first end users
check "the host's slab has not grown by more than $HOST_KIB KiB" flat first end slab $HOST_KIB
for g in a b; do
	check "guest $g's slab has not grown by more than $GUEST_KIB KiB" flat first end slab_$g $GUEST_KIB
	check "guest $g has been searched for leaks" guest_leaks $g
	check "guest $g shuts down" guest_stop $g
done
check "mdev a is removed" vgpu_remove "$a"
check "mdev b is removed" vgpu_remove "$b"
check "the host lets go" host_down
