# SPDX-License-Identifier: Apache-2.0
# guests: uml
# timeout: 120
# modules: none
# must fail: not ok: a command whose guest dies
guest_boot g uml none
check "the guest comes up" guest_wait g || exit 1
job=$(guest_start g 'sleep 1000')
guest_kill g KILL
check "a command whose guest dies" guest_join g "$job" 20
