// SPDX-License-Identifier: Apache-2.0
/*
 * A kernel writes where nothing is allocated. That has to give CUDA_ERROR_ILLEGAL_ADDRESS, and
 * every later call the same; a good launch before it has to work.
 */
#include "prog.h"

const char *prog_name = "illegal_address";
PROG_KERNELS("poke");

#define POISONED(call) do { \
		CUresult rc_ = (call); \
		if (rc_ != CUDA_ERROR_ILLEGAL_ADDRESS) \
			prog_fail("%s gave %d after the illegal access, not 700", #call, \
				  (int)rc_); \
	} while (0)

int main(void)
{
	CUdeviceptr p, bad = 0x10, q = 0;
	CUfunction f;
	CUstream s = NULL;
	CUresult rc;
	int v = 0;
	const char *name = NULL;
	void *good_args[] = { &p }, *bad_args[] = { &bad };

	prog_context();
	f = prog_function(prog_ptx, "poke");
	p = prog_alloc(4);
	CHECK(cuMemsetD32_v2(p, 0, 1));
	CHECK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, good_args, NULL));
	CHECK(cuMemcpyDtoH_v2(&v, p, 4));
	if (v != 42)
		prog_fail("the good launch wrote %d", v);

	/* the launch itself is asynchronous and may succeed */
	rc = cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, bad_args, NULL);
	if (rc && rc != CUDA_ERROR_ILLEGAL_ADDRESS)
		prog_fail("the bad launch gave %d", (int)rc);
	POISONED(cuCtxSynchronize());
	POISONED(cuCtxSynchronize());
	POISONED(cuMemcpyDtoH_v2(&v, p, 4));
	POISONED(cuMemcpyHtoD_v2(p, &v, 4));
	POISONED(cuMemAlloc_v2(&q, 4096));
	POISONED(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, good_args, NULL));
	POISONED(cuStreamSynchronize(NULL));
	POISONED(cuStreamCreate(&s, CU_STREAM_DEFAULT));
	POISONED(cuMemFree_v2(p));
	/* what needs no device still answers */
	CHECK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &name));
	if (strcmp(name, "CUDA_ERROR_ILLEGAL_ADDRESS"))
		prog_fail("the error is called %s", name);
	return prog_pass("error 700, and from then on only that");
}
