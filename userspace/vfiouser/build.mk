# SPDX-License-Identifier: Apache-2.0
VG_VFIOUSER := $(O)/bin/vgpu-vfio-user
VG_VFIOUSER_SRCS := $(wildcard userspace/vfiouser/*.c) userspace/common/log.c \
	userspace/common/fdpass.c

$(eval $(call vg-program,$(VG_VFIOUSER),$(VG_VFIOUSER_SRCS),-lseccomp))
ALL += $(VG_VFIOUSER)
