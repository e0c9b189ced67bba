# SPDX-License-Identifier: Apache-2.0
# Tests of the generator, of what it generates, and of the shim.

VG_TA := $(O)/tests/apigen

# A stand-in for the driver, for tests of the wire alone.
VG_DOUBLE_SRCS := $(addprefix tests/apigen/,double.c double_capture.c double_green.c double_parts.c \
	double_sharing.c)

$(VG_TA)/libdouble.so: $(VG_DOUBLE_SRCS) tests/apigen/double.h tests/apigen/double_sharing.h | $(O)/gen/stamp
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -shared -o $@ $(VG_DOUBLE_SRCS)

$(VG_TA)/shim_test: tests/apigen/shim_test.c $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< -L$(O)/lib -l:libcuda.so.1 -lpthread

$(VG_TA)/sharing_test: tests/apigen/sharing_test.c userspace/common/fdpass.c \
		tests/apigen/double_sharing.h $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< userspace/common/fdpass.c -L$(O)/lib -l:libcuda.so.1

.PHONY: check-shim
check-shim: $(VG_TA)/shim_test $(VG_TA)/sharing_test $(O)/tests/proto/greens $(O)/tests/proto/ids $(VG_TA)/libdouble.so $(VG_EXEC) $(O)/bin/vgpu-mediatord
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 256M $(VG_TA)/shim_test
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 256M $(VG_TA)/sharing_test
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 256M $(O)/tests/proto/greens
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 256M $(O)/tests/proto/ids
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 256M tests/apigen/test_refused.py \
		$(O)/lib/libcuda.so.1

# Every decoder against malformed payloads.
$(O)/obj/gen/decoder_cases.o: CPPFLAGS += -Itests/apigen
VG_DECODER_SRCS := tests/apigen/decoder_test.c tests/apigen/decoder_stand_ins.c userspace/common/log.c \
	$(wildcard userspace/executor/calls_*.c) userspace/executor/pace.c userspace/executor/budget.c \
	userspace/executor/launched.c userspace/executor/linker.c userspace/executor/soft_ipc.c \
	userspace/executor/timing.c \
	$(addprefix $(O)/gen/,decoder_cases.c executor_decode.c executor_cuda.c)

$(eval $(call vg-program,$(VG_TA)/decoder_test,$(VG_DECODER_SRCS),-ldl -lpthread))

.PHONY: check-decoders
check-decoders: $(VG_TA)/decoder_test
	$(VG_TA)/decoder_test

# One entry of the specification is all that a new function takes.
.PHONY: check-made-up
check-made-up:
	tests/apigen/test_made_up.py

# The specification against a toolkit's header, where there is one of its version.
CUDA_HOME ?= /usr/local/cuda
VG_CUDA_H := $(CUDA_HOME)/include/cuda.h

.PHONY: check-conform
check-conform: $(O)/gen/stamp
	@if grep -qs 'define CUDA_VERSION 13000' $(VG_CUDA_H); then \
		$(CC) -std=gnu11 -Wall -fsyntax-only -I$(CUDA_HOME)/include $(O)/gen/conform.c && \
		echo "conform: $$(grep -cE '^(SIZE|OFFSET|EXTENT|VALUE)' $(O)/gen/conform.c) facts and" \
			"$$(grep -c '^CUresult' $(O)/gen/conform.c) prototypes agree with cuda.h"; \
	else \
		echo "conform: not run, for $(VG_CUDA_H) of CUDA 13.0 is not there"; \
	fi

.PHONY: check-lookup
check-lookup: $(O)/lib/libcuda.so.1 $(O)/lib/libvgpu-softgpu.so
	tests/apigen/test_lookup.py $<
	tests/apigen/test_lookup.py $(O)/lib/libvgpu-softgpu.so part

.PHONY: check-generator
check-generator:
	tests/apigen/test_apigen.py

.PHONY: check-apigen
check-apigen: check-generator check-conform check-lookup check-decoders check-made-up \
	check-shim check-tested check-driver check-answers check-nvml check-nvml-header \
	check-nvidia-smi	## the generator, the shim and the guest's NVML

# Behaviour of the driver, the same test for softgpu through the shim and for a real one.
VG_DRIVER_TEST_SRCS := $(wildcard tests/apigen/driver_*.c)

$(VG_TA)/driver_test: $(VG_DRIVER_TEST_SRCS) tests/apigen/driver_test.h $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(VG_REACHED) -o $@ $(VG_DRIVER_TEST_SRCS) -L$(O)/lib \
		-l:libcuda.so.1 -lpthread

# Functions that nothing reaches are left out, so that what they call does not count as tested.
VG_REACHED := -ffunction-sections -fdata-sections -Wl,--gc-sections

# What softgpu has of it; a machine with a GPU runs all (make gpu-check).
VG_SOFTGPU_GROUPS := device context functions library launches memory streams strings enumerate \
	callbacks values capture graphs host_nodes old_launches multi_device_launches \
	stream_attributes attached graph_nodes graph_edges graph_update graph_children \
	graph_params graph_captured capture_to_graph graph_dot conditionals graph_memory \
	user_objects batches managed_batches shapes advice old_host_memory old_registered \
	old_events awaited capture_moves failed_captures instantiation exec_nodes exec_children \
	exec_events dependencies code_files linked_again kernel_settings occupancy chosen_pools mapping \
	pinned_boxes captured_boxes sharing pointers logs output threads mapped_files \
	pinned_sizes copies_in_turn per_thread per_thread_captures contexts peer_devices device_limits \
	entry_points profiler log_files pools array_batches per_thread_arrays array_lines \
	array_facts arrays array_boxes textures texture_views outputs range_ends answers linking \
	link_options linking_files primary_reset graph_host_memory graph_host_params \
	graph_host_copies graph_host_order graph_host_boxes graph_host_bodies graph_host_streams \
	graph_host_ends graph_host_threads graph_host_destroyed graph_host_unmapped

# What softgpu lacks, and can be tried without GPU code.
VG_DOUBLE_GROUPS := green link_options

.PHONY: check-driver
check-driver: $(VG_TA)/driver_test $(VG_TA)/libdouble.so $(O)/lib/libvgpu-softgpu.so $(VG_EXEC) $(O)/bin/vgpu-mediatord \
		$(O)/programs/ipc
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G $(VG_TA)/driver_test \
		$(VG_SOFTGPU_GROUPS)
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 256M $(VG_TA)/driver_test \
		graph_limit graph_memory
	VGPU_SOFTGPU_DEVICES=2 tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G \
		$(VG_TA)/driver_test peer_devices
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 256M $(O)/programs/ipc 5000
	tests/apigen/with-mediator $(O) $(VG_TA)/libdouble.so 1G $(VG_TA)/driver_test $(VG_DOUBLE_GROUPS)
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 256M tests/apigen/test_unload.py \
		$(O)/lib/libcuda.so.1
	tests/apigen/test_compile_cache.py $(O)/lib/libcuda.so.1

# A host's NVML whose answers are known.
VG_NVML_DOUBLE := $(VG_TA)/nvml/libnvidia-ml.so.1
$(VG_NVML_DOUBLE): tests/apigen/nvml_double.c userspace/nvml/questions.def userspace/nvml/nvml.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -shared -o $@ $<

# NVIDIA's nvml.h, where there is one; of CUDA 12.4 or later.
VGPU_NVML_H ?= $(CUDA_HOME)/include/nvml.h
VG_NVML_RUN := VGPU_TEST_MEMORY=268435456 tests/apigen/with-mediator $(O) \
	$(O)/lib/libvgpu-softgpu.so 256M

.PHONY: check-nvml
check-nvml: $(O)/lib/libnvidia-ml.so.1 $(O)/lib/libcuda.so.1 $(O)/lib/libvgpu-softgpu.so \
		$(VG_EXEC) $(O)/bin/vgpu-mediatord $(VG_NVML_DOUBLE)
	$(VG_NVML_RUN) tests/apigen/test_nvml.py $<
	LD_LIBRARY_PATH=$(dir $(VG_NVML_DOUBLE)) VGPU_TEST_DOUBLE=1 VGPU_TEST_USER= $(VG_NVML_RUN) \
		tests/apigen/test_nvml.py $<
	$(VG_NVML_RUN) tests/apigen/test_spares.py $< $(O)/lib/libcuda.so.1

.PHONY: check-nvml-header
check-nvml-header: $(O)/lib/libnvidia-ml.so.1
	@if [ -f "$(VGPU_NVML_H)" ]; then tests/apigen/test_nvml_header.py "$(VGPU_NVML_H)" $<; \
	else echo "nvml.h: not run, for $(VGPU_NVML_H) is not there"; fi

# A stock nvidia-smi, where VGPU_NVIDIA_SMI or the PATH has one.
.PHONY: check-nvidia-smi
check-nvidia-smi: $(O)/lib/libnvidia-ml.so.1 $(O)/lib/libcuda.so.1 $(O)/lib/libvgpu-softgpu.so \
		$(VG_EXEC) $(O)/bin/vgpu-mediatord
	$(VG_NVML_RUN) tests/apigen/test_nvidia_smi.py

# Which functions have a test, by what the tests' programs link against.
VG_TESTS := $(addprefix $(VG_TA)/,driver_test shim_test sharing_test)

.PHONY: coverage
coverage: $(VG_TESTS) programs	## docs/coverage.md, from the specification and the tests
	$(VG_APIGEN) --coverage docs/coverage.md --tests $(VG_TESTS) $(PROGRAM_BIN)

.PHONY: check-tested
check-tested: $(VG_TESTS) programs
	tests/apigen/test_tested.py $(VG_TESTS) $(PROGRAM_BIN)

# What a driver answers when one argument of a call makes no sense.
VG_QUESTIONS_SRCS := tests/apigen/questions.c tests/apigen/questions_state.c \
	$(O)/gen/questions_asked.c

$(VG_TA)/questions: $(VG_QUESTIONS_SRCS) tests/apigen/questions.h $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/apigen $(CFLAGS) -Wl,-z,lazy -o $@ $(VG_QUESTIONS_SRCS) -L$(O)/lib \
		-l:libcuda.so.1

# What NVIDIA's driver has answered is in tests/apigen/answers.
.PHONY: check-answers
check-answers: $(VG_TA)/questions $(O)/lib/libvgpu-softgpu.so $(VG_EXEC) $(O)/bin/vgpu-mediatord
	tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G tests/apigen/test_answers.py \
		$(VG_TA)/questions -j 2
