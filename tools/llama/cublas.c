// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for libcublas.so.12, which is 350 MB larger.  llama.cpp's CUDA back end is linked to
 * cuBLAS, but it multiplies quantised matrices by kernels of its own.  So here a handle can be
 * made, and each call that would compute something fails with CUBLAS_STATUS_NOT_SUPPORTED (15).
 */
#include <stdio.h>

#define NOT_SUPPORTED 15

#define REFUSE(name) \
	int name(void); \
	int name(void) \
	{ \
		fputs("libcublas: " #name " is not in this stand-in for cuBLAS\n", stderr); \
		return NOT_SUPPORTED; \
	}

#define IGNORE(name) \
	int name(void); \
	int name(void) \
	{ \
		return 0; \
	}

int cublasCreate_v2(void **handle);
int cublasCreate_v2(void **handle)
{
	static int one;

	*handle = &one;
	return 0;
}

const char *cublasGetStatusString(int status);
const char *cublasGetStatusString(int status)
{
	return status ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_SUCCESS";
}

IGNORE(cublasDestroy_v2)
IGNORE(cublasSetMathMode)
IGNORE(cublasSetStream_v2)
IGNORE(cublasSetWorkspace_v2)
REFUSE(cublasGemmBatchedEx)
REFUSE(cublasGemmEx)
REFUSE(cublasGemmStridedBatchedEx)
REFUSE(cublasSgemmBatched)
REFUSE(cublasSgemmStridedBatched)
REFUSE(cublasSgemm_v2)
REFUSE(cublasStrsmBatched)
