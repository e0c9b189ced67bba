/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much CUDA C as the kernels here need, without a toolkit: clang alone, and nvcc as well, turn
 * them into PTX.
 */
#ifndef CUDA_MIN_H
#define CUDA_MIN_H

#ifdef __NVCC__
#define TID ((int)threadIdx.x)
#define TID_Y ((int)threadIdx.y)
#define BID ((int)blockIdx.x)
#define BID_Y ((int)blockIdx.y)
#define BDIM ((int)blockDim.x)
#define GDIM ((int)gridDim.x)
#define SHFL_UP(v, n) __shfl_up_sync(0xffffffffu, v, n)
#define SHFL(v, lane) __shfl_sync(0xffffffffu, v, lane)
#define SHFL_XOR(v, n) __shfl_xor_sync(0xffffffffu, v, n)
#define ATOMIC_ADD_F(p, v) atomicAdd(p, v)
#define ATOMIC_ADD_U(p, v) atomicAdd(p, v)
#else
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define TID __nvvm_read_ptx_sreg_tid_x()
#define TID_Y __nvvm_read_ptx_sreg_tid_y()
#define BID __nvvm_read_ptx_sreg_ctaid_x()
#define BID_Y __nvvm_read_ptx_sreg_ctaid_y()
#define BDIM __nvvm_read_ptx_sreg_ntid_x()
#define GDIM __nvvm_read_ptx_sreg_nctaid_x()
#define __syncthreads() __nvvm_bar_sync(0)
/* the last argument holds the segment mask and the clamp: whole warps */
#define SHFL_UP(v, n) __nvvm_shfl_sync_up_i32(0xffffffffu, v, n, 0)
#define SHFL(v, lane) __nvvm_shfl_sync_idx_i32(0xffffffffu, v, lane, 31)
#define SHFL_XOR(v, n) __nvvm_shfl_sync_bfly_i32(0xffffffffu, v, n, 31)
#define ATOMIC_ADD_F(p, v) __nvvm_atom_add_gen_f(p, v)
#define ATOMIC_ADD_U(p, v) ((unsigned int)__nvvm_atom_add_gen_i((int *)(p), (int)(v)))
#endif

#endif
