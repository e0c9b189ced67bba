# SPDX-License-Identifier: Apache-2.0
# Programs that run all the time in two guests, `a` and `b`, while something goes wrong. A lane
# starts one program after another; each has to be right, or to end by an error that a fault
# explains which the scenario has noted while the program ran.
#
#   lanes_begin SEED              before all others
#   random N                      sets $picked to a number below N
#   lanes_start GUEST COUNT       so many lanes in a guest
#   lanes_quiet GUEST...          no program of a lane runs there any more, and none starts
#   lanes_resume GUEST...
#   lanes_fine                    no program has ended as it must not; else says which
#   lanes_end                     and waits for the last programs
#   lanes_row                     one line of figures
#   fault_begin KIND GUEST|all    from now on until fault_end this may go wrong:
#   fault_end
#       mediator, executor        the device is lost, or a program does not begin
#       kill                      a program is killed
#       memory                    device memory runs out
#       starts                    programs are refused
#       kernel                    a launch takes too long
#       stop, rates, module       nothing
#   executors_cost_one            not more programs lost their executor than executors were killed
#   ran_right COUNT               in each lane
# LANES_SPIN is for how many seconds a program may compute.
LANES=/run/lanes
: "${LANES_SPIN:=16}"

lanes_begin() {
	mkdir -p $LANES
	mkfifo $LANES/never
	: >$LANES/faults
	: >$LANES/rows
	: >$LANES/wrong
	seed=$1
	fault=0
}

random() {
	seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
	picked=$((seed / 65536 % $1))
}

fault_begin() {
	fault=$((fault + 1))
	echo "begin $fault $(_now) $1 $2" >>$LANES/faults
}
fault_end() { echo "end $fault $(_now)" >>$LANES/faults; }

lanes_start() {
	local n=1
	while [ $n -le "$2" ]; do
		random 32768
		_lane "$1" $n $((picked + 1)) </dev/null >/dev/null 2>&1 &
		echo $! >"$LANES/pid.$1.$n"
		n=$((n + 1))
	done
}

# Sets $command. The sizes suit an emulated machine.
_pick_program() {
	random 16
	case $picked in
	0) command="vectoradd 16384" ;;
	1) command="matmul_tiled 32" ;;
	2) command="reduce_atomic 8192" ;;
	3) command="warp_scan 4096" ;;
	4) command="stream_pipeline 4096" ;;
	5) command="threads4 4" ;;
	6) command="features" ;;
	7) command="hostmem 5000" ;;
	8) command="ipc 5000" ;;
	9 | 10) command="illegal_address" ;;
	*) random $((LANES_SPIN - 1)); command="spin $((picked + 2))" ;;
	esac
}

# The mark is taken away before the look, so a lane that is seen quiet looks again before it
# starts anything.
_wait_quiet() {
	while rm -f "$LANES/quiet.$1.$2"; [ -e "$LANES/pause.$1" ]; do
		: >"$LANES/quiet.$1.$2"
		_nap
	done
}

# Without a process, of which lanes that look each second would start more than they can have.
_nap() { read -r -t 1 _ <>$LANES/never; }

# As guest_join has it, whose looks are more frequent and dearer.
_lane_join() {
	local dir=$VM/$1 looks=0
	until [ -e "$dir/cmd.$2.rc" ]; do
		_nap
		looks=$((looks + 1))
		[ $((looks % 16)) = 0 ] || continue
		guest_alive "$1" || return 125
		[ $looks -lt $((60 * RIG_SLOW * RIG_PATIENCE)) ] || { _hung "$1" "$2"; return 124; }
	done
	return "$(cat "$dir/cmd.$2.rc")"
}

_lane() {
	local g=$1 n=$2 id begin status command
	seed=$3
	while _wait_quiet "$g" "$n"; [ ! -e $LANES/stop ]; do
		_pick_program
		begin=$(_now)
		id=$(guest_start "$g" "$command")
		_lane_join "$g" "$id"
		status=$?
		_judge "$g" "$n" "$command" "$begin" "$(_now)" $status "$VM/$g/cmd.$id.out"
		# One that hangs may still write.
		[ $status = 124 ] || guest_forget "$g" "$id"
		[ $status != 125 ] || break
	done
	: >"$LANES/quiet.$g.$n"
}

# Who waits for what, on both sides: added to what a job that hangs has said.
_hung() {
	local threads='for p in /proc/[0-9]*; do
			[ "$(tr "\\0" " " <$p/cmdline)" ] || continue
			for t in $p/task/*; do
				echo "$t $(cat $t/comm): $(cat $t/wchan), call $(cat $t/syscall)"
				sed "s/^/    /" $t/stack 2>/dev/null | head -n 8
			done
		done
		cat /proc/interrupts'
	{
		echo "it hangs; the host:"
		vgpuctl status
		eval "$threads"
		echo "guest $1:"
		guest_run "$1" "$threads" 20
		for p in /proc/[0-9]*; do
			case $(cat $p/comm) in linux | vgpu-*) ;; *) continue ;; esac
			echo "$p $(cat $p/comm)"
			grep -h "eventfd-count\|tfd\|SigPnd\|SigBlk" $p/fdinfo/* $p/status | cut -c1-120
		done
	} >>"$VM/$1/cmd.$2.out" 2>&1
}

# _explained GUEST BEGIN END KIND...: prints the first of these kinds that was there meanwhile.
_explained() {
	local g=$1 begin=$2 end=$3
	shift 3
	awk -v g="$g" -v begin="$begin" -v end="$end" -v kinds="$*" '
		$1 == "begin" { from[$2] = $3; kind[$2] = $4; where[$2] = $5 }
		$1 == "end" { to[$2] = $3 }
		END {
			n = split(kinds, wanted, " ")
			for (k = 1; k <= n; k++)
				for (i in from)
					if (kind[i] == wanted[k] && (where[i] == g || where[i] == "all") &&
					    from[i] <= end && (!(i in to) || to[i] >= begin)) {
						print wanted[k]
						exit
					}
			exit 1
		}' $LANES/faults
}

# What might explain how a program ended; nothing for what no fault excuses.
_excuses() {
	local name=$1 status=$2 out=$3 said
	[ "$status" != 137 ] || { echo kill; return; }
	[ "$status" = 1 ] || return
	said=$(grep "^FAIL $name: " "$out" | head -n 1)
	# Two processes: the one suffers what happens to the other.
	[ "$name" != ipc ] || [ -z "$said" ] || { echo mediator executor kill memory starts kernel; return; }
	case $said in
	*", but call "* | *" gave 2 after the illegal access"* | *" gave 802 after the illegal access"*) ;;
	*" gave 46"[!0-9]* | *" gave 46" | *": error 46") echo mediator executor ;;
	*" gave 802"[!0-9]*) echo mediator executor starts ;;
	*" gave 2"[!0-9]*) echo memory ;;
	*" gave 702"[!0-9]*) echo kernel ;;
	esac
}

_judge() {
	local g=$1 n=$2 command=$3 begin=$4 end=$5 status=$6 out=$7 verdict name=${3%% *}
	if [ "$status" = 0 ] && grep -q "^PASS $name" "$out" && ! grep -q '^FAIL' "$out"; then
		verdict=right
	else
		# shellcheck disable=SC2046
		verdict=$(_explained "$g" "$begin" "$end" $(_excuses "$name" "$status" "$out")) || verdict=wrong
	fi
	echo "$begin $end $g.$n $name $status $verdict" >>$LANES/rows
	[ $verdict = wrong ] || return
	{
		echo "guest $g, lane $n: $command, from $begin to $end: status $status"
		sed 's/^/    /' "$out"
		tail -n 4 $LANES/faults | sed 's/^/    fault: /'
	} >>$LANES/wrong
}

lanes_fine() {
	[ -s $LANES/wrong ] || return 0
	cat $LANES/wrong
	return 1
}

_all_quiet() {
	local p
	for p in "$LANES/pid.$1."*; do
		[ -e "$LANES/quiet.${p#"$LANES"/pid.}" ] || return 1
	done
}

lanes_quiet() {
	local g
	for g in "$@"; do : >"$LANES/pause.$g"; done
	for g in "$@"; do
		wait_until 250 _all_quiet "$g" || { echo "a program in guest $g does not end"; return 1; }
	done
}

lanes_resume() {
	local g
	for g in "$@"; do rm -f "$LANES/pause.$g"; done
}

lanes_end() {
	: >$LANES/stop
	lanes_resume a b
	wait_until 250 _all_quiet a && wait_until 250 _all_quiet b
}

lanes_row() {
	awk '{ n[$6]++; all++ } END {
		printf "%d programs: %d right, %d lost by a restart, %d by an executor, %d killed, ",
			all, n["right"], n["mediator"], n["executor"], n["kill"]
		printf "%d out of memory, %d refused, %d launches too long, %d wrong\n",
			n["memory"], n["starts"], n["kernel"], n["wrong"] }' $LANES/rows
}

# An executor serves one program, or none yet.
executors_cost_one() {
	local lost killed
	lost=$(grep -c ' executor$' $LANES/rows)
	killed=$(grep -c '^begin .* executor ' $LANES/faults)
	echo "$killed executors were killed, $lost programs lost by that"
	[ "$lost" -le "$killed" ]
}

# ran_right COUNT: so many programs were right in each lane.
ran_right() {
	local p lane n
	for p in "$LANES"/pid.*; do
		lane=${p#"$LANES"/pid.}
		n=$(grep -c "^[0-9]* [0-9]* $lane .* right\$" $LANES/rows)
		[ "$n" -ge "$1" ] || { echo "lane $lane: $n were right"; return 1; }
	done
}
