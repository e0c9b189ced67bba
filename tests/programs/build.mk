# SPDX-License-Identifier: Apache-2.0
# The CUDA programs: kernels by clang, hosts in C against a stub libcuda.so.1.

O ?= build
CC ?= gcc
CLANG ?= clang
CUDA_ABI_DIR ?= $(O)/gen

PROGRAMS := $(patsubst tests/programs/%.c,%,$(wildcard tests/programs/*.c))
PROGRAM_DIR := $(O)/programs
PROGRAM_BIN := $(PROGRAMS:%=$(PROGRAM_DIR)/%)
PROGRAM_PTX := $(patsubst tests/programs/kernels/%.cu,$(PROGRAM_DIR)/ptx/%.ptx,\
	$(wildcard tests/programs/kernels/*.cu))
PROGRAM_STUB := $(PROGRAM_DIR)/stub/libcuda.so
PROGRAM_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pthread \
	-Wno-unused-function

$(PROGRAM_DIR)/ptx/%.ptx: tests/programs/kernels/%.cu tests/programs/kernels/cuda_min.h
	@mkdir -p $(@D)
	$(CLANG) -x cuda --cuda-device-only --cuda-path=/nonexistent -nocudainc -nocudalib \
		--cuda-gpu-arch=sm_70 -Xclang -target-feature -Xclang +ptx63 \
		-Wall -Werror -O2 -S $< -o $@

.SECONDARY: $(PROGRAM_PTX)

# Every prototype becomes an empty function, so that linking needs no driver.
$(PROGRAM_DIR)/stub/libcuda.c: $(CUDA_ABI_DIR)/cuda_abi.h
	@mkdir -p $(@D)
	sed -n 's/^CUresult \(cu[A-Za-z0-9_]*\)(.*/int \1(void) { return 34; }/p' $< >$@

$(PROGRAM_STUB): $(PROGRAM_DIR)/stub/libcuda.c
	$(CC) -shared -fPIC -fno-builtin -w -Wl,-soname,libcuda.so.1 -o $@ $<

$(PROGRAM_DIR)/%: tests/programs/%.c tests/programs/prog.h $(PROGRAM_PTX) $(PROGRAM_STUB)
	$(CC) $(PROGRAM_CFLAGS) -I$(CUDA_ABI_DIR) -Wa,-I$(PROGRAM_DIR)/ptx -o $@ $< \
		$(PROGRAM_STUB) -lm -ldl

programs: $(PROGRAM_BIN)
.PHONY: programs

# Runs them all on the software GPU: once with clang's kernels, once with nvcc's.
check-programs: programs softgpu
	tests/programs/run $(PROGRAM_DIR) $(O)/softgpu
	PROGRAM_PTX_DIR=tests/programs/nvcc tests/programs/run $(PROGRAM_DIR) $(O)/softgpu
.PHONY: check-programs

ALL += programs
TESTS += check-programs
