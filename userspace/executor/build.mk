# SPDX-License-Identifier: Apache-2.0
VG_EXEC := $(O)/bin/vgpu-executor
VG_EXEC_SRCS := $(wildcard userspace/executor/*.c) userspace/common/log.c \
	userspace/common/fdpass.c $(O)/gen/executor_cuda.c $(O)/gen/executor_decode.c

# Between two of the driver's launches the executor runs 380 instructions, nearly half of
# which are calls from one of its functions to another; 220 when these are inlined.
VG_EXEC_OPT := -finline-functions -flto=auto
$(call vg-objs,$(filter-out userspace/common/%,$(VG_EXEC_SRCS))): \
	CFLAGS += $(VG_EXEC_OPT) -ffat-lto-objects
$(VG_EXEC): private CFLAGS += $(VG_EXEC_OPT)

$(eval $(call vg-program,$(VG_EXEC),$(VG_EXEC_SRCS),-ldl -lpthread -lseccomp))
ALL += $(VG_EXEC)
