# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# must fail: the scenario ended with status 3
check "the host boots" true
exit 3
