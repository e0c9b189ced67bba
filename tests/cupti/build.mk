# SPDX-License-Identifier: Apache-2.0
# The guest's libcupti.
VG_TC := $(O)/tests/cupti

$(VG_TC)/cupti_test: tests/cupti/cupti_test.c $(O)/lib/libcuda.so.1 $(O)/lib/libcupti.so.13
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< -L$(O)/lib -l:libcupti.so.13 -l:libcuda.so.1 -lcmocka \
		-lpthread

check-cupti: $(VG_TC)/cupti_test all	## the guest's libcupti
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G $(VG_TC)/cupti_test
.PHONY: check-cupti

# Our declarations against NVIDIA's headers, where they are; what is exported, by the list.
VG_CUPTI_H := $(firstword $(wildcard $(CUDA_HOME)/include/cupti.h \
	$(CUDA_HOME)/extras/CUPTI/include/cupti.h))

check-cupti-conform: $(O)/lib/libcupti.so.13 $(O)/lib/libcupti.so.12
	@if grep -qs 'define CUPTI_API_VERSION 130001' $(dir $(VG_CUPTI_H))cupti_version.h; then \
		tests/cupti/exports $^ -- $(dir $(VG_CUPTI_H))cupti*.h && \
		$(CC) -std=gnu11 -Wall -Werror -fsyntax-only -I$(dir $(VG_CUPTI_H)) \
			-I$(CUDA_HOME)/include -Iuserspace/cupti tests/cupti/conform.c && \
		echo "cupti: $$(cat tests/cupti/conform.c userspace/cupti/driver_cbid.def \
			userspace/cupti/results.def | grep -cE '^[A-Z0-9]+\(') facts agree with" \
			"NVIDIA's headers"; \
	else \
		tests/cupti/exports $^; \
		echo "cupti: not compared with NVIDIA's headers, of which those of 13.0 are not there"; \
	fi
.PHONY: check-cupti-conform

tests: $(VG_TC)/cupti_test
TESTS += check-cupti check-cupti-conform
