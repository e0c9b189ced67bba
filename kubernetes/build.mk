# SPDX-License-Identifier: Apache-2.0
# The one part in Go, which neither `make` nor `make check` builds. Debian's packages have Go's
# libraries in /usr/share/gocode. The program is not in $(O)/bin, because tests/hardening looks there
# for what a C compiler adds.
VG_DEVICE_PLUGIN := $(O)/kubernetes/bin/vgpu-device-plugin
VG_GOPATH := $(abspath $(O))/kubernetes
VG_GO := GO111MODULE=off CGO_ENABLED=0 GOCACHE=$(VG_GOPATH)/cache GOPATH=$(VG_GOPATH):/usr/share/gocode go
VG_KUBELET_API := $(VG_GOPATH)/src/vgpu/deviceplugin/deviceplugin.pb.go

$(VG_KUBELET_API): kubernetes/deviceplugin.proto
	@mkdir -p $(@D)
	protoc -I$(<D) --go_out=$(VG_GOPATH)/src --go-grpc_out=$(VG_GOPATH)/src $<

$(VG_DEVICE_PLUGIN): kubernetes/main.go $(VG_KUBELET_API)
	$(VG_GO) build -trimpath -ldflags=-s -o $@ $<

.PHONY: device-plugin
device-plugin: $(VG_DEVICE_PLUGIN)	## Kubernetes' device plugin, in Go (docs/kubernetes.md)
