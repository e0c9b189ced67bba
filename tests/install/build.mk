# SPDX-License-Identifier: Apache-2.0
.PHONY: check-install
check-install: all	## what `make install` puts where, and that `make uninstall` removes it
	tests/install/test_install.py $(O)

$(eval $(call vg-program,$(O)/tests/install/confine,tests/install/confine.c,-lseccomp))

tests: $(O)/tests/install/confine

.PHONY: check-unit
check-unit: all $(O)/tests/install/confine $(O)/packaging/systemd/vgpu-mediatord.service	## the mediator's systemd unit
	tests/install/test_unit.py $(O) $(O)/packaging/systemd/vgpu-mediatord.service

.PHONY: check-doctor
check-doctor: all	## what vgpuctl doctor says of machines that lack something
	tests/install/test_doctor.py $(O)
