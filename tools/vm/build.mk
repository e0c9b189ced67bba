# SPDX-License-Identifier: Apache-2.0
# What runs in virtual machines.  tools/vm/run says how, and what else it can do.

.PHONY: deps demo check check-long check-debug kunit modules-check guest-run

deps:	## install what building and testing need (root)
	tools/vm/deps

demo: deps	## boot a host and a guest VM, and run a CUDA program from end to end
	tools/vm/run demo

check: deps	## all tests; ends with "N passed, N failed"
	tests/run

check-long: deps	## all tests, and the full counts of rounds, about two hours
	tests/run --long

check-debug: deps	## the tests in VMs with KASAN, lockdep, kmemleak and KCSAN in the host
	tests/run --debug

kunit: deps	## the KUnit suites of both modules, in user-mode Linux
	tools/vm/kunit

modules-check: deps	## W=1 and sparse on the headers of 6.1, 6.12 and the newest 7.x
	tools/vm/modules check

CMD ?= vectoradd
guest-run: deps	## CMD='...' in a guest, user-mode Linux (GUEST=qemu: x86; vfio-user: x86, no host module)
	$(if $(filter vfio-user,$(GUEST)),tests/vfiouser/run --exec '$(CMD)',\
		tools/vm/run --guest $(or $(GUEST),uml) --exec '$(CMD)')
