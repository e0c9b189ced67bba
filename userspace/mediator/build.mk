# SPDX-License-Identifier: Apache-2.0
VG_MEDIATOR := $(O)/bin/vgpu-mediatord
VG_MEDIATOR_SRCS := $(wildcard userspace/mediator/*.c) userspace/common/log.c \
	userspace/common/fdpass.c userspace/common/settings.c

$(eval $(call vg-program,$(VG_MEDIATOR),$(VG_MEDIATOR_SRCS),-linih -ljson-c -lseccomp -lsqlite3 -lpthread))
ALL += $(VG_MEDIATOR)
