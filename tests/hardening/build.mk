# SPDX-License-Identifier: Apache-2.0
.PHONY: check-hardening
check-hardening: all	## what the compiler and the linker are to add to each program and library
	tests/hardening/check $(O)/bin/* $(O)/lib/*
