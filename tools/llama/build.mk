# SPDX-License-Identifier: Apache-2.0
# llama.cpp on vgpu.  What it needs of npm and Debian is fetched by `demo`, not built here.

LLAMA := $(O)/llama
LLAMA_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra $(WERROR)

$(LLAMA)/generate: tools/llama/generate.c
	@mkdir -p $(@D)
	$(CC) $(LLAMA_CFLAGS) -o $@ $< -ldl -lm

$(LLAMA)/libcublas.so.12: tools/llama/cublas.c tools/llama/cublas.map
	@mkdir -p $(@D)
	$(CC) $(LLAMA_CFLAGS) -shared -fPIC -Wl,-soname,$(@F) \
		-Wl,--version-script=tools/llama/cublas.map -o $@ $<

$(LLAMA)/model.gguf: tools/llama/model.py
	@mkdir -p $(@D)
	$(PYTHON) $< $@

llama: $(LLAMA)/generate $(LLAMA)/libcublas.so.12 $(LLAMA)/model.gguf
.PHONY: llama

demo-llama: deps	## llama.cpp on the CPU and through vgpu (GUEST=qemu: in a guest, too)
	@$(MAKE) --no-print-directory all llama
	tools/llama/demo $(if $(GUEST),--guest)
.PHONY: demo-llama

ALL += llama
