# SPDX-License-Identifier: Apache-2.0
# guests: both
# timeout: 200
# modules: none
# must fail: not ok: a second guest comes up
# Nothing is done again once a program has run in a guest.
begins() { grep -q "Linux version" "$VM/$1/console.log"; }
host_modules
guest_boot a uml none
check "a guest comes up" guest_wait a || exit 1
check "a program runs in it" guest_run a true
guest_boot b qemu none
check "the second guest's kernel begins" wait_until 60 begins b
[ "$RIG_AGAIN" ] || guest_kill b KILL
check "a second guest comes up" guest_wait b
