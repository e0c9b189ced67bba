# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 200
# modules: none
# must fail: not ok: a guest that dies early comes up
# It dies also when it is booted again by TCG.
begins() { grep -q "Linux version" "$VM/$1/console.log"; }
host_modules
guest_boot g qemu none
check "the guest's kernel begins" wait_until 60 begins g
guest_kill g KILL
check "a guest that dies early comes up" guest_wait g
