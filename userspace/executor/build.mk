# SPDX-License-Identifier: Apache-2.0
VG_EXEC := $(O)/bin/vgpu-executor
VG_EXEC_SRCS := $(wildcard userspace/executor/*.c) userspace/common/log.c \
	userspace/common/fdpass.c $(O)/gen/executor_cuda.c $(O)/gen/executor_decode.c

$(eval $(call vg-program,$(VG_EXEC),$(VG_EXEC_SRCS),-ldl -lpthread -lseccomp))
ALL += $(VG_EXEC)
