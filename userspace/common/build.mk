# SPDX-License-Identifier: Apache-2.0
# The guest's end of a channel, for whoever has one.
VG_CLIENT_SRCS := $(addprefix userspace/common/,arena.c client.c client_connect.c client_wait.c \
	fdpass.c settings.c share.c transport_dev.c transport_socket.c)

# The export tables of a libcuda: the shim's and softgpu's.  INTEGRITY=n leaves out the answer to
# cudart's integrity check (integrity.c).
INTEGRITY ?= y
VG_EXPORT_SRCS := $(addprefix userspace/common/,export_tables.c export_unknown.c storage.c \
	$(if $(filter y,$(INTEGRITY)),integrity.c))
VG_EXPORT_CPPFLAGS := $(if $(filter y,$(INTEGRITY)),-DVG_INTEGRITY)
$(O)/obj/userspace/common/export_tables.o: CPPFLAGS += $(VG_EXPORT_CPPFLAGS)

include userspace/common/old_glibc.mk
