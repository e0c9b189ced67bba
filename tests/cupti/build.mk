# SPDX-License-Identifier: Apache-2.0
# The guest's libcupti.
VG_TC := $(O)/tests/cupti

$(VG_TC)/cupti_test: tests/cupti/cupti_test.c $(O)/lib/libcuda.so.1 $(O)/lib/libcupti.so.13
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< -L$(O)/lib -l:libcupti.so.13 -l:libcuda.so.1 -lcmocka \
		-lpthread

check-cupti: $(VG_TC)/cupti_test all	## the guest's libcupti
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G $(VG_TC)/cupti_test
.PHONY: check-cupti

tests: $(VG_TC)/cupti_test
TESTS += check-cupti
