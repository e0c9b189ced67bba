# SPDX-License-Identifier: Apache-2.0
# libcupti.so.13 of the guest, and the same for programs of CUDA 12.

VG_CUPTI_SRCS := $(wildcard userspace/cupti/*.c)
VG_CUPTI_OBJS := $(call vg-objs,$(VG_CUPTI_SRCS))

# CUPTI's own number of its version; records of 13 begin like those of 12 (cupti_abi.h).
VG_CUPTI_API_13 := 130001
VG_CUPTI_API_12 := 26

# $(call vg-cupti,MAJOR)
define vg-cupti
$(O)/gen/cupti/libcupti.$(1).map: userspace/cupti/functions.def
	@mkdir -p $$(@D)
	@{ echo 'libcupti.so.$(1) {'; echo 'global:'; \
		sed -n 's/^[A-Z]*(\([A-Za-z0-9_]*\))$$$$/\t\1;/p' $$<; \
		echo 'local:'; echo '	*;'; echo '};'; } >$$@

$(O)/obj/userspace/cupti/results.$(1).o: userspace/cupti/results.c | $(O)/gen/stamp
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS) -fPIC -MMD -MP -DVG_CUPTI_VERSION=$(VG_CUPTI_API_$(1)) -c -o $$@ $$<

$(O)/lib/libcupti.so.$(1): $(filter-out %/results.o,$(VG_CUPTI_OBJS)) \
		$(O)/obj/userspace/cupti/results.$(1).o $(O)/gen/cupti/libcupti.$(1).map \
		$(VG_OLD_GLIBC)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -shared -Wl,-soname,libcupti.so.$(1) -Wl,-Bsymbolic \
		-Wl,--version-script=$(O)/gen/cupti/libcupti.$(1).map -Wl,-z,defs -Wl,-z,nodelete \
		-o $$@ $$(filter %.o,$$^) $(VG_OLD_GLIBC)

ALL += $(O)/lib/libcupti.so.$(1)
endef

$(eval $(call vg-cupti,12))
$(eval $(call vg-cupti,13))
