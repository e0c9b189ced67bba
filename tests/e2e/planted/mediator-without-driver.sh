# SPDX-License-Identifier: Apache-2.0
# guests: none
# timeout: 90
# must fail: not ok: the mediator is up
RIG_MEDIATOR_SECONDS=2
RIG_LIBCUDA=/nowhere/libcuda.so.1
host_up
