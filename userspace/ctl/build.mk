# SPDX-License-Identifier: Apache-2.0
VG_CTL := $(O)/bin/vgpuctl

$(eval $(call vg-program,$(VG_CTL),userspace/ctl/vgpuctl.c,-ljson-c))
ALL += $(VG_CTL)
