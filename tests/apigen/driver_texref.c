// SPDX-License-Identifier: Apache-2.0
/* Texture references: deprecated, and a driver may have none. */
#include "driver_test.h"

#define W 16
#define H 8

static const char code[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".global .texref picture;\n"
	/* out[y * W + x] = the texture's element at (x, y) */
	".visible .entry sample(.param .u64 out)\n{\n"
	".reg .b32 %r<8>;\n.reg .b64 %d<4>;\n"
	"ld.param.u64 %d1, [out];\ncvta.to.global.u64 %d1, %d1;\n"
	"mov.u32 %r1, %tid.x;\nmov.u32 %r2, %tid.y;\n"
	"tex.2d.v4.u32.s32 {%r3, %r4, %r5, %r6}, [picture, {%r1, %r2}];\n"
	"mad.lo.s32 %r7, %r2, 16, %r1;\nmul.wide.u32 %d3, %r7, 4;\nadd.s64 %d1, %d1, %d3;\n"
	"st.global.u32 [%d1], %r3;\nret;\n}\n";

static void settings(CUtexref t)
{
	CUaddress_mode mode;
	CUarray_format format;
	CUfilter_mode filter;
	unsigned int flags;
	CUdeviceptr p, back;
	size_t offset = 99;
	CUarray array;
	int n;

	OK(cuTexRefSetFormat(t, CU_AD_FORMAT_UNSIGNED_INT32, 1));
	OK(cuTexRefGetFormat(&format, &n, t));
	TRUE(format == CU_AD_FORMAT_UNSIGNED_INT32 && n == 1);
	OK(cuTexRefSetAddressMode(t, 0, CU_TR_ADDRESS_MODE_CLAMP));
	OK(cuTexRefGetAddressMode(&mode, t, 0));
	TRUE(mode == CU_TR_ADDRESS_MODE_CLAMP);
	OK(cuTexRefSetFilterMode(t, CU_TR_FILTER_MODE_POINT));
	OK(cuTexRefGetFilterMode(&filter, t));
	TRUE(filter == CU_TR_FILTER_MODE_POINT);
	OK(cuTexRefSetFlags(t, CU_TRSF_READ_AS_INTEGER));
	OK(cuTexRefGetFlags(&flags, t));
	TRUE(flags == CU_TRSF_READ_AS_INTEGER);
	OK(cuMemAlloc_v2(&p, 4096));
	OK(cuTexRefSetAddress_v2(&offset, t, p, 4096));
	TRUE(offset == 0);
	OK(cuTexRefGetAddress_v2(&back, t));
	TRUE(back == p);
	TRUE(cuTexRefGetArray(&array, t) != CUDA_SUCCESS);
	OK(cuMemFree_v2(p));
}

static void sampled(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = W, .Height = H, .NumChannels = 1,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
	CUDA_MEMCPY2D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcPitch = 4 * W,
			    .dstMemoryType = CU_MEMORYTYPE_ARRAY, .WidthInBytes = 4 * W,
			    .Height = H };
	unsigned int host[W * H], got[W * H];
	CUtexref t, same;
	CUfunction f;
	CUmodule m;
	CUdeviceptr p;
	CUarray a, back;
	void *params[] = { &p };
	int wrong = 0;

	if (cuModuleLoadData(&m, code))
		return;			/* a compiler that has no references any more */
	for (unsigned int i = 0; i < W * H; i++)
		host[i] = 500 + i;
	OK(cuModuleGetFunction(&f, m, "sample"));
	OK(cuModuleGetTexRef(&t, m, "picture"));
	OK(cuModuleGetTexRef(&same, m, "picture"));
	TRUE(t == same);
	IS(cuModuleGetTexRef(&same, m, "none"), CUDA_ERROR_NOT_FOUND);
	OK(cuArrayCreate_v2(&a, &d));
	c.srcHost = host;
	c.dstArray = a;
	OK(cuMemcpy2D_v2(&c));
	OK(cuTexRefSetFlags(t, CU_TRSF_READ_AS_INTEGER));
	OK(cuTexRefSetArray(t, a, CU_TRSA_OVERRIDE_FORMAT));
	OK(cuTexRefGetArray(&back, t));
	TRUE(back == a);
	OK(cuMemAlloc_v2(&p, sizeof(got)));
	OK(cuLaunchKernel(f, 1, 1, 1, W, H, 1, 0, NULL, params, NULL));
	OK(cuMemcpyDtoH_v2(got, p, sizeof(got)));
	for (int i = 0; i < W * H; i++)
		wrong += got[i] != host[i];
	TRUE(!wrong);
	OK(cuMemFree_v2(p));
	OK(cuModuleUnload(m));
	OK(cuArrayDestroy(a));
}

void texture_references(void)
{
	CUtexref t;
	CUresult r = cuTexRefCreate(&t);

	if (r == CUDA_ERROR_NOT_SUPPORTED)
		return;
	OK(r);
	settings(t);
	OK(cuTexRefDestroy(t));
	sampled();
}
