# SPDX-License-Identifier: Apache-2.0
$(O)/tests/kubernetes/kubelet: tests/kubernetes/kubelet.go $(VG_KUBELET_API)
	@mkdir -p $(@D)
	$(VG_GO) build -o $@ $<

.PHONY: check-kubernetes
check-kubernetes: all programs	## the device plugin; it needs Go, and is skipped without it
	tests/kubernetes/test_plugin.py $(O)
