// SPDX-License-Identifier: Apache-2.0
/*
 * A kernel that never ends. The host is to have a time limit: the program is to be told that the
 * launch took too long, and from then on the same; without a limit it runs for ever. It is none of
 * the programs that tests/programs/run takes unless said.
 */
#include "prog.h"

const char *prog_name = "forever";

static const char ptx[] = ".version 6.3\n.target sm_70\n.address_size 64\n"
			  ".visible .entry forever()\n{\nagain:\n\tbra again;\n}\n";

int main(void)
{
	CUfunction f;
	CUdeviceptr p;
	CUresult r;

	prog_context();
	f = prog_function(ptx, "forever");
	CHECK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	r = cuCtxSynchronize();
	if (r != CUDA_ERROR_LAUNCH_TIMEOUT)
		prog_fail("waiting for it gave %d, not 702", (int)r);
	r = cuMemAlloc_v2(&p, 64);
	if (r != CUDA_ERROR_LAUNCH_TIMEOUT)
		prog_fail("a call after that gave %d, not 702", (int)r);
	return prog_pass("error 702, and from then on only that");
}
