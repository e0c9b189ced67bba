# SPDX-License-Identifier: Apache-2.0
# What a scenario (tests/e2e/*.sh) can say.  Runs in the host VM, busybox sh.
#
#   step TEXT                 a hop, shown as it begins
#   ok TEXT / not_ok TEXT     a result; the rig counts them
#   check TEXT COMMAND...     ok if the command succeeds; else its output is shown
#   rounds N TEXT COMMAND     ok if COMMAND 1 ... COMMAND N all succeed
#   die TEXT                  not_ok, and the scenario ends
#
#   host_modules              vfio, mdev and their kin
#   host_up                   those, vgpu_host.ko and the mediator
#   host_down                 the mediator and vgpu_host.ko again
#   mediator_start            until vgpuctl has an answer; it is then expected to
#                             live until mediator_stop
#   mediator_supervise        the same, started again whenever it ends, as
#                             systemd's Restart=always does
#   mediator_stop [-SIGNAL]
#   mediator_pid
#   executors                 pids of all executors, spares too
#   powerless                 are all executors nobody's, with no capabilities?
#   vgpu_status UUID KEY      a number of `vgpuctl status --json`
#   vgpu_types                the types that the virtual parent offers
#   vgpu_create TYPE [UUID]   create an mdev through sysfs; prints its UUID
#   vgpu_remove UUID
#
#   guest_boot NAME uml|qemu|qemu-s3 UUID|none [OPTION...]    OPTION goes to the VMM;
#                             qemu-s3 can wake up from suspend to RAM, and takes longer
#                             to boot (wakeable.c says why)
#                             RIG_GUEST_MIB is the memory of a guest of QEMU's (256);
#                             RIG_UML_ROOT a folder with a distribution for uml
#   guest_pipes NAME console.out      for a guest that the scenario boots itself, in a QEMU:
#                             pipes for its serial lines /run/vm/NAME/console and agent;
#                             the scenario writes QEMU's process id into /run/vm/NAME/pid
#   guest_mount NAME FOLDER   mount the disk that the rig was given, in a guest of QEMU's
#   guest_wait NAME [SECONDS]         until its agent answers; fails when its console
#                             has been silent for SECONDS (600)
#   guest_run NAME COMMAND [SECONDS]  output and exit status of a command in it
#   guest_start NAME COMMAND          the same in the background; prints a job id
#   guest_join NAME JOB [SECONDS]     wait for such a job, output and status
#   guest_forget NAME JOB             remove the files of a job that has ended
#   guest_leaks NAME          look for leaked memory now (in UML); the log tells
#   guest_kill NAME SIGNAL            a signal to the guest's VMM
#   guest_stop NAME [SECONDS]         shut it down and see that it ends
#   guest_alive NAME
#   guest_monitor NAME COMMAND        a QMP command without arguments to a guest's QEMU
#   monitor_says NAME TEXT    has QEMU said so, in an answer or in an event?
#   job_says NAME JOB TEXT    has a job of guest_start printed this?
#   program NAME PROGRAM [SIZE]       a CUDA program that says PASS, in time
#   uncopied NAME UUID MIB    checks of a large copy each way: only the device moves it
#   idle UUID                 no processes, device memory or pinned memory, soon
#
# A guest's files are in /run/vm/NAME: pid, console.log, agent.in, agent.out,
# and per command cmd.ID, cmd.ID.out and cmd.ID.rc.  guest_run returns 124 for a
# command that did not end in time and 125 for a guest that ended first.

VM=/run/vm
MDEV=/sys/bus/mdev/devices
PARENT=/sys/class/mdev_bus/vgpu
: "${RIG_SLOW:=1}"		# how many times slower this host's kernel is
: "${RIG_GUEST_MIB:=256}"
: "${RIG_UML_ROOT:=}"
: "${RIG_PATIENCE:=4}"	# how many times slower other work may make the machine

# --- results ---------------------------------------------------------------

_rig_begin() {
	echo 0 >/run/rig.count
	: >/run/rig.failed
	# trouble in the log must reach the console, whatever its level
	echo 8 >/proc/sys/kernel/printk
	# it is asked to scan at the end
	! [ -e /sys/kernel/debug/kmemleak ] || echo scan=off >/sys/kernel/debug/kmemleak
}

_rig_end() {
	for g in "$VM"/*/pid; do
		[ -e "$g" ] || continue
		g=${g%/pid}; g=${g##*/}
		! guest_alive "$g" || guest_stop "$g" || not_ok "guest $g shuts down"
	done
	for g in "$VM"/*/reader; do
		[ -e "$g" ] && wait_until 5 _gone "$(cat "$g")"
	done
	if [ -e /run/mediator.pid ] && _gone "$(mediator_pid)"; then
		not_ok "the mediator lives until it is stopped"
		tail -n 5 /run/mediator.log | sed 's/^/# /'
	fi
	if [ -e /sys/kernel/debug/kmemleak ]; then _leaks; fi
	sleep 0.2		# what the mediator said last is on its way
	echo "1..$(cat /run/rig.count)"
	echo "RIG exit $1"
	sleep 0.2		# the serial lines are empty by now
	reboot -f
}

_count() { echo $(($(cat /run/rig.count) + 1)) >/run/rig.count; cat /run/rig.count; }
step() { echo "== $*"; }
ok() { echo "ok $(_count) - $*"; }
not_ok() { echo "not ok $(_count) - $*"; echo "$*" >>/run/rig.failed; }
die() { not_ok "$*"; exit 1; }

check() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		ok "$text"
	else
		not_ok "$text"
		printf '%s\n' "$out" | sed 's/^/# /'
		return 1
	fi
}

rounds() {
	local n=$1 text=$2 i=1 began
	shift 2
	began=$(_now)
	while [ $i -le "$n" ]; do
		if ! "$@" $i >/run/round.out 2>&1; then
			not_ok "$text (round $i of $n)"
			sed 's/^/# /' /run/round.out
			return 1
		fi
		i=$((i + 1))
	done
	ok "$text ($n rounds, $((($(_now) - began) / 100)) s)"
}

# wait_until SECONDS COMMAND...: poll a condition.  SECONDS are for an idle machine.
wait_until() {
	local end=$(($(_now) + $1 * RIG_SLOW * RIG_PATIENCE * 100)) us=50000
	shift
	until "$@"; do
		[ "$(_now)" -lt "$end" ] || return 124
		# Each look starts processes, which are dear under emulation.
		usleep $((RIG_SLOW > 1 ? 500000 : us))
		us=$((us < 400000 ? us * 2 : us))
	done
}

# Hundredths of a second. In the first second "0.98" must not become the octal number 098.
_now() { local t; read -r t _ </proc/uptime; echo "$((${t%.*} * 100 + 1${t#*.} - 100))"; }
_exists() { [ -e "$1" ]; }

_leaks() {
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6			# younger objects are not reported
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/dev/kmsg
}

# --- the host's half -------------------------------------------------------

host_modules() {
	local m
	while read -r m; do
		insmod "/rig/modules/$m.ko" || return 1
	done </rig/modules/order
}

host_up() {
	host_modules || die "the kernel's vfio and mdev modules load"
	# shellcheck disable=SC2086
	insmod /rig/modules/vgpu_host.ko $RIG_HOST_PARAMS ||
		die "vgpu_host.ko loads"
	mediator_start || die "the mediator is up"
}

# The driver is softgpu, the one for machines with no GPU.
_mediator_config() {
	mkdir -p /etc/vgpu /run/vgpu
	cat >/etc/vgpu/vgpu.conf <<-END
	[executor]
	libcuda = ${RIG_LIBCUDA:-/usr/lib/vgpu/libvgpu-softgpu.so}
	spares = 1
	[log]
	level = ${RIG_LOG:-info}
	END
}

# Its log goes out as the guests' consoles do.
_mediator_log() {
	[ -e /run/mediator.log ] && return
	: >/run/mediator.log
	tail -n +1 -f /run/mediator.log | awk '{
		print "mediator|" $0 >"/dev/ttyS2"; fflush("/dev/ttyS2") }' &
}

mediator_start() {
	_mediator_config
	_mediator_log
	rm -f /run/mediator.pid /run/mediator.supervised
	vgpu-mediatord >>/run/mediator.log 2>&1 &
	echo $! >/run/mediator.pid
	mediator_answers
}

mediator_supervise() {
	_mediator_config
	_mediator_log
	: >/run/mediator.supervised
	echo 0 >/run/mediator.ends
	while [ -e /run/mediator.supervised ]; do
		vgpu-mediatord >>/run/mediator.log 2>&1 &
		echo $! >/run/mediator.new
		mv /run/mediator.new /run/mediator.pid
		wait $!
		echo "mediator ended with status $?" >>/run/mediator.log
		echo $(($(cat /run/mediator.ends) + 1)) >/run/mediator.ends
		usleep 200000
	done </dev/null >/dev/null 2>&1 &
	mediator_answers
}

mediator_pid() { cat /run/mediator.pid; }

# An executor has said that its driver works, and vgpuctl hears of it.
_mediator_ready() {
	vgpuctl status --json >/run/status.json 2>/dev/null &&
		grep -q '"spares":[1-9]' /run/status.json
}
_ready_or_ended() {
	_mediator_ready && return
	[ -e /run/mediator.supervised ] && return 1
	_gone "$(mediator_pid)"
}

mediator_answers() {
	wait_until "${1:-${RIG_MEDIATOR_SECONDS:-30}}" _ready_or_ended
	_mediator_ready && return
	echo "the mediator does not answer, or its executors do not start:"
	tail -n 12 /run/mediator.log
	return 1
}

mediator_stop() {
	local pid
	pid=$(mediator_pid)
	rm -f /run/mediator.supervised /run/mediator.pid
	kill "${1:--TERM}" "$pid"
	wait_until 10 _gone "$pid"
}

executors() { pidof vgpu-executor; }

powerless() {
	for pid in $(executors); do
		grep -q '^Uid:	65534	65534	65534	65534$' "/proc/$pid/status" &&
			grep -q '^CapPrm:	0*$' "/proc/$pid/status" || return 1
	done
	[ "$pid" ]
}

# The document is one key a line; a vGPU's own keys are indented by six.
vgpu_status() {
	vgpuctl status --json | awk -v uuid="$1" -v key="$2" '
		/^      "vgpu":/ { here = index($0, uuid) }
		here && index($0, "      \"" key "\":") == 1 {
			sub(/^[^:]*:/, ""); sub(/,$/, ""); print; found = 1; exit }
		END { exit !found }'
}

# A process that has ended may still wait for its parent to ask how.
_gone() { ! [ -e "/proc/$1" ] || grep -q '^State:.[ZX]' "/proc/$1/status" 2>/dev/null; }

host_down() {
	mediator_stop || return 1
	rmmod vgpu_host
}

vgpu_types() { ls "$PARENT/mdev_supported_types"; }

vgpu_create() {
	local uuid=${2:-$(cat /proc/sys/kernel/random/uuid)}
	echo "$uuid" >"$PARENT/mdev_supported_types/$1/create" ||
		return 1
	[ -e "$MDEV/$uuid" ] && echo "$uuid"
}

vgpu_remove() { echo 1 >"$MDEV/$1/remove"; }

# --- guests ----------------------------------------------------------------

# guest_pipes NAME CONSOLE: its folder, with CONSOLE and the other pipes, and who reads them.
guest_pipes() {
	local name=$1 dir=$VM/$1
	rm -rf "$dir"
	mkdir -p "$dir"
	echo 0 >"$dir/ids"
	mkfifo "$dir/agent.in" "$dir/agent.out" "$dir/$2"
	# The console, as it comes: kept here, and sent out with the guest's name.
	awk -v name="$name" -v log_="$dir/console.log" '{
		sub(/\r$/, ""); print >log_; fflush(log_)
		print name "|" $0 >"/dev/ttyS2"; fflush("/dev/ttyS2") }' \
		<"$dir/$2" >/dev/null 2>&1 &
	echo $! >"$dir/reader"
	# The agent's answers, sorted by command.
	awk -v dir="$dir" '{
		sub(/\r$/, "")
		kind = substr($1, 1, 1); id = substr($1, 2)
		if ($0 == "READY") { print >(dir "/ready"); close(dir "/ready") }
		else if (kind == "O") { f = dir "/cmd." id ".out"
			print substr($0, length($1) + 2) >f; fflush(f) }
		else if (kind == "R") { close(dir "/cmd." id ".out")
			f = dir "/cmd." id ".rc"; print $2 >(f ".new"); close(f ".new")
			system("mv " f ".new " f) } }' \
		<"$dir/agent.out" >/dev/null 2>&1 &
}

guest_boot() {
	local name=$1 kind=$2 uuid=$3 dir=$VM/$1
	shift 3
	guest_pipes "$name" console
	mkfifo "$dir/monitor.in" "$dir/monitor.out"
	case $kind in
	uml) _boot_uml "$name" "$uuid" "$@" ;;
	qemu) _boot_qemu "$name" "$uuid" kernel /rig/qemu/initrd "$@" ;;
	qemu-s3)
		_kernel_and_initrd >"$dir/initrd"
		_boot_qemu "$name" "$uuid" wakeable "$dir/initrd" "$@" ;;
	*) die "guest_boot: no kind $kind" ;;
	esac
	echo $! >"$dir/pid"
	echo "$kind" >"$dir/kind"
}

# User-mode Linux looks for its device among the PCI devices by name; the mdev
# is shown to it there through a folder laid over the real one.
_boot_uml() {
	local dir=$VM/$1 uuid=$2 device= files
	shift 2
	if [ "$uuid" != none ]; then
		grep -q ' /sys/bus/pci/devices tmpfs' /proc/mounts ||
			mount -t tmpfs tmpfs /sys/bus/pci/devices
		ln -sfn "$MDEV/$uuid" "/sys/bus/pci/devices/$uuid"
		device=vfio_uml.device=$uuid
	fi
	# By default it traces its processes, which takes three times as long under emulation as to
	# catch their system calls by seccomp (programs-6.1: 150 s of processors, and 60).
	# A distribution is a folder of the host VM, and the rig's own guest an initramfs.
	files="mem=128M initrd=/rig/uml/initrd"
	[ -z "$RIG_UML_ROOT" ] || files="mem=${RIG_GUEST_MIB}M root=/dev/root rw \
		rootfstype=hostfs rootflags=$RIG_UML_ROOT init=/rig/init"
	# shellcheck disable=SC2086
	TMPDIR=/dev/shm exec_bg "$dir" /rig/uml/linux umid="${dir##*/}" \
		$files con0=null,fd:1 ssl0=fd:3,fd:4 loglevel=8 \
		panic=-1 printk.devkmsg=on rig.agent=ttyS0 rig.end=poweroff seccomp=auto $device "$@"
}

# What wakeable.c expects as its initrd.
_kernel_and_initrd() {
	local kernel=/rig/qemu/kernel
	printf '%-4096d' $((($(stat -c %s $kernel) + 4095) / 4096))
	dd if=$kernel bs=4096 conv=sync 2>/dev/null
	cat /rig/qemu/initrd
}

_boot_qemu() {
	local dir=$VM/$1 uuid=$2 kernel=$3 initrd=$4 device= accel
	shift 4
	# KVM only where the host VM is emulated, with SVM, and it is asked for (tools/vm/run).
	# QEMU's SVM does not tell KVM of XSETBV, so the guest must do without XSAVE.
	accel="-accel tcg,thread=multi -cpu max,la57=off"
	if [ "$RIG_ACCEL" = kvm ] && [ -e /dev/kvm ]; then
		accel="-accel kvm -cpu host,-xsave"
		: >"$dir/kvm"
	fi
	cat <"$dir/monitor.out" >"$dir/monitor.log" 2>/dev/null &
	# QEMU tells of no event before it is asked to begin; the pipe waits for it.
	echo '{"execute":"qmp_capabilities"}' >"$dir/monitor.in" 2>/dev/null &
	[ "$uuid" != none ] && device="-device vfio-pci,sysfsdev=$MDEV/$uuid"
	[ -z "$RIG_DISK" ] || device="$device -device virtio-blk-pci,drive=disk \
		-drive if=none,id=disk,format=raw,read-only=on,file=$RIG_DISK"
	# Without ACPI there is no APIC and so no MSI-X; the parameters only save
	# time under emulation.  Memory is a memfd, as zero-copy of pinned memory
	# wants it.
	# shellcheck disable=SC2086
	exec_bg "$dir" qemu-system-x86_64 \
		-M pc,graphics=off,hpet=off $accel \
		-nodefaults -no-user-config -nographic -no-reboot -m "$RIG_GUEST_MIB" \
		-object memory-backend-memfd,id=ram,size="${RIG_GUEST_MIB}M",share=on \
		-machine memory-backend=ram \
		-kernel "/rig/qemu/$kernel" -initrd "$initrd" \
		-append "console=ttyS0 loglevel=8 panic=-1 no_timer_check lpj=4000000 tsc=reliable mitigations=off cryptomgr.notests lsm=none audit=0 printk.devkmsg=on rig.agent=ttyS1 rig.end=reboot" \
		-chardev stdio,id=console,signal=off -serial chardev:console \
		-chardev pipe,id=agent,path="$dir/agent" -serial chardev:agent \
		-chardev pipe,id=monitor,path="$dir/monitor" \
		-mon chardev=monitor,mode=control \
		$device "$@"
}

# Start a VMM with its console and its agent's pipes; $! is its pid.
exec_bg() {
	local dir=$1
	shift
	"$@" </dev/null >"$dir/console" 2>&1 3<>"$dir/agent.in" 4<>"$dir/agent.out" &
}

guest_alive() { ! _gone "$(cat "$VM/$1/pid")"; }

_ready_or_dead() { [ -e "$VM/$1/ready" ] || ! guest_alive "$1"; }

# A guest boots several times slower while the machine has other work, so what
# counts is that its console goes on; RIG_PATIENCE bounds the whole.
guest_wait() {
	local silence=$((${2:-600} * RIG_SLOW * 100)) size last=-1 heard end
	heard=$(_now)
	end=$((heard + silence * RIG_PATIENCE))
	until _ready_or_dead "$1"; do
		size=$(stat -c %s "$VM/$1/console.log" 2>/dev/null)
		[ "$size" = "$last" ] || heard=$(_now)
		last=$size
		[ "$(_now)" -lt $((heard + silence)) ] || break
		[ "$(_now)" -lt "$end" ] || break
		usleep $((RIG_SLOW > 1 ? 500000 : 300000))
	done
	if [ -e "$VM/$1/ready" ]; then
		: >/run/rig.ran
		return
	fi
	echo "guest $1 did not come up; the end of its console:"
	guest_alive "$1" || wait_until 5 _gone "$(cat "$VM/$1/reader")"
	tail -n 12 "$VM/$1/console.log"
	! _lost "$1" || { echo "RIG lost $1" >/dev/ttyS1; sleep 1; }
	return 1
}

# Did a guest of KVM die after its kernel began and before any program ran in a guest?
_lost() {
	[ -e "$VM/$1/kvm" ] && ! guest_alive "$1" && ! [ -e /run/rig.ran ] &&
		grep -q 'Linux version' "$VM/$1/console.log" &&
		! grep -q 'Run /init as init process' "$VM/"*/console.log
}

# The disk is an archive, so that no file system is needed to read it.
guest_mount() {
	guest_run "$1" "for m in \$(cat /rig/disk/order); do
			insmod /rig/disk/\$m.ko || exit 1
		done
		mkdir $2 && mount -t squashfs -o ro /dev/vda $2"
}

# The next number of a job. Several shells may start jobs at the same time, so the one counts
# that has made the file; the number that was last is only where the search begins.
_job() {
	local dir=$VM/$1 id
	id=$(($(cat "$dir/ids") + 1))
	until (set -C; : >"$dir/cmd.$id") 2>/dev/null; do id=$((id + 1)); done
	echo $id >"$dir/ids"
	echo $id
}

guest_start() {
	local dir=$VM/$1 id
	id=$(_job "$1")
	: >/run/rig.ran
	echo "$id $(printf '%s' "$2" | base64 -w0)" 1<>"$dir/agent.in"
	echo $id
}

_ended() { [ -e "$VM/$1/cmd.$2.rc" ] || ! guest_alive "$1"; }

guest_join() {
	local dir=$VM/$1 rc=125
	if wait_until "${3:-120}" _ended "$1" "$2"; then
		[ -e "$dir/cmd.$2.rc" ] && rc=$(cat "$dir/cmd.$2.rc")
	else
		rc=124
	fi
	[ -e "$dir/cmd.$2.out" ] && cat "$dir/cmd.$2.out"
	return "$rc"
}

# What a job that has ended has left here.
guest_forget() { rm -f "$VM/$1/cmd.$2" "$VM/$1/cmd.$2.out" "$VM/$1/cmd.$2.rc"; }

guest_leaks() {
	local dir=$VM/$1 id
	id=$(_job "$1")
	echo "$id leaks" 1<>"$dir/agent.in"
	guest_join "$1" "$id" 100
}

guest_run() { guest_join "$1" "$(guest_start "$1" "$2")" "${3:-120}"; }

guest_monitor() { echo "{\"execute\":\"$2\"}" 1<>"$VM/$1/monitor.in"; }

monitor_says() { grep -q "$2" "$VM/$1/monitor.log"; }

job_says() { grep -q "$3" "$VM/$1/cmd.$2.out" 2>/dev/null; }

program() {
	local out status
	out=$(guest_run "$1" "$2 ${3:-}" 200)
	status=$?
	printf '%s\n' "$out"
	[ $status = 0 ] && printf '%s\n' "$out" | grep -q "^PASS $2"
}

# What counts the copies of programs' data: the executor, the host's module, and
# (since only what is mapped can be copied) the maps of the mediator.
_moved() {
	local key
	for key in bytes_to_device direct_to_device bytes_from_device direct_from_device \
		read_by_module; do
		eval "$1_$key=$(vgpu_status "$2" $key)"
	done
}
_grew() { eval "echo \$((after_$1 - before_$1))"; }

# This guest's executor is the one that has a channel's memory mapped.
_executor_maps() {
	local pid
	for pid in $(executors); do
		grep -q 'vgpu-channel' "/proc/$pid/maps" && return
	done
	return 1
}
_mediator_maps_nothing() { ! grep 'vgpu-channel' "/proc/$(mediator_pid)/maps"; }

uncopied() {
	local g=$1 uuid=$2 mib=$3 bytes=$(($3 << 20)) job
	guest_run "$g" 'rm -rf /tmp/zc; mkdir -p /tmp/zc' >/dev/null
	job=$(guest_start "$g" "zerocopy $mib /tmp/zc")
	check "a program registers $mib MiB of its memory" \
		wait_until 120 job_says "$g" "$job" registered || return 1
	check "they are pinned on the host" test "$(vgpu_status "$uuid" pinned)" -ge $bytes
	check "the executor has the guest's memory mapped" _executor_maps
	check "the mediator does not" _mediator_maps_nothing
	_moved before "$uuid"
	guest_run "$g" 'touch /tmp/zc/copy' >/dev/null
	check "it copies them to the device and back" \
		wait_until 120 job_says "$g" "$job" copied || return 1
	_moved after "$uuid"
	check "$bytes bytes went to the device, all of them direct" test \
		"$(_grew bytes_to_device):$(_grew direct_to_device)" = $bytes:$bytes
	check "$bytes bytes came from it, all of them direct" test \
		"$(_grew bytes_from_device):$(_grew direct_from_device)" = $bytes:$bytes
	check "the host's module copied 0 bytes of them" test "$(_grew read_by_module)" = 0
	check "of the memory that it read there are only lists of pages" test \
		"$after_read_by_module" -lt $((bytes / 16))
	guest_run "$g" 'touch /tmp/zc/end' >/dev/null
	check "they are right, though the program could not touch them meanwhile" \
		_registered_passes "$g" "$job"
	echo "uncopied: $mib MiB each way: device $(_grew direct_to_device) + \
$(_grew direct_from_device) bytes, everyone else $(($(_grew bytes_to_device) + \
$(_grew bytes_from_device) - $(_grew direct_to_device) - $(_grew direct_from_device) + \
$(_grew read_by_module)))"
}
_registered_passes() { guest_join "$1" "$2" 200 | grep '^PASS zerocopy: .*, registered'; }

_idle() {
	[ "$(vgpu_status "$1" memory)" = 0 ] && [ "$(vgpu_status "$1" pinned)" = 0 ] &&
		vgpuctl status --json | awk -v uuid="$1" '
			/^      "vgpu":/ { here = index($0, uuid) }
			here && /^          "pid":/ { n++ } END { exit n > 0 }'
}

idle() {
	wait_until "${2:-10}" _idle "$1" && return
	vgpuctl status
	return 1
}

guest_kill() {
	local pid
	pid=$(cat "$VM/$1/pid")
	kill "-$2" "$pid"
	wait "$pid" 2>/dev/null
	wait_until 10 _gone "$pid"
}

guest_stop() {
	local pid
	pid=$(cat "$VM/$1/pid")
	echo "0 stop" 1<>"$VM/$1/agent.in"
	if ! wait_until "${2:-60}" _gone "$pid"; then
		echo "guest $1 did not shut down"
		kill -KILL "$pid"
		return 1
	fi
}
