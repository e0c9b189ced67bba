# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 200
# modules: none
# A guest that dies early by KVM alone must not fail the scenario, because the emulated
# processor may be at fault. Other scenarios test that guests of TCG come up.
begins() { grep -q "Linux version" "$VM/$1/console.log"; }
host_modules
guest_boot g qemu none
check "the guest's kernel begins" wait_until 60 begins g
guest_kill g KILL
[ "$RIG_ACCEL" = tcg ] || check "the guest comes up" guest_wait g
