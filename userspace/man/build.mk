# SPDX-License-Identifier: Apache-2.0
.PHONY: check-man
check-man: $(O)/bin/vgpuctl $(O)/bin/vgpu-mediatord $(O)/bin/vgpu-executor \
		$(O)/bin/vgpu-exporter	## the manual pages against the programs
	userspace/man/check $(O)/bin
