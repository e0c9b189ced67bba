# SPDX-License-Identifier: Apache-2.0
# guests: uml
# timeout: 120
# modules: none
# must fail: BUG: planted
guest_boot g uml none
check "the guest comes up" guest_wait g || exit 1
guest_run g 'echo "BUG: planted in the guest" >/dev/kmsg'
check "the guest shuts down" guest_stop g
