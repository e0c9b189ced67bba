# SPDX-License-Identifier: Apache-2.0
VG_EXEC := $(O)/bin/vgpu-executor
VG_EXEC_SRCS := $(wildcard userspace/executor/*.c) userspace/common/log.c \
	userspace/common/fdpass.c $(O)/gen/executor_cuda.c $(O)/gen/executor_decode.c

# Of a launch a third of the instructions are calls from one file to another.
VG_EXEC_OWN := $(call vg-objs,$(filter-out userspace/common/%,$(VG_EXEC_SRCS)))
$(VG_EXEC_OWN): CFLAGS += -flto=auto -ffat-lto-objects
$(VG_EXEC): private CFLAGS += -flto=auto

$(eval $(call vg-program,$(VG_EXEC),$(VG_EXEC_SRCS),-ldl -lpthread -lseccomp))
ALL += $(VG_EXEC)
