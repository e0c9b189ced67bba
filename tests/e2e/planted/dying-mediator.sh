# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 90
# must fail: not ok: the mediator lives until it is stopped
host_up
check "the mediator answers" vgpuctl status
kill -KILL "$(mediator_pid)"
