# SPDX-License-Identifier: Apache-2.0
# needs: cupy
"""NVRTC by a RawKernel, cuFFT, cuSOLVER."""
import cupy as cp

kernel = cp.RawKernel(r"""
extern "C" __global__ void scale(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = x[i] * 3.f + 1.f;
}""", "scale")
x = cp.arange(1000, dtype=cp.float32)
y = cp.empty_like(x)
kernel((4,), (256,), (x, y, 1000))
print(float(y.sum()))
print(abs(cp.fft.fft(cp.arange(256).astype(cp.complex64))).sum())
a = cp.arange(64, dtype=cp.float32).reshape(8, 8) + cp.eye(8, dtype=cp.float32) * 100
print(cp.linalg.solve(a, cp.ones(8, dtype=cp.float32)))
