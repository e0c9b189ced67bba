# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 600
# What an operator sets for a VM's vGPU counts while the VM runs, and after another mediator.
mkdir -p /var/lib/vgpu
host_up
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
guest_boot g "$RIG_GUEST" "$uuid"
check "the guest comes up" guest_wait g || exit 1

refused() { ! program g vectoradd 1048576; }
has_event() { vgpuctl events --json --vgpu "$uuid" | grep -q "\"event\":\"$1\""; }
# What a program that is refused prints, by a word of it.
told() { guest_run g 'vectoradd 1048576' >/run/told; grep -F "$1" /run/told || { cat /run/told; return 1; }; }
says_drained() { vgpuctl events --json --vgpu "$uuid" | grep -q "operator has drained"; }

step "device memory, by what is set now"
check "12 MiB fit" program g vectoradd 1048576
check "a limit of 8 MiB is set" vgpuctl set "$uuid" memory=8M
check "12 MiB do not fit" refused
vgpuctl show "$uuid"
check "another mediator is started" eval 'mediator_stop && mediator_start'
check "12 MiB still do not fit" refused
check "the limit is taken back" vgpuctl unset "$uuid" memory
check "12 MiB fit again" program g vectoradd 1048576

step "a kernel that never ends"
check "a limit of a second is set" vgpuctl set "$uuid" kernel_seconds=1
check "its program is told" program g forever
check "an event says it" wait_until 20 has_event kernel-timeout
check "other programs go on" program g vectoradd 1048576

step "quarantine"
check "one fault is to be enough" vgpuctl set "$uuid" faults=1
check "there is one" program g forever
check "an event says it" wait_until 20 has_event quarantine
check "no new program is served" refused
check "and it says why" told "(vgpuctl release)"
vgpuctl status
check "another mediator is started" eval 'mediator_stop && mediator_start'
check "no new program is served, either" refused
check "the vGPU is released" vgpuctl release "$uuid"
check "programs are served" program g vectoradd 1048576

step "drain"
check "what was set before is taken back" vgpuctl unset "$uuid" kernel_seconds faults
check "the vGPU is drained, and no program runs" vgpuctl drain "$uuid" --wait 60
check "no new program is served" refused
check "and it says why" told "(vgpuctl drain)"
check "an event says it" wait_until 20 says_drained
check "the drain is taken back" vgpuctl undrain "$uuid"
check "programs are served" program g vectoradd 1048576
check "all are drained" vgpuctl drain --all
check "no new program is served, either" refused
check "and it says why" told "(vgpuctl drain)"
check "another mediator is started" eval 'mediator_stop && mediator_start'
check "it serves programs" program g vectoradd 1048576

step "as many programs as may"
check "two may run" vgpuctl set "$uuid" programs=2
one=$(guest_start g 'zerocopy 1 /tmp')
two=$(guest_start g 'zerocopy 1 /tmp')
check "two run" wait_until 120 eval 'job_says g "$one" registered && job_says g "$two" registered'
check "a third is not served" refused
check "and it says why" told "[limits] programs"
guest_run g 'touch /tmp/copy /tmp/end'
check "one ends well" guest_join g "$one"
check "the other, too" guest_join g "$two"
check "the limit is taken back" vgpuctl unset "$uuid" programs
check "programs are served" program g vectoradd 1048576

step "nothing stays behind"
check "no device memory is in use" idle "$uuid"
check "the guest shuts down" guest_stop g
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
