# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# must fail: not ok: one and one is three
check "one and one is two" test $((1 + 1)) = 2
check "one and one is three" test $((1 + 1)) = 3
check "and the rest still runs" true
