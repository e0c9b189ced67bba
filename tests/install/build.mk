# SPDX-License-Identifier: Apache-2.0
.PHONY: check-install
check-install: all	## what `make install` puts where, and that `make uninstall` removes it
	tests/install/test_install.py $(O)
