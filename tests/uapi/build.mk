# SPDX-License-Identifier: Apache-2.0
# Run in VMs: guest_uapi in a guest, host_uapi on a host.
VG_UAPI_TESTS := $(O)/tests/guest/uapi $(O)/tests/host/uapi

$(eval $(call vg-program,$(O)/tests/guest/uapi,tests/uapi/guest_uapi.c tests/uapi/uapi_test.c \
	userspace/common/fdpass.c,-lcmocka -lpthread))
$(eval $(call vg-program,$(O)/tests/host/uapi,tests/uapi/host_uapi.c tests/uapi/uapi_test.c,-lcmocka))

tests: $(VG_UAPI_TESTS)
.PHONY: tests
