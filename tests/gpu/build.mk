# SPDX-License-Identifier: Apache-2.0
gpu-check: all programs	## programs natively and through vgpu
	tests/gpu/check $(O)
.PHONY: gpu-check

gpu-driver: all $(O)/tests/apigen/driver_test	## what the driver's functions do, group by group
	tests/gpu/driver $(O)
.PHONY: gpu-driver

gpu-faults: all programs $(O)/tests/proto/giveback	## programs that end badly, and what is left of them
	tests/gpu/faults $(O)
.PHONY: gpu-faults

gpu-memory: all $(O)/tests/proto/memory	## whether a vGPU's memory limit holds, and NVML's figure beside it
	tests/gpu/memory $(O)
.PHONY: gpu-memory

gpu-bench: all tests	## what calls and copies cost, and the ratio to native
	tests/gpu/bench $(O)
.PHONY: gpu-bench

gpu-answers: all $(O)/tests/apigen/questions	## what the driver answers to calls that make no sense
	tests/gpu/answers $(O)
.PHONY: gpu-answers

gpu-vm: all programs $(O)/tests/apigen/driver_test	## programs of a guest on the GPU, without a host module
	tests/gpu/vm pack $(O) $(O)/gpu-vm.tar.xz
	tests/gpu/vm run $(O) $(O)/gpu-vm.tar.xz
.PHONY: gpu-vm
