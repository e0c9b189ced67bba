# SPDX-License-Identifier: Apache-2.0
# guests: uml
# timeout: 900
# What an operator does on a clean host and in a clean guest, from docs/install.md, docs/host.md
# and docs/operations.md.  tests/packages/run says where this runs; VERSION and NEXT are the
# versions of our packages in the repositories /srv/repo and /srv/next.

apt() { apt-get -y -q -o Dpkg::Use-Pty=0 --no-install-recommends "$@"; }
has_version() { test "$(dpkg-query -W -f '${Version}' "$1")" = "$2"; }
same() { diff "/run/snapshot.before$1" "/run/snapshot.after$1"; }
# Of the doctor's lines all are ok, but for NVIDIA's driver, which is not there.
well() { ! vgpuctl doctor | grep -v -e '^ok ' -e '^warning  *nvidia ' -e '^  *->' -e '^8 ok,'; }
# CUDA_ERROR_DEVICE_UNAVAILABLE
lost() { guest_join g "$1" >/run/lost; test $? = 1 && grep -e 'gave 46$' -e '(46)' -e 'DEVICE_UNAVAILABLE' /run/lost; }

step "a clean machine"
systemctl is-system-running --wait
check "all of its units work" test "$(systemctl --failed --no-legend | wc -l)" = 0
systemctl --failed --no-legend
check "apt reads the repository" apt update || exit 1
check "mdevctl installs" apt install mdevctl || exit 1
/rig/snapshot >/run/snapshot.before

step "the host's package"
check "vgpu-host installs, with what it depends on" apt install vgpu-host || exit 1
check "its unit is enabled" systemctl is-enabled vgpu-mediatord
check "and was not started" test "$(systemctl is-active vgpu-mediatord)" = inactive
check "the exporter's is not enabled" test "$(systemctl is-enabled vgpu-exporter)" = disabled
check "the user of executors is there" getent passwd vgpu
check "with the cache" test "$(stat -c '%U %a' /var/cache/vgpu)" = "vgpu 700"
check "modprobe loads vgpu_host and what it needs" modprobe vgpu_host || exit 1
check "also the driver of the IOMMU" grep -q '^vfio_iommu_type1 ' /proc/modules
check "its node is root's alone" test "$(stat -c '%U %G %a' /dev/vgpu-host)" = "root root 600"
cp /etc/vgpu/vgpu.conf /run/rig.conf
check "the package's own test passes" sh /rig/debian-tests/host
check "it leaves the mediator to the operator" test "$(systemctl is-active vgpu-mediatord)" = inactive
cp /run/rig.conf /etc/vgpu/vgpu.conf
check "modprobe loads it again" modprobe vgpu_host || exit 1
# A host without a GPU computes with softgpu (docs/operations.md).
sed -i 's,^#libcuda =.*,libcuda = /usr/lib/vgpu-host/libvgpu-softgpu.so,' /etc/vgpu/vgpu.conf
check "systemctl starts the mediator, when its driver has worked" \
	systemctl enable --now vgpu-mediatord || journalctl -u vgpu-mediatord --no-pager
vgpuctl doctor
check "the doctor finds nothing wrong" vgpuctl doctor
check "and has no warning but that NVIDIA's driver is not there" well

step "an mdev, with mdevctl"
type=$(mdevctl types | awk '/vgpu-A-1024M/ { print $1 }')
check "mdevctl lists the types" test "$type" = vgpu-A-1024M
uuid=$(cat /proc/sys/kernel/random/uuid)
check "an mdev is defined" mdevctl define -u "$uuid" -p vgpu -t "$type" --auto
check "and started" mdevctl start -u "$uuid"
check "mdevctl lists it" sh -c "mdevctl list | grep -q $uuid"
check "the mediator knows it" wait_until 10 sh -c "vgpuctl status | grep -q $uuid"
check "and remembers it" wait_until 10 sh -c "vgpuctl events | grep -q $uuid"
# Debian's udev rule calls mdevctl where it is not (docs/host.md).
[ -e /usr/sbin/mdevctl ] || ln -s /usr/bin/mdevctl /usr/sbin/mdevctl
systemctl stop vgpu-mediatord
check "it goes with the module" sh -c 'modprobe -r vgpu_host && ! test -e "$1"' - "$MDEV/$uuid"
check "and comes back with it, as at a boot" sh -c 'systemctl restart systemd-modules-load && udevadm settle'
check "because mdevctl starts it" wait_until 20 test -e "$MDEV/$uuid"
check "the mediator starts again" systemctl start vgpu-mediatord
check "and so does the exporter" systemctl enable --now vgpu-exporter

step "a guest"
guest_boot g uml "$uuid"
check "the guest comes up" guest_wait g || exit 1
guest_run g 'apt-get -q update >/dev/null; systemctl --failed --no-legend; uname -r'
/rig/snapshot /srv/guest >/run/snapshot.before.guest
check "there is no CUDA" guest_run g '! runuser -u games -- vectoradd'
check "vgpu-guest installs" guest_run g 'apt-get -y -q install vgpu-guest' || exit 1
check "modprobe loads vgpu_guest" guest_run g 'modprobe vgpu_guest'
check "and udev does, as at a boot" guest_run g \
	'rmmod vgpu_guest && udevadm trigger --action=add --subsystem-match=pci && udevadm settle && test -c /dev/vgpu0'
check "the package's own test passes" guest_run g 'sh /rig/debian-tests/guest'
guest_run g 'runuser -u games -- vgpuctl doctor'
check "the doctor finds nothing wrong" guest_run g 'runuser -u games -- vgpuctl doctor'
check "an ordinary user's program computes, without variables" \
	guest_run g 'env -i /sbin/runuser -u games -- /usr/local/bin/vectoradd'
check "so does a service" guest_run g 'printf "[Service]\nType=oneshot\nDynamicUser=yes\nExecStart=/usr/local/bin/vectoradd\n" \
	>/run/systemd/system/computes.service && systemctl start computes'
guest_run g 'journalctl -u computes --no-pager | tail -n 3'

step "an upgrade while a program of the guest computes"
guest_run g 'mkdir -m 777 /tmp/one /tmp/two' 
one=$(guest_start g 'runuser -u games -- zerocopy 4 /tmp/one')
check "a program computes" wait_until 60 job_says g "$one" registered
pid=$(systemctl show -P MainPID vgpu-mediatord)
exporter=$(systemctl show -P MainPID vgpu-exporter)
sed -i 's,/srv/repo,/srv/next,' /etc/apt/sources.list
check "the next version installs" sh -c 'apt-get -q update && apt-get -y -q install --no-install-recommends vgpu-host'
check "it is $NEXT" has_version vgpu-host "$NEXT"
check "the configuration is the operator's" grep -q '^libcuda = .*softgpu' /etc/vgpu/vgpu.conf
check "the mediator went on" test "$(systemctl show -P MainPID vgpu-mediatord)" = "$pid"
check "with the old program" sh -c 'readlink "/proc/$1/exe" | grep deleted' - "$pid"
check "its unit is still enabled" systemctl is-enabled vgpu-mediatord
check "the exporter was started again" systemctl is-active vgpu-exporter
check "with the new program" test "$(systemctl show -P MainPID vgpu-exporter)" != "$exporter"
guest_run g 'touch /tmp/one/copy /tmp/one/end'
check "the program went on" guest_join g "$one"
check "new programs compute, too" guest_run g 'runuser -u games -- vectoradd'
two=$(guest_start g 'runuser -u games -- zerocopy 4 /tmp/two')
check "a program computes" wait_until 60 job_says g "$two" registered
check "the mediator starts again" systemctl restart vgpu-mediatord
check "and is of the new version" test "$(readlink "/proc/$(systemctl show -P MainPID vgpu-mediatord)/exe")" = \
	/usr/sbin/vgpu-mediatord
guest_run g 'touch /tmp/two/copy /tmp/two/end'
check "the program has lost its device" lost "$two"
check "a new program computes" guest_run g 'runuser -u games -- vectoradd'
check "the doctor finds nothing wrong" vgpuctl doctor

step "the guest's package goes"
check "vgpu-guest is removed" guest_run g 'apt-get -y -q remove vgpu-guest && rmmod vgpu_guest'
check "there is no CUDA" guest_run g '! runuser -u games -- vectoradd'
check "and purged, with what only it needed" guest_run g 'apt-get -y -q purge --autoremove vgpu-guest'
check "nothing of it runs" guest_run g '! grep vgpu /proc/modules && ! ls /dev/vgpu* && ! ls -d /run/*vgpu*'
/rig/snapshot /srv/guest >/run/snapshot.after.guest
check "nothing is left" same .guest
check "the guest shuts down" guest_stop g

step "the host's package goes"
check "the mdev is stopped" mdevctl stop -u "$uuid"
check "and undefined" mdevctl undefine -u "$uuid"
check "vgpu-host is removed" apt remove vgpu-host
check "the mediator has ended" sh -c '! systemctl is-active vgpu-mediatord'
check "and the exporter, too" sh -c '! systemctl is-active vgpu-exporter'
check "the configuration is still there" test -e /etc/vgpu/vgpu.conf
# apt would keep what other packages suggest, though nothing else brought it.
all="-o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false"
# shellcheck disable=SC2086
check "vgpu-host is purged, with what only it needed" apt $all purge --autoremove vgpu-host
check "vgpu_host unloads" modprobe -r vgpu_host
sed -i 's,/srv/next,/srv/repo,' /etc/apt/sources.list
# mdevctl keeps the folder of a parent.
rmdir /etc/mdevctl.d/vgpu
[ ! -h /usr/sbin/mdevctl ] || rm /usr/sbin/mdevctl
/rig/snapshot >/run/snapshot.after
check "nothing is left" same ""
