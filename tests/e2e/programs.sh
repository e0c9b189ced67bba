# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 900
# Every CUDA program in a guest; then one with an illegal address beside one
# that computes, which must not notice.
. /rig/parts/programs.sh

host_up
uuid=$(vgpu_create "$(vgpu_types | head -n1)") || die "an mdev is created"
guest_boot g "$RIG_GUEST" "$uuid"
check "the guest comes up" guest_wait g || exit 1

programs g "$uuid"

step "nothing stays behind"
check "no device memory is in use" idle "$uuid"
check "the guest shuts down" guest_stop g
check "the mdev is removed" vgpu_remove "$uuid"
check "the host lets go" host_down
