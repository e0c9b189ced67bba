# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# must fail: the host VM ended before the scenario did
check "the host boots" true
reboot -f
