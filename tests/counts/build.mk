# SPDX-License-Identifier: Apache-2.0
VG_COUNTS := $(O)/tests/counts/counts

$(VG_COUNTS): $(call vg-objs,tests/counts/counts_test.c tests/counts/syscalls.c) $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(O)/lib -l:libcuda.so.1 -lcmocka

# Where other work has the CPUs, whoever waits for an answer sleeps, whatever the calls are like. So
# the program and its executor come before it, if that is allowed.
check-counts: $(VG_COUNTS) all	## what calls cost in records, system calls and copies
	@first=$$(chrt -r 1 true 2>/dev/null && echo chrt -r 1); \
	VGPU_TEST_CONF='[executor]\nspin_us = 1000000' \
		$$first tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G $(VG_COUNTS)
.PHONY: check-counts

tests: $(VG_COUNTS)
TESTS += check-counts
