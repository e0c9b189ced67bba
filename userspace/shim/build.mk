# SPDX-License-Identifier: Apache-2.0
# libcuda.so.1 of the guest.

VG_SHIM := $(O)/lib/libcuda.so.1
VG_SHIM_SRCS := $(wildcard userspace/shim/*.c) $(VG_CLIENT_SRCS) $(VG_EXPORT_SRCS) userspace/common/log.c \
	$(addprefix $(O)/gen/,shim_wire.c shim_exports.c shim_tables.c)

# The shim is part of the guest's program, and what it reads comes from the program and the
# host, which owns the program's memory anyway.  A stack protector would guard no boundary
# and would cost each launch some ten instructions in three functions.
$(call vg-objs,$(filter-out userspace/common/%,$(VG_SHIM_SRCS))): \
	CFLAGS += -fno-stack-protector

# What is not exported must not be seen by, or seen from, the program.  Threads of the
# library's may be in it when the program closes it.
$(VG_SHIM): $(call vg-objs,$(VG_SHIM_SRCS)) $(O)/gen/libcuda.map $(VG_OLD_GLIBC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic \
		-Wl,--version-script=$(O)/gen/libcuda.map -Wl,-z,defs \
		-Wl,-z,nodelete \
		-o $@ $(filter %.o,$^) $(VG_OLD_GLIBC)

ALL += $(VG_SHIM)
