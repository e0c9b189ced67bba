# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# must fail: WARNING: CPU: 0 PID: 1 at planted
check "the host boots" true
echo 'WARNING: CPU: 0 PID: 1 at planted/warning.c:1' >/dev/kmsg
