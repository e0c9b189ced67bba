// SPDX-License-Identifier: Apache-2.0
/* Batches of copies, boxes between contexts, and what is said of managed memory in batches. */
#include <stdlib.h>
#include <string.h>

#include "driver_test.h"

#define N 4096			/* words of each buffer */

static CUmemcpyAttributes order(CUmemcpySrcAccessOrder o)
{
	return (CUmemcpyAttributes){ .srcAccessOrder = o };
}

static int all(const unsigned int *p, unsigned int first, unsigned int step)
{
	for (unsigned int i = 0; i < N; i++)
		if (p[i] != first + i * step)
			return 0;
	return 1;
}

/* Host to device, device to device, device to host, pageable and pinned, in one batch. */
static void linear(CUstream s)
{
	unsigned int *in = malloc(4 * N), *out = calloc(N, 4), *pinned;
	CUdeviceptr d[4], dst[4], src[4];
	size_t sizes[4] = { 4 * N, 4 * N, 4 * N, 4 * N }, first[2] = { 0, 2 };
	CUmemcpyAttributes attrs[2] = { order(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
					order(CU_MEMCPY_SRC_ACCESS_ORDER_ANY) };

	OK(cuMemHostAlloc((void **)&pinned, 4 * N, 0));
	for (int i = 0; i < 4; i++)
		OK(cuMemAlloc_v2(&d[i], 4 * N));
	for (int i = 0; i < N; i++)
		in[i] = 7 + 3 * i;
	OK(cuMemsetD32Async(d[2], 55, N, s));
	OK(cuMemsetD32Async(d[3], 66, N, s));
	dst[0] = (uintptr_t)pinned, src[0] = d[2];
	dst[1] = d[1], src[1] = d[3];
	dst[2] = d[0], src[2] = (uintptr_t)in;
	dst[3] = (uintptr_t)out, src[3] = d[3];
	OK(cuMemcpyBatchAsync_v2(dst, src, sizes, 4, attrs, first, 2, s));
	OK(cuStreamSynchronize(s));
	TRUE(all(pinned, 55, 0) && all(out, 66, 0));
	TRUE(value_at(d[1], N - 1) == 66 && value_at(d[0], 0) == 7 &&
	     value_at(d[0], N - 1) == 7 + 3 * (N - 1));
	/* In stream order: a source that the work before writes. */
	OK(cuMemsetD32Async(d[2], 77, N, s));
	dst[0] = (uintptr_t)pinned, src[0] = d[2];
	first[1] = 1;
	OK(cuMemcpyBatchAsync_v2(dst, src, sizes, 1, attrs, first, 1, s));
	dst[0] = d[0], src[0] = (uintptr_t)pinned;
	OK(cuMemcpyBatchAsync_v2(dst, src, sizes, 1, attrs, first, 1, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(d[0], N / 2) == 77);
	/* Sources that are good until the call returns and no longer. */
	for (int i = 0; i < N; i++)
		pinned[i] = in[i] = 1000 + i;
	attrs[0] = order(CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL);
	dst[0] = d[0], src[0] = (uintptr_t)in;
	dst[1] = d[1], src[1] = (uintptr_t)pinned;
	OK(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 1, s));
	memset(in, 0xff, 4 * N);
	memset(pinned, 0xff, 4 * N);
	OK(cuStreamSynchronize(s));
	TRUE(value_at(d[0], N - 1) == 1000 + N - 1 && value_at(d[1], N - 1) == 1000 + N - 1);
	for (int i = 0; i < 4; i++)
		OK(cuMemFree_v2(d[i]));
	OK(cuMemFreeHost(pinned));
	free(in);
	free(out);
}

static void refused(CUstream s)
{
	CUmemcpyAttributes attrs[2] = { order(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
					order(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM) };
	size_t sizes[2] = { 64, 64 }, first[2] = { 0, 1 };
	CUdeviceptr p, dst[2], src[2];

	OK(cuMemAlloc_v2(&p, 1024));
	OK(cuMemsetD32_v2(p, 1, 256));
	dst[0] = p, src[0] = p + 256, dst[1] = p + 512, src[1] = p + 768;
	TRUE(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 2, NULL) != CUDA_SUCCESS);
	IS(cuMemcpyBatchAsync_v2(dst, src, sizes, 0, attrs, first, 1, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 0, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyBatchAsync_v2(NULL, src, sizes, 2, attrs, first, 2, s),
	   CUDA_ERROR_INVALID_VALUE);
	first[0] = 1;
	IS(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 1, s), CUDA_ERROR_INVALID_VALUE);
	first[0] = 0;
	first[1] = 0;
	IS(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 2, s), CUDA_ERROR_INVALID_VALUE);
	first[1] = 2;
	IS(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 2, s), CUDA_ERROR_INVALID_VALUE);
	first[1] = 1;
	attrs[1].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
	IS(cuMemcpyBatchAsync_v2(dst, src, sizes, 2, attrs, first, 2, s), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 0) == 1);
	OK(cuMemFree_v2(p));
}

static CUmemcpy3DOperand pointer(CUdeviceptr p, size_t row, size_t layer)
{
	CUmemcpy3DOperand o = { .type = CU_MEMCPY_OPERAND_TYPE_POINTER };

	o.op.ptr.ptr = p;
	o.op.ptr.rowLength = row;
	o.op.ptr.layerHeight = layer;
	return o;
}

/* A box of 8 by 4 by 2 bytes into the middle of rows of 16, 8 to a layer, and back. */
static void boxes(CUstream s)
{
	unsigned char in[64], back[64] = { 0 }, whole[256];
	CUDA_MEMCPY3D_BATCH_OP op[2];
	CUdeviceptr p;
	int wrong = 0;

	for (int i = 0; i < 64; i++)
		in[i] = 100 + i;
	OK(cuMemAlloc_v2(&p, 256));
	OK(cuMemsetD8Async(p, 9, 256, s));
	memset(op, 0, sizeof(op));
	op[0].src = pointer((uintptr_t)in, 0, 0);
	op[0].dst = pointer(p + 16 * 2 + 4, 16, 8);
	op[0].extent = (CUextent3D){ 8, 4, 2 };
	op[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	OK(cuMemcpy3DBatchAsync_v2(1, op, 0, s));
	op[1] = op[0];
	op[1].src = op[0].dst;
	op[1].dst = pointer((uintptr_t)back, 8, 4);
	OK(cuMemcpy3DBatchAsync_v2(1, op + 1, 0, s));
	OK(cuStreamSynchronize(s));
	TRUE(!memcmp(in, back, 64));
	OK(cuMemcpyDtoH_v2(whole, p, 256));
	for (int i = 0; i < 256; i++) {
		int x = i % 16 - 4, y = i / 16 % 8 - 2, z = i / 128;
		int inside = x >= 0 && x < 8 && y >= 0 && y < 4;

		wrong += whole[i] != (inside ? 100 + z * 32 + y * 8 + x : 9);
	}
	TRUE(!wrong);
	op[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
	IS(cuMemcpy3DBatchAsync_v2(1, op, 0, s), CUDA_ERROR_INVALID_VALUE);
	op[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	IS(cuMemcpy3DBatchAsync_v2(1, op, 1, s), CUDA_ERROR_INVALID_VALUE);
	op[0].extent.depth = 0;
	IS(cuMemcpy3DBatchAsync_v2(1, op, 0, s), CUDA_ERROR_INVALID_VALUE);
	op[0].extent.depth = 2;
	op[0].dst = pointer(p, 7, 0);		/* rows shorter than the box */
	IS(cuMemcpy3DBatchAsync_v2(1, op, 0, s), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(p));
}

static void peers(CUstream s)
{
	CUDA_MEMCPY3D_PEER c = {
		.srcMemoryType = CU_MEMORYTYPE_DEVICE, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcContext = ctx, .dstContext = ctx, .srcPitch = 64, .srcHeight = 4,
		.dstPitch = 128, .dstHeight = 4, .WidthInBytes = 64, .Height = 4, .Depth = 2,
	};
	unsigned int host[16];
	CUdeviceptr p, q;

	OK(cuMemAlloc_v2(&p, 512));
	OK(cuMemAlloc_v2(&q, 1024));
	OK(cuMemsetD32_v2(p, 5, 128));
	OK(cuMemsetD32_v2(q, 6, 256));
	OK(cuCtxSynchronize());			/* the stream does not wait for the default one */
	c.srcDevice = p;
	c.dstDevice = q;
	OK(cuMemcpy3DPeerAsync(&c, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(q, 0) == 5 && value_at(q, 15) == 5 && value_at(q, 16) == 6);
	TRUE(value_at(q, 7 * 32 + 15) == 5 && value_at(q, 7 * 32 + 16) == 6);
	OK(cuMemsetD32_v2(p, 8, 128));
	OK(cuMemcpy3DPeer(&c));
	OK(cuCtxSynchronize());
	TRUE(value_at(q, 7 * 32 + 15) == 8);
	c.dstMemoryType = CU_MEMORYTYPE_HOST;
	c.dstHost = host;
	c.dstPitch = 64;
	c.Height = c.Depth = 1;
	OK(cuMemcpy3DPeer(&c));
	TRUE(host[0] == 8 && host[15] == 8);
	OK(cuMemFree_v2(p));
	OK(cuMemFree_v2(q));
}

void batches(void)
{
	CUstream s;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	linear(s);
	refused(s);
	boxes(s);
	peers(s);
	OK(cuStreamDestroy_v2(s));
}

/* A box from an array to another, by elements, and from there to the host. */
void array_batches(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = 16, .Height = 8, .NumChannels = 2,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
	unsigned int in[16 * 8 * 2], out[4 * 2 * 2] = { 0 };
	CUDA_MEMCPY3D_BATCH_OP op;
	CUarray a, b;
	CUstream s;
	int wrong = 0;

	for (int i = 0; i < 16 * 8 * 2; i++)
		in[i] = i;
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuArrayCreate_v2(&a, &d));
	OK(cuArrayCreate_v2(&b, &d));
	memset(&op, 0, sizeof(op));
	op.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	op.src = pointer((uintptr_t)in, 16, 8);
	op.dst.type = CU_MEMCPY_OPERAND_TYPE_ARRAY;
	op.dst.op.array.array = a;
	op.dst.op.array.offset = (CUoffset3D){ 0, 0, 0 };
	op.extent = (CUextent3D){ 16, 8, 1 };
	OK(cuMemcpy3DBatchAsync_v2(1, &op, 0, s));
	op.src = op.dst;
	op.src.op.array.offset = (CUoffset3D){ 3, 2, 0 };
	op.dst.op.array.array = b;
	op.extent = (CUextent3D){ 4, 2, 1 };
	OK(cuMemcpy3DBatchAsync_v2(1, &op, 0, s));
	op.src = op.dst;
	op.dst = pointer((uintptr_t)out, 0, 0);
	OK(cuMemcpy3DBatchAsync_v2(1, &op, 0, s));
	OK(cuStreamSynchronize(s));
	for (int y = 0; y < 2; y++)
		for (int x = 0; x < 8; x++)
			wrong += out[y * 8 + x] != in[((y + 2) * 16 + 3) * 2 + x];
	TRUE(!wrong);
	OK(cuArrayDestroy(a));
	OK(cuArrayDestroy(b));
	OK(cuStreamDestroy_v2(s));
}

void managed_batches(void)
{
	CUmemLocation to[2] = { { CU_MEM_LOCATION_TYPE_DEVICE, dev },
				{ CU_MEM_LOCATION_TYPE_HOST, 0 } };
	size_t sizes[2] = { 1 << 20, 1 << 20 }, first[2] = { 0, 1 };
	CUdeviceptr p[2], plain, one[1];
	int can, where;
	CUstream s;

	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, dev));
	if (!can)
		return;
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAllocManaged(&p[0], 1 << 20, CU_MEM_ATTACH_GLOBAL));
	OK(cuMemAllocManaged(&p[1], 1 << 20, CU_MEM_ATTACH_GLOBAL));
	memset((void *)(uintptr_t)p[0], 1, 1 << 20);
	OK(cuMemPrefetchBatchAsync(p, sizes, 2, to, first, 2, 0, s));
	OK(cuStreamSynchronize(s));
	OK(cuMemRangeGetAttribute(&where, sizeof(where),
				  CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p[0], 1 << 20));
	TRUE(where == dev);
	OK(cuMemRangeGetAttribute(&where, sizeof(where),
				  CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p[1], 1 << 20));
	TRUE(where == CU_DEVICE_CPU);
	TRUE(*(unsigned char *)(uintptr_t)(p[0] + 77) == 1);
	OK(cuMemDiscardBatchAsync(p, sizes, 2, 0, s));
	OK(cuMemsetD8Async(p[0], 3, 1 << 20, s));
	OK(cuStreamSynchronize(s));
	TRUE(*(unsigned char *)(uintptr_t)(p[0] + 77) == 3);
	OK(cuMemDiscardAndPrefetchBatchAsync(p, sizes, 2, to, first, 1, 0, s));
	OK(cuStreamSynchronize(s));
	IS(cuMemDiscardBatchAsync(p, sizes, 2, 1, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemDiscardBatchAsync(p, sizes, 0, 0, s), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAlloc_v2(&plain, 1 << 20));
	one[0] = plain;
	IS(cuMemPrefetchBatchAsync(one, sizes, 1, to, first, 1, 0, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemDiscardBatchAsync(one, sizes, 1, 0, s), CUDA_ERROR_INVALID_VALUE);
	first[0] = 1;
	IS(cuMemPrefetchBatchAsync(p, sizes, 2, to, first, 1, 0, s), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(plain));
	OK(cuMemFree_v2(p[0]));
	OK(cuMemFree_v2(p[1]));
	OK(cuStreamDestroy_v2(s));
}
