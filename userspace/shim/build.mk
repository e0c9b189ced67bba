# SPDX-License-Identifier: Apache-2.0
# libcuda.so.1 of the guest.

# INTEGRITY=n leaves out the answer to cudart's integrity check (shim/integrity.c).
INTEGRITY ?= y
$(O)/obj/userspace/shim/%.o: CPPFLAGS += $(if $(filter y,$(INTEGRITY)),-DVG_INTEGRITY)

VG_SHIM := $(O)/lib/libcuda.so.1
VG_SHIM_SRCS := $(filter-out $(if $(filter y,$(INTEGRITY)),,%/integrity.c),\
		$(wildcard userspace/shim/*.c)) \
	$(VG_CLIENT_SRCS) userspace/common/log.c \
	$(addprefix $(O)/gen/,shim_wire.c shim_exports.c shim_tables.c)

# What is not exported must not be seen by, or seen from, the program.  Threads of the
# library's may be in it when the program closes it.
$(VG_SHIM): $(call vg-objs,$(VG_SHIM_SRCS)) $(O)/gen/libcuda.map
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic \
		-Wl,--version-script=$(O)/gen/libcuda.map -Wl,-z,defs -Wl,-z,relro -Wl,-z,now \
		-Wl,-z,nodelete \
		-o $@ $(filter %.o,$^) -lpthread

ALL += $(VG_SHIM)
