# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 90
# must fail: ended by signal 11
host_up
# shellcheck disable=SC2046
check "an executor crashes" kill -SEGV $(executors)
sleep 1
check "the mediator has another" mediator_answers
