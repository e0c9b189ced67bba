# SPDX-License-Identifier: Apache-2.0
# A guest's agent.  It reads "ID COMMAND" lines, the command in base64, from a serial line of
# its own; runs each in the background; answers "OID text" for each line of output and
# "RID status" at the end.
for word in $(cat /proc/cmdline); do
	case $word in
	rig.agent=*) agent=/dev/${word#*=} ;;
	rig.end=*) end=${word#*=} ;;	# what ends this kind of machine
	esac
done
stty -F "$agent" raw -echo
exec 3<>"$agent"

run() {
	{
		sh -c "$(echo "$2" | base64 -d)" </dev/null 2>&1 3>&-
		echo $? >"/run/rc.$1"
	} | awk -v p="O$1 " '{ print p $0; fflush() }' >&3
	echo "R$1 $(cat "/run/rc.$1")" >&3
}

leaks() {
	[ -e /sys/kernel/debug/kmemleak ] || return
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6			# younger objects are not reported
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/dev/kmsg
}

# A shell whose child ends while it reads loses what it has read of the line.  So this
# one has no children meanwhile: a job is a child of the first process.
agent() {
	echo READY >&3
	while read -r id command <&3; do
		case $command in
		stop) break ;;
		leaks) leaks; echo "R$id 0" >&3 ;;
		*) (run "$id" "$command" &) ;;
		esac
	done
}
(agent)
"${end:-reboot}" -f
