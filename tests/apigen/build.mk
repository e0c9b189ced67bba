# SPDX-License-Identifier: Apache-2.0
# Tests of the generator, of what it generates, and of the shim.

VG_TA := $(O)/tests/apigen

# A stand-in for the driver, for tests of the wire alone.
$(VG_TA)/libdouble.so: tests/apigen/double.c | $(O)/gen/stamp
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -shared -o $@ $<

$(VG_TA)/shim_test: tests/apigen/shim_test.c $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< -L$(O)/lib -l:libcuda.so.1 -lpthread

.PHONY: check-shim
check-shim: $(VG_TA)/shim_test $(VG_TA)/libdouble.so $(VG_EXEC) $(O)/bin/vgpu-mediatord
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 256M $(VG_TA)/shim_test
