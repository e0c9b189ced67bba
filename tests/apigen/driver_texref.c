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

/* Of levels, the border and memory in rows. */
static void more_settings(CUtexref t)
{
	CUDA_ARRAY3D_DESCRIPTOR d3 = { .Width = 64, .Height = 64, .NumChannels = 1,
				       .Format = CU_AD_FORMAT_FLOAT };
	CUDA_ARRAY_DESCRIPTOR rows = { .Width = 64, .Height = 8, .NumChannels = 1,
				       .Format = CU_AD_FORMAT_FLOAT };
	float colour[4] = { 0.25f, 0.5f, 0.75f, 1.0f }, back[4] = { 0 }, low = -1, high = -1;
	CUmipmappedArray m, bound;
	CUfilter_mode filter;
	CUdeviceptr p, at;
	int n = -1;

	OK(cuTexRefSetMipmapFilterMode(t, CU_TR_FILTER_MODE_LINEAR));
	OK(cuTexRefGetMipmapFilterMode(&filter, t));
	TRUE(filter == CU_TR_FILTER_MODE_LINEAR);
	OK(cuTexRefSetMipmapLevelBias(t, 0.5f));
	OK(cuTexRefGetMipmapLevelBias(&low, t));
	TRUE(low == 0.5f);
	OK(cuTexRefSetMipmapLevelClamp(t, 1.0f, 2.0f));
	OK(cuTexRefGetMipmapLevelClamp(&low, &high, t));
	TRUE(low == 1.0f && high == 2.0f);
	OK(cuTexRefSetMaxAnisotropy(t, 4));
	OK(cuTexRefGetMaxAnisotropy(&n, t));
	TRUE(n == 4);
	OK(cuTexRefSetBorderColor(t, colour));
	OK(cuTexRefGetBorderColor(back, t));
	TRUE(back[0] == 0.25f && back[3] == 1.0f);
	OK(cuMemAlloc_v2(&p, 8 * 512));
	OK(cuTexRefSetAddress2D_v3(t, &rows, p, 512));
	OK(cuTexRefGetAddress_v2(&at, t));
	TRUE(at == p);
	TRUE(cuTexRefGetMipmappedArray(&bound, t) != CUDA_SUCCESS);
	OK(cuTexRefSetAddress2D_v2(t, &rows, p + 512, 512));
	OK(cuTexRefGetAddress_v2(&at, t));
	TRUE(at == p + 512);
	OK(cuMipmappedArrayCreate(&m, &d3, 3));
	OK(cuTexRefSetMipmappedArray(t, m, CU_TRSA_OVERRIDE_FORMAT));
	OK(cuTexRefGetMipmappedArray(&bound, t));
	TRUE(bound == m);
	TRUE(cuTexRefSetMipmapFilterMode(t, 99) != CUDA_SUCCESS);
	TRUE(cuTexRefSetAddress2D_v3(t, NULL, p, 512) != CUDA_SUCCESS);
	TRUE(cuTexRefSetMipmappedArray(t, NULL, CU_TRSA_OVERRIDE_FORMAT) != CUDA_SUCCESS);
	TRUE(cuTexRefGetBorderColor(NULL, t) != CUDA_SUCCESS);
	TRUE(cuTexRefGetMaxAnisotropy(NULL, t) != CUDA_SUCCESS);
	OK(cuMipmappedArrayDestroy(m));
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
	OK(cuParamSetTexRef(f, CU_PARAM_TR_DEFAULT, t));
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
	more_settings(t);
	OK(cuTexRefDestroy(t));
	sampled();
}

/* The same of a surface, which a kernel writes. */
void surface_references(void)
{
	static const char paint[] =
		".version 6.0\n.target sm_50\n.address_size 64\n"
		".global .surfref picture;\n"
		".visible .entry paint()\n{\n.reg .b32 %r<8>;\n"
		"mov.u32 %r1, %tid.x;\nmov.u32 %r2, %tid.y;\nmad.lo.s32 %r3, %r2, 1000, %r1;\n"
		"shl.b32 %r4, %r1, 2;\nsust.b.2d.b32.trap [picture, {%r4, %r2}], {%r3};\nret;\n}\n";
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = W, .Height = H, .NumChannels = 1,
				      .Format = CU_AD_FORMAT_UNSIGNED_INT32,
				      .Flags = CUDA_ARRAY3D_SURFACE_LDST };
	CUDA_MEMCPY2D c = { .dstMemoryType = CU_MEMORYTYPE_HOST, .dstPitch = 4 * W,
			    .srcMemoryType = CU_MEMORYTYPE_ARRAY, .WidthInBytes = 4 * W,
			    .Height = H };
	unsigned int got[W * H];
	CUsurfref s, same;
	CUarray a, back;
	CUfunction f;
	CUmodule m;

	IS(cuModuleGetSurfRef(&s, module, "none"), CUDA_ERROR_NOT_FOUND);
	if (cuModuleLoadData(&m, paint))
		return;			/* a compiler that has no references any more */
	OK(cuModuleGetFunction(&f, m, "paint"));
	OK(cuModuleGetSurfRef(&s, m, "picture"));
	OK(cuModuleGetSurfRef(&same, m, "picture"));
	TRUE(s == same);
	OK(cuArray3DCreate_v2(&a, &d));
	OK(cuSurfRefSetArray(s, a, 0));
	OK(cuSurfRefGetArray(&back, s));
	TRUE(back == a);
	OK(cuLaunchKernel(f, 1, 1, 1, W, H, 1, 0, NULL, NULL, NULL));
	OK(cuCtxSynchronize());
	c.srcArray = a;
	c.dstHost = got;
	OK(cuMemcpy2D_v2(&c));
	TRUE(got[0] == 0 && got[W + 2] == 1002 && got[W * H - 1] == 1000 * (H - 1) + W - 1);
	TRUE(cuSurfRefSetArray(s, NULL, 0) != CUDA_SUCCESS);
	OK(cuModuleUnload(m));
	OK(cuArrayDestroy(a));
}
