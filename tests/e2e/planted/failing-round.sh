# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# must fail: not ok: rounds below four
rounds 5 "rounds below four" test 4 -gt
