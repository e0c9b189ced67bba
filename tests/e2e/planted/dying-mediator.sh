# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 90
# must fail: not ok: the mediator lives until it is stopped
host_up
check "the mediator answers" vgpuctl status
kill -KILL "$(mediator_pid)"
# On a busy machine it ends some time after the signal; the rig looks once.
check "the mediator is dead" wait_until 10 _gone "$(mediator_pid)"
