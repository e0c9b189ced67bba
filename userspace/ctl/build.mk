# SPDX-License-Identifier: Apache-2.0
VG_CTL := $(O)/bin/vgpuctl

$(eval $(call vg-program,$(VG_CTL),$(wildcard userspace/ctl/*.c) userspace/common/ask.c,\
	-ljson-c -lsqlite3 -ldl))
ALL += $(VG_CTL)
