# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 60
# modules: none
# must fail: the scenario checked nothing
step "nothing"
