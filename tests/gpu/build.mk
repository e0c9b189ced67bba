# SPDX-License-Identifier: Apache-2.0
gpu-check: all programs	## on a machine with an NVIDIA GPU: programs natively and through vgpu
	tests/gpu/check $(O)
.PHONY: gpu-check
