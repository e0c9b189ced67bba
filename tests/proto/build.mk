# SPDX-License-Identifier: Apache-2.0
# The protocols from a hostile peer; run by tests/apigen/with-mediator.
$(eval $(call vg-program,$(O)/tests/proto/socket,tests/proto/socket_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/guest,tests/proto/guest_test.c \
	userspace/common/fdpass.c,-lcmocka))

$(eval $(call vg-program,$(O)/tests/proto/giveback,tests/proto/giveback_test.c \
	userspace/common/fdpass.c,-lcmocka))

tests: $(addprefix $(O)/tests/proto/,socket guest giveback)

# An executor that a guest has taken over, towards the mediator.
$(eval $(call vg-program,$(O)/tests/proto/bad_executor,tests/proto/bad_executor.c \
	userspace/common/fdpass.c,))

tests: $(O)/tests/proto/bad_executor

VG_ABUSES := right early short long noise descriptor descriptors none unread

.PHONY: check-tokens
check-tokens: $(O)/tests/proto/bad_executor $(O)/bin/vgpu-mediatord
	@for how in $(VG_ABUSES); do \
		VGPU_TEST_ABUSE=$$how \
		VGPU_TEST_EXECUTOR=$(abspath $(O)/tests/proto/bad_executor) \
			tests/apigen/with-mediator $(O) /dev/null 1G \
			$(O)/tests/proto/bad_executor || exit 1; \
	done
	@echo "tokens: $(words $(VG_ABUSES)) checks passed"
