# SPDX-License-Identifier: Apache-2.0
# The protocols from a hostile peer; run by tests/apigen/with-mediator.
$(eval $(call vg-program,$(O)/tests/proto/socket,tests/proto/socket_test.c \
	userspace/common/fdpass.c,-lcmocka))

tests: $(O)/tests/proto/socket
