# SPDX-License-Identifier: Apache-2.0
VG_EXPORTER := $(O)/bin/vgpu-exporter

$(eval $(call vg-program,$(VG_EXPORTER),$(wildcard userspace/exporter/*.c) userspace/common/ask.c,\
	-lmicrohttpd -ljson-c))
ALL += $(VG_EXPORTER)
