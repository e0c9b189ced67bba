// SPDX-License-Identifier: Apache-2.0
/* What is in modules and libraries, and code that is put together here. */
#include <string.h>

#include "driver_test.h"

/* A module with so many functions that their names need several answers. */
static void many(void)
{
	static char text[64 << 10];
	static CUfunction f[300];
	unsigned int count, found = 0;
	const char *name;
	CUmodule m;
	char *p = text;

	p += sprintf(p, ".version 6.0\n.target sm_50\n.address_size 64\n");
	for (int i = 0; i < 300; i++)
		p += sprintf(p, ".visible .entry a_function_with_quite_a_long_name_%d()\n{\nret;\n}\n",
			     i);
	OK(cuModuleLoadData(&m, text));
	OK(cuModuleGetFunctionCount(&count, m));
	TRUE(count == 300);
	OK(cuModuleEnumerateFunctions(f, 300, m));
	for (int i = 0; i < 300; i++) {
		int n = -1;

		OK(cuFuncGetName(&name, f[i]));
		found += sscanf(name, "a_function_with_quite_a_long_name_%d", &n) == 1 && n >= 0 &&
			 n < 300;
		for (int k = 0; k < i; k++)
			found -= f[i] == f[k];
	}
	TRUE(found == 300);
	OK(cuModuleUnload(m));
}

void enumerate(void)
{
	CUfunction f[4] = { NULL };
	CUkernel k[4] = { NULL }, named;
	unsigned int count;
	const char *name;
	CUlibrary l;

	OK(cuModuleGetFunctionCount(&count, module));
	TRUE(count == 2);
	OK(cuModuleEnumerateFunctions(f, 4, module));
	TRUE(f[0] && f[1] && !f[2] && f[0] != f[1]);
	TRUE(f[0] == add || f[1] == add);
	OK(cuFuncGetName(&name, f[f[0] == add]));
	TRUE(!strcmp(name, "wide"));
	IS(cuModuleEnumerateFunctions(NULL, 4, module), CUDA_ERROR_INVALID_VALUE);
	OK(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryEnumerateKernels(k, 2, l));
	OK(cuLibraryGetKernel(&named, l, "wide"));
	TRUE(k[0] != k[1] && (k[0] == named || k[1] == named));
	OK(cuKernelGetName(&name, k[k[0] == named]));
	TRUE(!strcmp(name, "add"));
	OK(cuLibraryUnload(l));
	many();
}
