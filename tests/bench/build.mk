# SPDX-License-Identifier: Apache-2.0
VG_BENCH := $(O)/tests/bench

$(eval $(call vg-program,$(VG_BENCH)/ring,tests/bench/ring.c $(addprefix userspace/common/,\
	arena.c client.c fdpass.c share.c transport_dev.c transport_socket.c),-lpthread))

# Of any libcuda: the one that LD_LIBRARY_PATH names.
$(VG_BENCH)/calls: $(call vg-objs,tests/bench/calls.c) $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(O)/lib -l:libcuda.so.1

tests: $(VG_BENCH)/ring $(VG_BENCH)/calls
