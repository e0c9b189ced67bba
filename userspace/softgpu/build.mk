# SPDX-License-Identifier: Apache-2.0
# libvgpu-softgpu.so, and the same under the name that programs load: $(O)/softgpu/libcuda.so.1

O ?= build
CC ?= gcc
CUDA_ABI_DIR ?= $(O)/gen

SOFTGPU_SRC := $(wildcard userspace/softgpu/*.c)
SOFTGPU_OBJ := $(SOFTGPU_SRC:%.c=$(O)/obj/%.o) \
	$(VG_EXPORT_SRCS:userspace/common/%.c=$(O)/obj/softgpu-common/%.o)
SOFTGPU_LIB := $(O)/lib/libvgpu-softgpu.so
SOFTGPU_DIR := $(O)/softgpu

# Lanes wrap around and are seen as several types; a multiply and an add stay two roundings.
SOFTGPU_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden -fwrapv \
	-fno-strict-aliasing -ffp-contract=off -fno-math-errno -pthread \
	-Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes $(HARDEN_CFLAGS)

# Standalone use: the generated header may come from elsewhere.
$(O)/obj/userspace/softgpu/%.o: userspace/softgpu/%.c | $(wildcard $(VG_GEN_FILES))
	@mkdir -p $(@D)
	$(CC) $(SOFTGPU_CFLAGS) -I$(CUDA_ABI_DIR) -Iuserspace/softgpu -Iuserspace -MMD -MP -c $< -o $@

$(O)/obj/softgpu-common/%.o: userspace/common/%.c | $(wildcard $(VG_GEN_FILES))
	@mkdir -p $(@D)
	$(CC) $(SOFTGPU_CFLAGS) $(VG_EXPORT_CPPFLAGS) -I$(CUDA_ABI_DIR) -Iuserspace -MMD -MP -c $< -o $@

ifneq ($(VG_GEN_FILES),)
$(SOFTGPU_OBJ): $(filter %/cuda_abi.h,$(VG_GEN_FILES))
endif

$(SOFTGPU_LIB): $(SOFTGPU_OBJ)
	@mkdir -p $(@D)
	$(CC) -shared -pthread $(HARDEN_LDFLAGS) -Wl,-soname,libcuda.so.1 -Wl,-z,defs -o $@ $^ -llz4 -lzstd -lm

$(SOFTGPU_DIR)/libcuda.so.1: $(SOFTGPU_LIB)
	@mkdir -p $(@D)
	ln -sf $(abspath $<) $@

softgpu: $(SOFTGPU_LIB) $(SOFTGPU_DIR)/libcuda.so.1
.PHONY: softgpu

ALL += softgpu

-include $(SOFTGPU_OBJ:.o=.d)
