# SPDX-License-Identifier: Apache-2.0
VG_BENCH := $(O)/tests/bench

$(eval $(call vg-program,$(VG_BENCH)/ring,tests/bench/ring.c $(VG_CLIENT_SRCS),-lpthread))

# Of any libcuda: the one that LD_LIBRARY_PATH names.
$(VG_BENCH)/calls: $(call vg-objs,tests/bench/calls.c tests/counts/syscalls.c) $(O)/lib/libcuda.so.1
$(VG_BENCH)/copies: $(call vg-objs,tests/bench/copies.c) $(O)/lib/libcuda.so.1
$(VG_BENCH)/image: $(call vg-objs,tests/bench/image.c) $(O)/lib/libcuda.so.1
$(VG_BENCH)/device_copies: $(call vg-objs,tests/bench/device_copies.c) $(O)/lib/libcuda.so.1
$(VG_BENCH)/followers: $(call vg-objs,tests/bench/followers.c) $(O)/lib/libcuda.so.1
$(VG_BENCH)/share: $(call vg-objs,tests/bench/share.c) $(O)/lib/libcuda.so.1
$(addprefix $(VG_BENCH)/,calls copies image device_copies followers share):
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(O)/lib -l:libcuda.so.1 -lpthread

# In a guest they lie with the other test programs.
$(O)/tests/guest/bench_%: $(VG_BENCH)/%
	@mkdir -p $(@D)
	cp $< $@

VG_BENCH_GUEST := $(O)/tests/guest/bench_ring $(O)/tests/guest/bench_calls
tests: $(VG_BENCH_GUEST)

bench: deps all tests	## what calls cost: natively, over the socket, in a guest
	tests/bench/run $(O)
.PHONY: bench

tests: $(addprefix $(VG_BENCH)/,ring calls copies image device_copies followers share)
