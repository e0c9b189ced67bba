# SPDX-License-Identifier: Apache-2.0
# guests: uml
# timeout: 120
# modules: none
# must fail: not ok: a command that hangs
guest_boot g uml none
check "the guest comes up" guest_wait g || exit 1
check "a command that hangs" guest_run g 'sleep 1000' 3
