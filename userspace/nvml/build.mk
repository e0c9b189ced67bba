# SPDX-License-Identifier: Apache-2.0
# libnvidia-ml.so.1 of the guest.

VG_NVML := $(O)/lib/libnvidia-ml.so.1
VG_NVML_SRCS := $(wildcard userspace/nvml/*.c) \
	$(VG_CLIENT_SRCS) userspace/common/log.c

$(VG_NVML): $(call vg-objs,$(VG_NVML_SRCS)) userspace/nvml/nvml.map $(VG_OLD_GLIBC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libnvidia-ml.so.1 -Wl,-Bsymbolic \
		-Wl,--version-script=userspace/nvml/nvml.map -Wl,-z,defs \
		-o $@ $(filter %.o,$^) $(VG_OLD_GLIBC)

ALL += $(VG_NVML)
