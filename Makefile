# SPDX-License-Identifier: Apache-2.0
# For people; `make help` says what there is.  Objects of the kernel modules
# are in Kbuild, user space and tests in the build.mk of each folder.

O ?= build
export O

CC	?= gcc
CLANG	?= clang
PYTHON	?= python3

WERROR	?= -Werror
CFLAGS	?= -O2 -g
CFLAGS	+= -std=gnu11 -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -Iinclude/uapi -Iinclude -Iuserspace -I$(O)/gen

.DEFAULT_GOAL := all

# Each folder says what it makes; ALL gathers what `make` builds.
ALL :=
TESTS :=
-include $(sort $(wildcard tools/*/build.mk userspace/*/build.mk tests/*/build.mk))

all: $(ALL)	## user space
.PHONY: all

KDIR	?= /lib/modules/$(shell uname -r)/build
VGPU_MODULES ?= host guest
KMOD_OUT ?= $(O)/kmod

# The modules are built in a copy, so that several kernels can have theirs.
modules:	## both kernel modules for KDIR, into KMOD_OUT
	@mkdir -p $(KMOD_OUT)
	@cp -a --update Kbuild include host-kmod guest-kmod $(KMOD_OUT)/
	$(MAKE) -C $(KDIR) M=$(abspath $(KMOD_OUT)) VGPU_MODULES="$(VGPU_MODULES)" $(KMAKEFLAGS) modules
.PHONY: modules

clean:	## remove what was built
	rm -rf $(O)
.PHONY: clean

help:	## this list
	@sed -n 's/^\([a-z-]*\):.*## */  make \1\t/p' $(MAKEFILE_LIST) | sort | expand -t 22
.PHONY: help
