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

/* Two pieces of code that need each other, linked here. */
void linking(void)
{
	static const char caller[] =
		".version 6.0\n.target sm_50\n.address_size 64\n"
		".extern .func (.param .b32 back) twice(.param .b32 given);\n"
		".visible .entry put(.param .u64 out, .param .u32 v)\n{\n"
		".reg .b32 %r<4>;\n.reg .b64 %d<3>;\n"
		"ld.param.u64 %d1, [out];\nld.param.u32 %r1, [v];\ncvta.to.global.u64 %d2, %d1;\n"
		"{\n.param .b32 given;\n.param .b32 back;\nst.param.b32 [given], %r1;\n"
		"call (back), twice, (given);\nld.param.b32 %r2, [back];\n}\n"
		"st.global.u32 [%d2], %r2;\nret;\n}\n";
	static const char callee[] =
		".version 6.0\n.target sm_50\n.address_size 64\n"
		".visible .func (.param .b32 back) twice(.param .b32 given)\n{\n"
		".reg .b32 %r<3>;\nld.param.b32 %r1, [given];\nadd.s32 %r2, %r1, %r1;\n"
		"st.param.b32 [back], %r2;\nret;\n}\n";
	static const char wrong[] =
		".version 6.0\n.target sm_50\n.address_size 64\n"
		".visible .entry k()\n{\nmov.u32 %r1, %r2;\nret;\n}\n";
	char log[2048] = "";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	unsigned int v = 21;
	CUlinkState state;
	CUfunction put;
	CUdeviceptr p;
	CUmodule m;
	void *params[] = { &p, &v }, *cubin;
	size_t bytes;

	OK(cuLinkCreate_v2(0, NULL, NULL, &state));
	OK(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)caller, sizeof(caller), "caller", 0,
			    NULL, NULL));
	OK(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)callee, sizeof(callee), NULL, 0, NULL,
			    NULL));
	OK(cuLinkComplete(state, &cubin, &bytes));
	TRUE(bytes > 64 && !memcmp(cubin, "\177ELF", 4));
	OK(cuModuleLoadData(&m, cubin));
	OK(cuLinkDestroy(state));
	OK(cuModuleGetFunction(&put, m, "put"));
	OK(cuMemAlloc_v2(&p, 4));
	OK(cuLaunchKernel(put, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	TRUE(value_at(p, 0) == 42);
	OK(cuMemFree_v2(p));
	OK(cuModuleUnload(m));

	OK(cuLinkCreate_v2(2, options, values, &state));
	IS(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)wrong, sizeof(wrong), "wrong", 0,
			    NULL, NULL), CUDA_ERROR_INVALID_PTX);
	TRUE(log[0]);
	OK(cuLinkDestroy(state));
}

/* Logs are a link's: NVIDIA's driver refuses their options for one of its inputs. */
void link_options(void)
{
	static const CUjit_option of_link[] = {
		CU_JIT_WALL_TIME, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
		CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
	};
	static char ptx[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			    ".visible .entry k()\n{\nret;\n}\n";
	CUjit_option key = CU_JIT_OPTIMIZATION_LEVEL;
	void *value = (void *)3;
	char log[256];
	CUlinkState state;

	OK(cuLinkCreate_v2(0, NULL, NULL, &state));
	OK(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, ptx, sizeof(ptx), "ptx", 1, &key, &value));
	for (size_t i = 0; i < sizeof(of_link) / sizeof(*of_link); i++) {
		key = of_link[i];
		value = log;
		IS(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, ptx, sizeof(ptx), "ptx", 1, &key,
				    &value), CUDA_ERROR_INVALID_VALUE);
	}
	OK(cuLinkDestroy(state));
}
