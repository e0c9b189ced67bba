# SPDX-License-Identifier: Apache-2.0
# Unit tests of softgpu, through the driver API. They would run on any other libcuda as well.

O ?= build
CC ?= gcc
CUDA_ABI_DIR ?= $(O)/gen

SOFTGPU_TESTS := $(patsubst tests/softgpu/%.c,$(O)/tests/softgpu/%,\
	$(wildcard tests/softgpu/test_*.c))
SOFTGPU_TEST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pthread \
	-fno-strict-aliasing -fwrapv -ffp-contract=off -frounding-math

$(O)/tests/softgpu/%: tests/softgpu/%.c tests/softgpu/harness.c tests/softgpu/harness.h \
		$(CUDA_ABI_DIR)/cuda_abi.h $(O)/programs/stub/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(SOFTGPU_TEST_CFLAGS) -I$(CUDA_ABI_DIR) -o $@ $< tests/softgpu/harness.c \
		$(O)/programs/stub/libcuda.so -lcmocka -llz4 -lzstd -lm

softgpu-tests: $(SOFTGPU_TESTS)
.PHONY: softgpu-tests

check-softgpu: softgpu-tests softgpu
	@rc=0; for t in $(SOFTGPU_TESTS); do \
		LD_LIBRARY_PATH=$(O)/softgpu VGPU_SOFTGPU_LOG=0 timeout 300 $$t || rc=1; \
	done; exit $$rc
.PHONY: check-softgpu

ALL += softgpu-tests
TESTS += check-softgpu
