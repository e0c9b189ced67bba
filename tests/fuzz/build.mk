# SPDX-License-Identifier: Apache-2.0
# Each file here except options.c and replay.c is a fuzz target.  Each target is built twice:
# with clang's libFuzzer for `make fuzz`, and with gcc and replay.c for `make check-fuzz`,
# which replays the inputs that are kept in corpus/.
VG_FUZZ := $(O)/fuzz
VG_FUZZ_TARGETS := $(filter-out options replay,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
FUZZ_SECONDS ?= 300

VG_FUZZ_image := $(wildcard userspace/softgpu/*.c) $(VG_EXPORT_SRCS) userspace/executor/calls_image.c
VG_FUZZ_decoder := $(filter-out tests/apigen/decoder_test.c,$(VG_DECODER_SRCS))
VG_FUZZ_ring := $(wildcard userspace/softgpu/*.c) $(VG_EXPORT_SRCS) userspace/common/log.c userspace/common/fdpass.c \
	$(filter-out $(addprefix userspace/executor/,main.c sandbox.c filter.c files.c tokens.c),\
		$(wildcard userspace/executor/*.c)) \
	$(addprefix $(O)/gen/,decoder_cases.c executor_decode.c executor_cuda.c)
VG_FUZZ_token := $(addprefix userspace/mediator/,closer.c config.c cgroup.c pool.c event.c history.c quarantine.c quota.c sockets.c state.c tenant.c token.c turns.c fair.c \
		text.c uid.c user.c vfiouser_config.c) \
	userspace/common/log.c userspace/common/fdpass.c
# It includes source.c and proc.c, with stand-ins for the clock and for processes.
VG_FUZZ_mediator := $(filter-out $(addprefix userspace/mediator/,host.c main.c proc.c source.c start.c),\
		$(wildcard userspace/mediator/*.c)) \
	userspace/common/log.c userspace/common/fdpass.c userspace/common/settings.c

VG_FUZZ_vfiouser := $(filter-out $(addprefix userspace/vfiouser/,main.c sandbox.c),\
		$(wildcard userspace/vfiouser/*.c)) userspace/common/log.c userspace/common/fdpass.c

# What softgpu's own build says of its arithmetic (userspace/softgpu/build.mk).
VG_FUZZ_CFLAGS := -std=gnu11 -g -O1 -fno-omit-frame-pointer -fwrapv -fno-strict-aliasing \
	-ffp-contract=off -fno-math-errno -pthread -Wall -Wextra -Wno-unknown-pragmas
# PTX in an image begins at any byte, so softgpu's reads of it are not aligned.
VG_FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize=alignment \
	-fno-sanitize-recover=undefined
# The ring's target finds softgpu, which is linked into it, as it finds any driver: by name.
VG_FUZZ_LIBS := -rdynamic -linih -lseccomp -ljson-c -lsqlite3 -llz4 -lzstd -lm -ldl

$(VG_FUZZ)/libfuzzer/obj/%.o: %.c | $(O)/gen/stamp $(O)/gen/vg_version.h
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) -Iuserspace/softgpu -Itests/apigen $(VG_FUZZ_CFLAGS) $(VG_FUZZ_SANITIZE) \
		-fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(VG_FUZZ)/replay/obj/%.o: %.c | $(O)/gen/stamp $(O)/gen/vg_version.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Iuserspace/softgpu -Itests/apigen $(VG_FUZZ_CFLAGS) $(VG_FUZZ_SANITIZE) -MMD -MP -c -o $@ $<

$(VG_FUZZ)/libfuzzer/obj/gen/%.o: $(O)/gen/%.c | $(O)/gen/stamp $(O)/gen/vg_version.h
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) -Itests/apigen $(VG_FUZZ_CFLAGS) $(VG_FUZZ_SANITIZE) \
		-fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(VG_FUZZ)/replay/obj/gen/%.o: $(O)/gen/%.c | $(O)/gen/stamp $(O)/gen/vg_version.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/apigen $(VG_FUZZ_CFLAGS) $(VG_FUZZ_SANITIZE) -MMD -MP -c -o $@ $<

# $(call vg-fuzz,TARGET)
define vg-fuzz
$(VG_FUZZ)/libfuzzer/$(1): $(patsubst %.c,$(VG_FUZZ)/libfuzzer/obj/%.o,tests/fuzz/$(1).c tests/fuzz/options.c $(patsubst $(O)/%,%,$(VG_FUZZ_$(1))))
	$(CLANG) -pthread $(VG_FUZZ_SANITIZE) -fsanitize=fuzzer -o $$@ $$^ $(VG_FUZZ_LIBS)
$(VG_FUZZ)/replay/$(1): $(patsubst %.c,$(VG_FUZZ)/replay/obj/%.o,\
		tests/fuzz/$(1).c tests/fuzz/options.c tests/fuzz/replay.c $(patsubst $(O)/%,%,$(VG_FUZZ_$(1))))
	$(CC) -pthread $(VG_FUZZ_SANITIZE) -o $$@ $$^ $(VG_FUZZ_LIBS)
endef
$(foreach t,$(VG_FUZZ_TARGETS),$(eval $(call vg-fuzz,$(t))))

-include $(shell find $(VG_FUZZ) -name '*.d' 2>/dev/null)

.PHONY: fuzz fuzz-build check-fuzz
fuzz-build: $(addprefix $(VG_FUZZ)/libfuzzer/,$(VG_FUZZ_TARGETS))

fuzz: deps fuzz-build	## libFuzzer on every target, FUZZ_SECONDS (300) each; new inputs are kept
	tests/fuzz/run --seconds $(FUZZ_SECONDS) $(VG_FUZZ)/libfuzzer $(VG_FUZZ_TARGETS)

check-fuzz: $(addprefix $(VG_FUZZ)/replay/,$(VG_FUZZ_TARGETS))	## the kept inputs, under ASan and UBSan
	@for t in $(VG_FUZZ_TARGETS); do \
		$(VG_FUZZ)/replay/$$t tests/fuzz/corpus/$$t || exit 1; done
