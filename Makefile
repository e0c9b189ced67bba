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
# What the host runs meets hostile input.  FORTIFY needs optimisation; a build with a
# sanitizer says HARDEN=n, since both replace the same functions.
HARDEN	?= y
ifeq ($(HARDEN),y)
HARDEN_CFLAGS := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
HARDEN_LDFLAGS := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
HARDEN_PIE := -pie
endif
CFLAGS	+= $(HARDEN_CFLAGS)
LDFLAGS	+= $(HARDEN_LDFLAGS)
CPPFLAGS += -D_GNU_SOURCE -Iinclude/uapi -Iinclude -Iuserspace -Iuserspace/common \
	-Iuserspace/executor -I$(O)/gen

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

# The version has one source, the file VERSION.
VG_VERSION := $(shell cat VERSION)
$(O)/gen/vg_version.h: VERSION
	@mkdir -p $(@D)
	@printf '/* Generated from the file VERSION. */\n#define VG_VERSION "%s"\n' '$(VG_VERSION)' >$@

# An object stands at its source's place below $(O)/obj, a generated source's
# below $(O)/obj/gen.  All may end up in a shared library.
vg-objs = $(patsubst %.c,$(O)/obj/%.o,$(patsubst $(O)/%,%,$(1)))

$(O)/obj/gen/%.o: $(O)/gen/%.c | $(O)/gen/stamp
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

$(O)/obj/%.o: %.c | $(O)/gen/stamp $(O)/gen/vg_version.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

# $(call vg-program,FILE,SOURCES,LIBRARIES)
define vg-program
$(1): $(call vg-objs,$(2))
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) $$(HARDEN_PIE) -o $$@ $$(filter %.o,$$^) $(3)
endef

# Each folder says what it makes; ALL gathers what `make` builds.
ALL :=
TESTS :=
include $(sort $(wildcard tools/*/build.mk))
include $(sort $(wildcard userspace/*/build.mk))
include kubernetes/build.mk
include $(sort $(wildcard tests/*/build.mk))
include packaging/build.mk
-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

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
	@$(PYTHON) tools/help.py $(MAKEFILE_LIST)
.PHONY: help
