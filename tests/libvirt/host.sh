# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 900
# What docs/host.md says to type, with libvirt and mdevctl.  tests/libvirt/run says where this
# runs; its steps from the document are in /rig/document, and tests/libvirt/document.py makes them.
# Our package and the version after it are in /rig/debs and /rig/next.

# A file that the document shows.
written() { echo "cat $1" >>/run/typed; cat >"$1"; }
# A command of the document; below it stands what it prints, besides other lines.
typed() {
	local line status
	echo "$1" >>/run/typed
	cat >/run/expected
	eval "$1" </dev/null >/run/said 2>&1
	status=$?
	while IFS= read -r line; do
		grep -qxF -- "$line" /run/said || status="0, without: $line"
	done </run/expected
	[ "$status" = 0 ] || echo "status $status"
	sed 's/^/  /' /run/said
	check "host # $1" test "$status" = 0
}
has() { virsh nodedev-dumpxml "$1" | tee /run/xml | grep -qF -- "$2" || { cat /run/xml; return 1; }; }
running() { test "$(virsh domstate vm1)" = running; }
confined() { grep -qx 'libvirt-.* (enforce)' "/proc/$1/attr/current"; }
# The mediator has its profile, and each executor that and its own.
confined_service() {
	local pid
	grep -qx 'vgpu-mediatord (enforce)' "/proc/$(systemctl show -P MainPID vgpu-mediatord)/attr/current" || return 1
	for pid in $(executors); do
		grep -E '^(vgpu-executor//&vgpu-mediatord|vgpu-mediatord//&vgpu-executor) \(enforce\)$' \
			"/proc/$pid/attr/current" || return 1
	done
	[ "$pid" ]
}
# It is root, and may read this file where it has no profile.
reads_no_other_file() {
	vgpu-mediatord --config /etc/shadow 2>&1 | grep 'configuration: /etc/shadow:1:' &&
		aa-exec -p vgpu-mediatord -- vgpu-mediatord --config /etc/shadow 2>&1 |
		grep 'Permission denied'
}
not_denied() { ! dmesg | grep 'apparmor="DENIED".* profile="vgpu-'; }
locked() { awk '/^Max locked memory/ { print int($4 / 1048576) }' "/proc/$1/limits"; }
typed_all() { sort /rig/document/typed >/run/a && sort /run/typed >/run/b && diff /run/a /run/b; }
no_profile() { ! grep vgpu- /sys/kernel/security/apparmor/profiles; }
# The debs that the document's operator has in his folder.
debs() { rm -f ./vgpu-*.deb && cp "$1"/*.deb .; }
# What a program that is refused prints, by a word of it.
told() { guest_run g 'vectoradd' >/run/told; grep -F "$1" /run/told || { cat /run/told; return 1; }; }
free() { cat "/sys/class/mdev_bus/$gpu/mdev_supported_types/$type/available_instances"; }
# What systemd does with these at a boot.
as_at_a_boot() {
	systemctl restart systemd-modules-load && udevadm settle && systemctl start libvirtd
}

step "a host with libvirt"
systemctl is-system-running --wait
systemctl --failed --no-legend
check "all of its units work" test "$(systemctl --failed --no-legend | wc -l)" = 0
check "libvirt answers" virsh version || exit 1
virsh version
# QEMU's device for teaching stands for a GPU, and pci-stub for the GPU's driver.
check "pci-stub has the device" modprobe pci-stub ids=1234:11e8
gpu=$(basename "$(readlink -f /sys/bus/pci/drivers/pci-stub/0000:*)")
name=$(echo "$gpu" | tr :. __)
type=pci-stub-A-4096M
find /rig/document -type f -exec sed -i \
	"s/0000:3b:00\.0/$gpu/g; s/0000_3b_00_0/$name/g; s/nvidia-A/pci-stub-A/g" {} +
echo "options vgpu_host parent=$gpu" >/etc/modprobe.d/rig.conf
cd /run || exit 1

step "docs/host.md: the host's packages"
check "there is no profile of ours" no_profile
debs /rig/debs
. /rig/document/the-host-s-packages-1.sh
check "the package has loaded its profile" grep '^vgpu-mediatord (enforce)' /sys/kernel/security/apparmor/profiles

step "docs/host.md: types"
cp /rig/document/etc/modprobe.d/vgpu.conf /etc/modprobe.d/vgpu.conf
. /rig/document/types-and-memory-1.sh
check "20 vGPUs of 4 GiB are free" test "$(free)" = 20
# A host without a GPU computes with softgpu (docs/operations.md).
sed -i 's,^#libcuda =.*,libcuda = /usr/lib/vgpu-host/libvgpu-softgpu.so,' /etc/vgpu/vgpu.conf
. /rig/document/types-and-memory-2.sh
systemctl is-active vgpu-mediatord || journalctl -u vgpu-mediatord --no-pager

step "AppArmor"
check "the mediator and its executors have their profiles" confined_service
check "nothing that they do is refused" not_denied
check "they read no other file" reads_no_other_file
dmesg -C

step "docs/host.md: mdevctl"
. /rig/document/mdevctl-1.sh
. /rig/document/mdevctl-2.sh
first=$uuid
check "the mdev is there" test -e "$MDEV/$first"
check "mdevctl lists it" sh -c "mdevctl list | grep '$first $gpu $type'"
check "and its definition, which starts by itself" sh -c "mdevctl list -d | grep '$first $gpu $type auto'"
check "it prints it as JSON" sh -c "mdevctl list -d -u $first --dumpjson | grep '\"mdev_type\": \"$type\"'"
check "19 of the type are free" sh -c "mdevctl types -p $gpu | grep -A 1 '$type' | grep 'Available instances: 19'"
check "it is stopped" mdevctl stop -u "$first"
check "and not there" test ! -e "$MDEV/$first"
check "it is no longer to start by itself" mdevctl modify -u "$first" --manual
check "its definition says so" sh -c "mdevctl list -d | grep '$first $gpu $type manual'"
check "it is undefined" mdevctl undefine -u "$first"
check "and has no definition" sh -c "! mdevctl list -d | grep '$first'"

step "docs/host.md: libvirt"
. /rig/document/libvirt-1.sh
uuid=c2e1ab5b-1d0c-4c7b-8d0f-3f3a0f9f1f6a
mdev=mdev_$(echo $uuid | tr - _)_$name
check "the mdev is there" test -e "$MDEV/$uuid"
check "the mediator knows it" wait_until 10 sh -c "vgpuctl status | grep -q $uuid"
check "mdevctl has its definition" sh -c "mdevctl list -d | grep '$uuid $gpu $type auto'"

step "what libvirt and Nova read"
check "the parent has the type" has "pci_$name" "<type id='$type'>"
check "with its name" has "pci_$name" "<name>vGPU, pool A, 4096 MiB</name>"
check "with its API" has "pci_$name" "<deviceAPI>vfio-pci</deviceAPI>"
check "of which 19 are free" has "pci_$name" "<availableInstances>19</availableInstances>"
check "the mdev has its type" has "$mdev" "<type id='$type'/>"
check "its UUID" has "$mdev" "<uuid>$uuid</uuid>"
check "its parent's address" has "$mdev" "<parent_addr>$gpu</parent_addr>"
check "its IOMMU group" has "$mdev" "<iommuGroup number="
check "it is among the mdevs" sh -c "virsh nodedev-list --cap mdev | grep -qx '$mdev'"

step "a domain"
guest_pipes g console.out
mkfifo "$VM/g/console.in"
# libvirt opens both and closes them again before QEMU opens them, which would end who reads them.
exec 8<>"$VM/g/console.out" 9<>"$VM/g/agent.out"
check "a domain with it is defined" virsh define /rig/document/domain.xml || exit 1
check "it starts" virsh start vm1 || { tail -n 20 /var/log/libvirt/qemu/vm1.log; exit 1; }
exec 8>&- 9>&-
cp /run/libvirt/qemu/vm1.pid "$VM/g/pid"
pid=$(cat "$VM/g/pid")
tr '\0' ' ' <"/proc/$pid/cmdline"
echo
check "QEMU is not root" test "$(stat -c %U "/proc/$pid")" = libvirt-qemu
check "AppArmor confines it" confined "$pid"
# softgpu would register any memory, and NVIDIA's driver registers such memory alone.
check "the guest's memory is a shared memfd" grep ' rw-s .*/memfd:' "/proc/$pid/maps"
check "it may lock the memory of its guest" test "$(locked "$pid")" -gt 256
check "the guest comes up" guest_wait g || { tail -n 20 /var/log/libvirt/qemu/vm1.log; exit 1; }
check "the driver made /dev/vgpu0" guest_run g 'test -c /dev/vgpu0'
check "a program computes" program g vectoradd
systemctl show -P MainPID vgpu-mediatord >/run/mediator.pid
uncopied g "$uuid" 4
rm /run/mediator.pid

step "what a domain has is not taken from it"
check "libvirt does not stop the device" sh -c "! virsh nodedev-destroy $mdev"
check "it does not save the domain" sh -c '! virsh save vm1 /run/g.save'
check "the domain runs" running
check "and computes" program g vectoradd

step "docs/host.md: drain"
. /rig/document/before-an-update-and-after-it-1.sh
check "a new program of the domain is told why it cannot begin" told "(vgpuctl drain)"
. /rig/document/before-an-update-and-after-it-2.sh
check "programs compute again" program g vectoradd

step "docs/host.md: an update"
debs /rig/next
version=$(dpkg-query -W -f '${Version}' vgpu-host)
check "all are drained" vgpuctl drain --all --wait 60
. /rig/document/before-an-update-and-after-it-3.sh
check "the version is the next one" test "$(dpkg-query -W -f '${Version}' vgpu-host)" = "$version+next"
check "the domain runs" running
check "its programs compute" program g vectoradd
check "the mediator and its executors have their profiles" confined_service

step "docs/host.md: proof that it works, and the domain is ended while a program computes"
guest_run g 'mkdir -p /tmp/last'
job=$(guest_start g 'zerocopy 4 /tmp/last')
check "a program computes" wait_until 120 job_says g "$job" registered
. /rig/document/in-the-guest-and-proof-that-it-works-2.sh
check "it is in the status" grep zerocopy /run/said
check "the domain is destroyed" virsh destroy vm1
check "QEMU ends" wait_until 20 _gone "$pid"
check "nothing of the program is left" idle "$uuid"
check "the vGPU is, for the next start" test -e "$MDEV/$uuid"
check "the domain starts again" virsh start --paused vm1
check "and is destroyed again" virsh destroy vm1

step "docs/host.md: another module"
. /rig/document/before-an-update-and-after-it-4.sh
check "the vGPU comes back" wait_until 20 test -e "$MDEV/$uuid"

step "docs/host.md: the host boots again"
check "libvirt's daemon starts again" systemctl restart libvirtd
check "it knows the device" sh -c "virsh nodedev-info $mdev | grep -x 'Active:  *yes'"
. /rig/document/libvirt-2.sh
check "the daemons stop" systemctl stop vgpu-mediatord libvirtd
check "vgpu_host unloads, with the vGPU" modprobe -r vgpu_host
check "it is gone" test ! -e "$MDEV/$uuid"
# libvirt starts domains once after a boot.
rm -f /run/libvirt/qemu/autostarted
check "all is started as at a boot" as_at_a_boot
check "the vGPU comes back" wait_until 20 test -e "$MDEV/$uuid"
check "libvirt says so" wait_until 10 sh -c "virsh nodedev-info $mdev | grep -x 'Active:  *yes'"
check "the domain has started by itself" wait_until 30 running
check "the mediator starts after it" systemctl start vgpu-mediatord
check "the domain is destroyed" virsh destroy vm1

step "docs/host.md: the device is removed"
. /rig/document/libvirt-3.sh
check "the mdev is gone" test ! -e "$MDEV/$uuid"
check "libvirt has it no more" sh -c "! virsh nodedev-info $mdev"
check "mdevctl has no definition of it" sh -c "! mdevctl list -d | grep $uuid"
check "all vGPUs are free" test "$(free)" = 20

step "docs/host.md: removal"
. /rig/document/removal-1.sh
check "no program of the package runs" sh -c '! pidof vgpu-mediatord vgpu-executor'
check "its profile's files have gone" sh -c '! find /etc/apparmor.d | grep vgpu'
check "every line of the document was typed, once" typed_all
check "nothing was refused to the mediator and its executors meanwhile" not_denied
