# SPDX-License-Identifier: GPL-2.0
# Compile probes: compat/probes/NAME.c compiles => -DHAVE_NAME (upper case).
# Used from a module's Kbuild, with the flags of the kernel being built for.
vgpu-probe-cc = $(CC) $(NOSTDINC_FLAGS) $(LINUXINCLUDE) $(KBUILD_CPPFLAGS) $(KBUILD_CFLAGS) \
	-DMODULE -DKBUILD_MODNAME='"probe"' -Werror -fsyntax-only
vgpu-probe = $(shell $(vgpu-probe-cc) $(1) 2>/dev/null && \
	echo -DHAVE_$$(basename $(1) .c | tr a-z A-Z))
vgpu-probes = $(foreach p,$(sort $(wildcard $(1)/*.c)),$(call vgpu-probe,$(p)))
