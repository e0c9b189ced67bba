# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 90
# must fail: ended by signal 11
host_up
# shellcheck disable=SC2046
check "an executor crashes" kill -SEGV $(executors)
# On a busy machine the mediator sees its end some time after the signal.
check "the mediator sees it end" wait_until 10 grep -q "ended by signal 11" /run/mediator.log
check "the mediator has another" mediator_answers
