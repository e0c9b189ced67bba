# SPDX-License-Identifier: Apache-2.0
# The protocols from a hostile peer; run by tests/apigen/with-mediator.
$(eval $(call vg-program,$(O)/tests/proto/socket,tests/proto/socket_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/guest,tests/proto/guest_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/giveback,tests/proto/giveback_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/graphs,tests/proto/graphs_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/destroy,tests/proto/destroy_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/timing,tests/proto/timing_test.c \
	userspace/common/fdpass.c,-lcmocka))

tests: $(addprefix $(O)/tests/proto/,socket guest giveback graphs destroy timing)

$(eval $(call vg-program,$(O)/tests/proto/limits,tests/proto/limits_test.c \
	userspace/common/fdpass.c,-lcmocka))

tests: $(O)/tests/proto/limits

# Green contexts and planes are the stand-in's, which softgpu has none of; run by check-shim.
$(eval $(call vg-program,$(O)/tests/proto/greens,tests/proto/greens.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/ids,tests/proto/ids.c \
	userspace/common/fdpass.c,-lcmocka))

tests: $(addprefix $(O)/tests/proto/,greens ids)

# An executor that a guest has taken over, towards the mediator.
$(eval $(call vg-program,$(O)/tests/proto/bad_executor,tests/proto/bad_executor.c \
	userspace/common/fdpass.c,-lseccomp))

tests: $(O)/tests/proto/bad_executor

VG_ABUSES := right early short long noise descriptor descriptors none unread listener \
	no-listener listeners refused unanswered hoard

VG_BAD_EXECUTOR = VGPU_TEST_EXECUTOR=$(abspath $(O)/tests/proto/bad_executor) \
	tests/apigen/with-mediator $(O) /dev/null 1G $(O)/tests/proto/bad_executor

.PHONY: check-tokens
check-tokens: $(O)/tests/proto/bad_executor $(O)/bin/vgpu-mediatord
	@for how in $(VG_ABUSES); do \
		VGPU_TEST_ABUSE=$$how $(VG_BAD_EXECUTOR) || exit 1; \
	done
	@# The name of a call is logged once for each of the three executors.
	@for mode in refused:enforce:refused learnt:log:let; do \
		how=$${mode%%:*}; word=$${mode##*:}; mode=$${mode%:*}; \
		lines=$$(VGPU_TEST_ABUSE=$$how VGPU_TEST_LOG=warning \
			VGPU_TEST_CONF="[sandbox]\nmode = $${mode#*:}" $(VG_BAD_EXECUTOR) 2>&1 | \
			grep -c "system call truncate(.*is not on the list: $$word"); \
		[ "$$lines" = 3 ] || { echo "tokens: $$how: $$lines lines in the log"; exit 1; }; \
	done
	@echo "tokens: $$(($(words $(VG_ABUSES)) + 2)) checks passed"

.PHONY: check-startup
check-startup: all
	tests/proto/startup.py $(O)

# Once as it is without a configuration, once with a user for each vGPU.
VG_CONFINED = tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 1G \
	tests/proto/confined.py $(O)/lib/libcuda.so.1

.PHONY: check-confined
check-confined: all
	$(VG_CONFINED)
	if [ "$$(id -u)" = 0 ]; then VGPU_TEST_CONF='[executor]\nuids = 200000-200009' \
		$(VG_CONFINED) 200000-200009; fi

# On the shim: what a process may do before, between and after CUDA.
$(O)/tests/proto/process: $(call vg-objs,tests/proto/process_test.c) $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(O)/lib -l:libcuda.so.1 -lcmocka

tests: $(O)/tests/proto/process

$(O)/tests/proto/waiters: $(call vg-objs,tests/proto/waiters_test.c) $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(O)/lib -l:libcuda.so.1 -lcmocka -lpthread

tests: $(O)/tests/proto/waiters

# On the shim: what counts against a vGPU's memory.
$(O)/tests/proto/memory: $(call vg-objs,tests/proto/memory.c) $(O)/lib/libcuda.so.1
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(O)/lib -l:libcuda.so.1 -lcmocka -ldl

tests: $(O)/tests/proto/memory

.PHONY: check-memory
check-memory: $(O)/tests/proto/memory all
	VGPU_SOFTGPU_CONTEXT=32M VGPU_SOFTGPU_LOG=0 \
		VGPU_TEST_CONF='[limits]\ncontexts = 256M\nprograms = 128\nstarts = 1000' \
		tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 256M $(O)/tests/proto/memory
	@# Modules and libraries also where the driver takes 5 ms to tell what a process holds.
	VGPU_SOFTGPU_CONTEXT=32M VGPU_SOFTGPU_LOG=0 VGPU_SOFTGPU_ASKING=5000 \
		VGPU_TEST_ONLY='each_path_*' VGPU_TEST_PATHS=ml \
		VGPU_TEST_CONF='[limits]\ncontexts = 256M\nprograms = 128\nstarts = 1000' \
		tests/apigen/with-mediator $(O) $(O)/lib/libvgpu-softgpu.so 256M $(O)/tests/proto/memory
	@# A line for each allocation that was refused: the first that did not fit, and three more.
	@lines=$$(printf '!' | VGPU_TEST_LOG=warning tests/apigen/with-mediator $(O) \
		$(O)/lib/libvgpu-softgpu.so 256M $(O)/tests/proto/memory take created 2>&1 | \
		grep -ac 'vGPU local, process [0-9]*: refused 2097152 bytes of device memory for allocations: 268435456 held of 268435456'); \
	[ "$$lines" = 4 ] || { echo "memory: $$lines lines about refusals in the log"; exit 1; }
