# SPDX-License-Identifier: Apache-2.0
# Run in VMs: guest_uapi in a guest, the host_* on a host.
VG_UAPI_TESTS := $(O)/tests/guest/uapi $(O)/tests/guest/sweep $(O)/tests/guest/register \
	$(O)/tests/host/uapi $(O)/tests/host/channel $(O)/tests/host/races \
	$(O)/tests/host/sweep

$(eval $(call vg-program,$(O)/tests/guest/uapi,tests/uapi/guest_uapi.c tests/uapi/uapi_test.c \
	userspace/common/fdpass.c,-lcmocka -lpthread))
$(eval $(call vg-program,$(O)/tests/guest/register,tests/uapi/guest_register.c,-lpthread))
$(eval $(call vg-program,$(O)/tests/guest/sweep,tests/uapi/guest_sweep.c tests/uapi/fail_nth.c,\
	-lcmocka))
$(eval $(call vg-program,$(O)/tests/host/uapi,tests/uapi/host_uapi.c tests/uapi/uapi_test.c,-lcmocka))
$(eval $(call vg-program,$(O)/tests/host/channel,tests/uapi/host_channel.c tests/uapi/uapi_test.c \
	tests/uapi/vmm.c,\
	-lcmocka -lpthread))
$(eval $(call vg-program,$(O)/tests/host/races,tests/uapi/host_races.c tests/uapi/vmm.c,\
	-lcmocka -lpthread))
$(eval $(call vg-program,$(O)/tests/host/sweep,tests/uapi/host_sweep.c tests/uapi/vmm.c \
	tests/uapi/fail_nth.c,-lcmocka))

tests: $(VG_UAPI_TESTS)
.PHONY: tests
