// SPDX-License-Identifier: Apache-2.0
/* Arrays, mipmaps, textures, surfaces; tensor maps. */
#include <string.h>

#include "driver_test.h"

#define W 16
#define H 8

static const char code[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	/* out[y * W + x] = the texture's element at (x, y) */
	".visible .entry sample(.param .u64 out, .param .u64 tex)\n{\n"
	".reg .b32 %r<8>;\n.reg .b64 %d<4>;\n"
	"ld.param.u64 %d1, [out];\nld.param.u64 %d2, [tex];\ncvta.to.global.u64 %d1, %d1;\n"
	"mov.u32 %r1, %tid.x;\nmov.u32 %r2, %tid.y;\n"
	"tex.2d.v4.u32.s32 {%r3, %r4, %r5, %r6}, [%d2, {%r1, %r2}];\n"
	"mad.lo.s32 %r7, %r2, 16, %r1;\nmul.wide.u32 %d3, %r7, 4;\nadd.s64 %d1, %d1, %d3;\n"
	"st.global.u32 [%d1], %r3;\nret;\n}\n"
	/* the surface's element at (x, y) = 1000 * y + x */
	".visible .entry paint(.param .u64 surf)\n{\n"
	".reg .b32 %r<8>;\n.reg .b64 %d<4>;\nld.param.u64 %d1, [surf];\n"
	"mov.u32 %r1, %tid.x;\nmov.u32 %r2, %tid.y;\nmad.lo.s32 %r3, %r2, 1000, %r1;\n"
	"shl.b32 %r4, %r1, 2;\nsust.b.2d.b32.trap [%d1, {%r4, %r2}], {%r3};\nret;\n}\n";

static void copy(CUarray a, void *host, int in)
{
	CUDA_MEMCPY2D c = { .WidthInBytes = 4 * W, .Height = H };

	if (in) {
		c.srcMemoryType = CU_MEMORYTYPE_HOST;
		c.srcHost = host;
		c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		c.dstArray = a;
	} else {
		c.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		c.srcArray = a;
		c.dstMemoryType = CU_MEMORYTYPE_HOST;
		c.dstHost = host;
	}
	c.srcPitch = c.dstPitch = 4 * W;
	OK(cuMemcpy2D_v2(&c));
}

static void described(CUarray a)
{
	CUDA_ARRAY3D_DESCRIPTOR d3 = { .Width = W, .Height = H, .Depth = 4, .NumChannels = 2,
				       .Format = CU_AD_FORMAT_FLOAT }, back3;
	CUDA_ARRAY_DESCRIPTOR back;
	CUmipmappedArray m;
	CUarray b, level;
	unsigned int v;

	OK(cuArrayGetDescriptor_v2(&back, a));
	TRUE(back.Width == W && back.Height == H && back.NumChannels == 1);
	OK(cuMemcpyAtoH_v2(&v, a, 4 * 3, 4));
	TRUE(v == 103);
	v = 555;
	OK(cuMemcpyHtoA_v2(a, 4 * 3, &v, 4));
	v = 0;
	OK(cuMemcpyAtoH_v2(&v, a, 4 * 3, 4));
	TRUE(v == 555);
	v = 103;
	OK(cuMemcpyHtoA_v2(a, 4 * 3, &v, 4));
	OK(cuArray3DCreate_v2(&b, &d3));
	OK(cuArray3DGetDescriptor_v2(&back3, b));
	TRUE(back3.Depth == 4 && back3.NumChannels == 2 && back3.Format == CU_AD_FORMAT_FLOAT);
	OK(cuArrayDestroy(b));
	d3.Depth = 0;
	OK(cuMipmappedArrayCreate(&m, &d3, 3));
	OK(cuMipmappedArrayGetLevel(&level, m, 1));
	OK(cuArray3DGetDescriptor_v2(&back3, level));
	TRUE(back3.Width == W / 2 && back3.Height == H / 2);
	IS(cuMipmappedArrayGetLevel(&level, m, 9), CUDA_ERROR_INVALID_VALUE);
	OK(cuMipmappedArrayDestroy(m));
	d3.NumChannels = 3;
	IS(cuArray3DCreate_v2(&b, &d3), CUDA_ERROR_INVALID_VALUE);
}

/* What an array is said to be, a line of it, and the levels of a mipmap. */
void arrays(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = W, .Height = H, .NumChannels = 1,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
	unsigned int host[W * H], got[W * H];
	CUarray a;

	for (unsigned int i = 0; i < W * H; i++)
		host[i] = 100 + i;
	OK(cuArrayCreate_v2(&a, &d));
	copy(a, host, 1);
	described(a);
	copy(a, got, 0);
	TRUE(!memcmp(got, host, sizeof(got)));
	OK(cuArrayDestroy(a));
}

void textures(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = W, .Height = H, .NumChannels = 1,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
	CUDA_ARRAY3D_DESCRIPTOR d3 = { .Width = W, .Height = H, .NumChannels = 1,
				       .Format = CU_AD_FORMAT_UNSIGNED_INT32,
				       .Flags = CUDA_ARRAY3D_SURFACE_LDST };
	CUDA_RESOURCE_DESC res = { .resType = CU_RESOURCE_TYPE_ARRAY }, res_back;
	CUDA_TEXTURE_DESC t = { .flags = CU_TRSF_READ_AS_INTEGER }, t_back;
	unsigned int host[W * H], got[W * H];
	CUfunction sample, paint;
	CUtexObject tex;
	CUsurfObject surf;
	CUarray a, b;
	CUmodule m;
	CUdeviceptr p;
	void *params[] = { &p, &tex }, *surface[] = { &surf };

	for (unsigned int i = 0; i < W * H; i++)
		host[i] = 100 + i;
	OK(cuModuleLoadData(&m, code));
	OK(cuModuleGetFunction(&sample, m, "sample"));
	OK(cuModuleGetFunction(&paint, m, "paint"));
	OK(cuMemAlloc_v2(&p, sizeof(got)));
	OK(cuArrayCreate_v2(&a, &d));
	copy(a, host, 1);
	for (int i = 0; i < 3; i++)
		t.addressMode[i] = CU_TR_ADDRESS_MODE_CLAMP;
	t.filterMode = CU_TR_FILTER_MODE_POINT;
	res.res.array.hArray = a;
	OK(cuTexObjectCreate(&tex, &res, &t, NULL));
	OK(cuLaunchKernel(sample, 1, 1, 1, W, H, 1, 0, NULL, params, NULL));
	OK(cuMemcpyDtoH_v2(got, p, sizeof(got)));
	TRUE(!memcmp(got, host, sizeof(got)));
	OK(cuTexObjectGetResourceDesc(&res_back, tex));
	TRUE(res_back.resType == CU_RESOURCE_TYPE_ARRAY && res_back.res.array.hArray == a);
	OK(cuTexObjectGetTextureDesc(&t_back, tex));
	TRUE(t_back.flags & CU_TRSF_READ_AS_INTEGER);
	OK(cuTexObjectDestroy(tex));
	OK(cuArray3DCreate_v2(&b, &d3));
	res.res.array.hArray = b;
	OK(cuSurfObjectCreate(&surf, &res));
	OK(cuLaunchKernel(paint, 1, 1, 1, W, H, 1, 0, NULL, surface, NULL));
	OK(cuCtxSynchronize());
	copy(b, got, 0);
	TRUE(got[0] == 0 && got[W + 2] == 1002 && got[W * H - 1] == 1000 * (H - 1) + W - 1);
	OK(cuSurfObjectGetResourceDesc(&res_back, surf));
	TRUE(res_back.res.array.hArray == b);
	OK(cuSurfObjectDestroy(surf));
	OK(cuArrayDestroy(b));
	OK(cuArrayDestroy(a));
	OK(cuMemFree_v2(p));
	OK(cuModuleUnload(m));
}

void tensors(void)
{
	CUtensorMap map = { 0 }, same = { 0 };
	cuuint64_t dim[2] = { 256, 64 }, stride[1] = { 1024 };
	cuuint32_t box[2] = { 32, 8 }, step[2] = { 1, 1 };
	CUdeviceptr p;

	OK(cuMemAlloc_v2(&p, 2 * 64 * 1024));
	OK(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, (void *)p, dim, stride,
				  box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
				  CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
				  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
	OK(cuTensorMapEncodeTiled(&same, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2,
				  (void *)(p + 64 * 1024), dim, stride, box, step,
				  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
				  CU_TENSOR_MAP_L2_PROMOTION_NONE,
				  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
	TRUE(memcmp(&map, &same, sizeof(map)));
	OK(cuTensorMapReplaceAddress(&same, (void *)p));
	TRUE(!memcmp(&map, &same, sizeof(map)));
	box[0] = 4096;
	IS(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, (void *)p, dim, stride,
				  box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
				  CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
				  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(p));
}

/* For convolutions: boxes of pixels of images of 16 by 16 with 64 channels. */
void tensors_of_pixels(void)
{
	CUtensorMap map = { 0 }, other = { 0 };
	cuuint64_t dim[4] = { 64, 16, 16, 2 }, stride[3] = { 128, 128 * 16, 128 * 256 };
	cuuint32_t step[4] = { 1, 1, 1, 1 };
	int lower[2] = { -1, -1 }, upper[2] = { -1, -1 }, major;
	CUdeviceptr p;
	CUresult r;

#define PIXELS(map, rank, at) \
	cuTensorMapEncodeIm2col(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank, (void *)(at), dim, \
				stride, lower, upper, 64, 32, step, \
				CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, \
				CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
#define WIDE(map, rank, at) \
	cuTensorMapEncodeIm2colWide(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank, (void *)(at), \
				    dim, stride, 0, 0, 64, 16, step, \
				    CU_TENSOR_MAP_INTERLEAVE_NONE, \
				    CU_TENSOR_MAP_IM2COL_WIDE_MODE_W, \
				    CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, \
				    CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
	OK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev));
	OK(cuMemAlloc_v2(&p, 1 << 20));
	if (major >= 9) {
		OK(PIXELS(&map, 4, p));
		OK(PIXELS(&other, 4, p + 4096));
		TRUE(memcmp(&map, &other, sizeof(map)));
		OK(cuTensorMapReplaceAddress(&other, (void *)p));
		TRUE(!memcmp(&map, &other, sizeof(map)));
		lower[0] = -2;
		OK(PIXELS(&other, 4, p));
		TRUE(memcmp(&map, &other, sizeof(map)));
	}
	IS(PIXELS(&map, 2, p), CUDA_ERROR_INVALID_VALUE);
	TRUE(PIXELS(&map, 4, p + 1) != CUDA_SUCCESS);
	/* Only from compute capability 10 on. */
	r = WIDE(&map, 4, p);
	if (major >= 10) {
		OK(r);
		OK(WIDE(&other, 4, p + 4096));
		TRUE(memcmp(&map, &other, sizeof(map)));
	}
	TRUE(WIDE(&map, 2, p) != CUDA_SUCCESS);
	OK(cuMemFree_v2(p));
}

/* What is told of arrays that only some of them have. */
void array_facts(void)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = 64, .Height = 32, .NumChannels = 1,
				      .Format = CU_AD_FORMAT_UNSIGNED_INT8 }, back;
	CUDA_ARRAY_MEMORY_REQUIREMENTS needs;
	CUDA_ARRAY_SPARSE_PROPERTIES sparse;
	CUmipmappedArray m;
	CUarray a, plane;

	OK(cuArray3DCreate_v2(&a, &d));
	OK(cuMipmappedArrayCreate(&m, &d, 3));
	/* This one has one plane, is in memory, and all of it is. */
	IS(cuArrayGetPlane(&plane, a, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuArrayGetMemoryRequirements(&needs, a, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuMipmappedArrayGetMemoryRequirements(&needs, m, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuArrayGetSparseProperties(&sparse, a), CUDA_ERROR_INVALID_VALUE);
	IS(cuMipmappedArrayGetSparseProperties(&sparse, m), CUDA_ERROR_INVALID_VALUE);
	OK(cuMipmappedArrayDestroy(m));
	OK(cuArrayDestroy(a));
	/* Brightness, and at half of the size colour. */
	d.Format = CU_AD_FORMAT_NV12;
	d.NumChannels = 3;
	if (!cuArray3DCreate_v2(&a, &d)) {
		OK(cuArrayGetPlane(&plane, a, 0));
		OK(cuArray3DGetDescriptor_v2(&back, plane));
		TRUE(back.Width == 64 && back.Height == 32 && back.NumChannels == 1);
		OK(cuArrayGetPlane(&plane, a, 1));
		OK(cuArray3DGetDescriptor_v2(&back, plane));
		TRUE(back.Width == 32 && back.Height == 16 && back.NumChannels == 2);
		IS(cuArrayGetPlane(&plane, a, 2), CUDA_ERROR_INVALID_VALUE);
		OK(cuArrayDestroy(a));
	}
	d.Format = CU_AD_FORMAT_UNSIGNED_INT8;
	d.NumChannels = 1;
	d.Flags = CUDA_ARRAY3D_DEFERRED_MAPPING;
	if (!cuArray3DCreate_v2(&a, &d)) {
		OK(cuArrayGetMemoryRequirements(&needs, a, dev));
		TRUE(needs.size >= 64 * 32 && needs.alignment);
		OK(cuArrayDestroy(a));
	}
}

/* A texture that sees its array in another format of the same size. */
void texture_views(void)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = W, .Height = H, .NumChannels = 1,
				      .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
	CUDA_RESOURCE_DESC res = { .resType = CU_RESOURCE_TYPE_ARRAY };
	CUDA_RESOURCE_VIEW_DESC view = { .format = CU_RES_VIEW_FORMAT_SINT_1X32, .width = W,
					 .height = H }, back;
	CUDA_TEXTURE_DESC t = { .flags = CU_TRSF_READ_AS_INTEGER };
	CUtexObject tex;
	size_t one, four;
	CUarray a;

	OK(cuArray3DCreate_v2(&a, &d));
	res.res.array.hArray = a;
	OK(cuTexObjectCreate(&tex, &res, &t, &view));
	memset(&back, 0xff, sizeof(back));
	OK(cuTexObjectGetResourceViewDesc(&back, tex));
	TRUE(back.format == CU_RES_VIEW_FORMAT_SINT_1X32 && back.width == W && back.height == H);
	IS(cuTexObjectGetResourceViewDesc(NULL, tex), CUDA_ERROR_INVALID_VALUE);
	OK(cuTexObjectDestroy(tex));
	OK(cuArrayDestroy(a));
	OK(cuDeviceGetTexture1DLinearMaxWidth(&one, CU_AD_FORMAT_FLOAT, 1, dev));
	OK(cuDeviceGetTexture1DLinearMaxWidth(&four, CU_AD_FORMAT_FLOAT, 4, dev));
	TRUE(one >= 1 << 16 && four >= 1 << 16 && four <= one);
	TRUE(cuDeviceGetTexture1DLinearMaxWidth(&one, CU_AD_FORMAT_FLOAT, 4, 99) != CUDA_SUCCESS);
}
