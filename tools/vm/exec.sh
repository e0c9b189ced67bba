# SPDX-License-Identifier: Apache-2.0
# guests: any
# timeout: 300
# What `run --exec COMMAND` does: one guest on one mdev, one command in it.
host_up
type=${RIG_TYPE:-$(vgpu_types | head -n1)}
uuid=$(vgpu_create "$type") || die "an mdev of type $type is created"
guest_boot guest "$RIG_GUEST" "$uuid"
guest_wait guest || die "the guest comes up"
guest_run guest "$RIG_COMMAND" 200
status=$?
guest_stop guest
vgpu_remove "$uuid"
exit $status
