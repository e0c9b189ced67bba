# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# The control: this one has to pass.
check "the host boots" true
rounds 3 "three rounds" test 4 -gt
