// SPDX-License-Identifier: Apache-2.0
/* Copies and memsets in each of their shapes: what is written, and what is left alone. */
#include <stdlib.h>
#include <string.h>

#include "driver_test.h"

#define ROWS 8
#define PITCH 64		/* bytes of a row */
#define BYTES (ROWS * PITCH)

static CUstream s;
static CUdeviceptr a, b;
static unsigned char in[BYTES], out[BYTES];

static void fresh(void)
{
	OK(cuMemcpyHtoDAsync_v2(a, in, BYTES, s));
	OK(cuMemsetD8Async(b, 0xee, BYTES, s));
	OK(cuStreamSynchronize(s));
}

static const unsigned char *look(CUdeviceptr p)
{
	memset(out, 0, sizeof(out));
	OK(cuMemcpyDtoHAsync_v2(out, p, BYTES, s));
	OK(cuStreamSynchronize(s));
	return out;
}

/* The bytes at p that are not `value` where inside (width bytes of rows), or changed outside. */
static int painted(CUdeviceptr p, const void *value, int size, int width, int rows,
		   const unsigned char *before)
{
	const unsigned char *got = look(p), *v = value;
	int wrong = 0;

	for (int i = 0; i < BYTES; i++) {
		int x = i % PITCH, y = i / PITCH;

		wrong += got[i] != (x < width && y < rows ? v[x % size] :
							    before ? before[i] : 0xee);
	}
	return !wrong;
}

static void set_boxes(void)
{
	unsigned short h = 0x1234;
	unsigned int w = 0x12345678;
	unsigned char c = 0x77;

#define BOX(call, v, width, rows) do { \
	fresh(); \
	OK(call); \
	OK(cuCtxSynchronize()); \
	TRUE(painted(a, &v, sizeof(v), width, rows, in)); \
} while (0)
	BOX(cuMemsetD2D8_v2(a, PITCH, c, 17, 5), c, 17, 5);
	BOX(cuMemsetD2D16_v2(a, PITCH, h, 9, 5), h, 18, 5);
	BOX(cuMemsetD2D32_v2(a, PITCH, w, 5, 3), w, 20, 3);
	BOX(cuMemsetD2D8Async(a, PITCH, c, 63, 8, s), c, 63, 8);
	BOX(cuMemsetD2D16Async(a, PITCH, h, 31, 7, s), h, 62, 7);
	BOX(cuMemsetD2D32Async(a, PITCH, w, 15, 1, s), w, 60, 1);
	BOX(cuMemsetD16Async(a, h, PITCH / 2, s), h, PITCH, 1);
	BOX(cuMemsetD16_v2(a, h, PITCH / 4), h, PITCH / 2, 1);
#undef BOX
	IS(cuMemsetD2D16_v2(a + 1, PITCH, h, 9, 5), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemsetD2D32Async(a + 2, PITCH, w, 5, 3, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemsetD16Async(a + 1, h, 4, s), CUDA_ERROR_INVALID_VALUE);
	TRUE(cuMemsetD2D8_v2(a, 16, c, 17, 5) != CUDA_SUCCESS);
	IS(cuMemsetD2D16Async(0, PITCH, h, 9, 5, s), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamSynchronize(s));
}

static void flat(void)
{
	fresh();
	OK(cuMemcpyAsync(b, a, 100, s));
	OK(cuMemcpyAsync((uintptr_t)(out + 200), b, 100, s));
	OK(cuStreamSynchronize(s));
	TRUE(!memcmp(out + 200, in, 100));
	TRUE(!memcmp(look(b), in, 100) && out[100] == 0xee);
	OK(cuMemcpyPeer(b + 8, ctx, a, ctx, 64));
	OK(cuCtxSynchronize());
	TRUE(!memcmp(look(b) + 8, in, 64) && out[8 + 64] == in[72]);
	OK(cuMemcpyPeerAsync(b + 300, ctx, a + 1, ctx, 33, s));
	OK(cuStreamSynchronize(s));
	TRUE(!memcmp(look(b) + 300, in + 1, 33) && out[333] == 0xee);
	TRUE(cuMemcpyAsync(0, a, 100, s) != CUDA_SUCCESS);
	TRUE(cuMemcpyPeer(0, ctx, a, ctx, 64) != CUDA_SUCCESS);
	TRUE(cuMemcpyPeerAsync(b, ctx, 0, ctx, 64, s) != CUDA_SUCCESS);
	OK(cuStreamSynchronize(s));
}

/* A box of 10 bytes, 3 rows, 2 layers: rows of 16, layers of 4 rows, into rows of 32 by 5. */
static CUDA_MEMCPY3D box(void)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = a, .srcPitch = 16,
		.srcHeight = 4, .srcXInBytes = 3, .srcY = 1, .srcZ = 1,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = b, .dstPitch = 32,
		.dstHeight = 5, .dstXInBytes = 2, .dstZ = 1,
		.WidthInBytes = 10, .Height = 3, .Depth = 2,
	};
}

static int boxed(const unsigned char *got)
{
	int wrong = 0;

	for (int i = 0; i < BYTES; i++) {
		int x = i % 32 - 2, y = i / 32 % 5, z = i / 160 - 1;
		int inside = x >= 0 && x < 10 && y < 3 && z >= 0 && z < 2;

		wrong += got[i] != (inside ? in[(z + 1) * 64 + (y + 1) * 16 + x + 3] : 0xee);
	}
	return !wrong;
}

static void deep(void)
{
	CUDA_MEMCPY2D flat2 = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = a + 1,
				.srcPitch = 33, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				.dstDevice = b + 3, .dstPitch = 21, .WidthInBytes = 13,
				.Height = 6 };
	CUDA_MEMCPY3D c = box();
	int wrong = 0;

	fresh();
	OK(cuMemcpy3D_v2(&c));
	OK(cuCtxSynchronize());
	TRUE(boxed(look(b)));
	fresh();
	OK(cuMemcpy3DAsync_v2(&c, s));
	TRUE(boxed(look(b)));
	/* Into this process. */
	memset(out, 0xee, sizeof(out));
	c.dstMemoryType = CU_MEMORYTYPE_HOST;
	c.dstHost = out;
	OK(cuMemcpy3D_v2(&c));
	TRUE(boxed(out));
	c.Depth = 3;
	c.srcPitch = 9;			/* rows shorter than the box */
	IS(cuMemcpy3D_v2(&c), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpy3DAsync_v2(&c, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpy3D_v2(NULL), CUDA_ERROR_INVALID_VALUE);

	fresh();
	OK(cuMemcpy2DUnaligned_v2(&flat2));
	OK(cuCtxSynchronize());
	look(b);
	for (int y = 0; y < 6; y++)
		for (int x = 0; x < 21; x++)
			wrong += out[3 + y * 21 + x] != (x < 13 ? in[1 + y * 33 + x] : 0xee);
	TRUE(!wrong && out[2] == 0xee);
	flat2.srcPitch = 5;
	IS(cuMemcpy2DUnaligned_v2(&flat2), CUDA_ERROR_INVALID_VALUE);
}

/* The forms of CUDA 12.8, which tell which copy failed. */
static void batches12(void)
{
	CUmemcpyAttributes attr = { .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM };
	CUdeviceptr dst[2] = { b, b + 256 }, src[2] = { a + 64, a };
	size_t sizes[2] = { 32, 64 }, first = 0, failing = 77;
	CUDA_MEMCPY3D_BATCH_OP op;

	fresh();
	OK(cuMemcpyBatchAsync(dst, src, sizes, 2, &attr, &first, 1, &failing, s));
	OK(cuStreamSynchronize(s));
	look(b);
	TRUE(!memcmp(out, in + 64, 32) && out[32] == 0xee && !memcmp(out + 256, in, 64));
	IS(cuMemcpyBatchAsync(dst, src, sizes, 0, &attr, &first, 1, &failing, s),
	   CUDA_ERROR_INVALID_VALUE);
	TRUE(cuMemcpyBatchAsync(dst, src, sizes, 2, &attr, &first, 0, &failing, s) !=
	     CUDA_SUCCESS);
	memset(&op, 0, sizeof(op));
	op.src.type = op.dst.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
	op.src.op.ptr.ptr = a;
	op.dst.op.ptr.ptr = b;
	op.dst.op.ptr.rowLength = 64;
	op.extent = (CUextent3D){ 16, 4, 1 };
	op.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	fresh();
	OK(cuMemcpy3DBatchAsync(1, &op, &failing, 0, s));
	OK(cuStreamSynchronize(s));
	look(b);
	for (int y = 0; y < 4; y++)
		TRUE(!memcmp(out + 64 * y, in + 16 * y, 16) && out[64 * y + 16] == 0xee);
	op.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
	IS(cuMemcpy3DBatchAsync(1, &op, &failing, 0, s), CUDA_ERROR_INVALID_VALUE);
}

static void begin(void)
{
	for (int i = 0; i < BYTES; i++)
		in[i] = i * 7 % 253;
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&a, BYTES));
	OK(cuMemAlloc_v2(&b, BYTES));
}

static void end(void)
{
	OK(cuMemFree_v2(a));
	OK(cuMemFree_v2(b));
	OK(cuStreamDestroy_v2(s));
}

void shapes(void)
{
	begin();
	set_boxes();
	flat();
	deep();
	batches12();
	end();
}

/* Between a line of memory and an array of one dimension. */
void array_lines(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = BYTES, .NumChannels = 1,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT8 };
	CUarray x, y;

	begin();
	fresh();
	OK(cuArrayCreate_v2(&x, &d));
	OK(cuArrayCreate_v2(&y, &d));
	OK(cuMemcpyHtoAAsync_v2(x, 0, in, BYTES, s));
	memset(out, 0, BYTES);
	OK(cuMemcpyAtoHAsync_v2(out, x, 16, 100, s));
	OK(cuStreamSynchronize(s));
	TRUE(!memcmp(out, in + 16, 100) && out[100] == 0);
	OK(cuMemcpyAtoA_v2(y, 64, x, 32, 128));
	OK(cuMemcpyAtoD_v2(b + 4, y, 64, 128));
	OK(cuCtxSynchronize());
	TRUE(!memcmp(look(b) + 4, in + 32, 128) && out[3] == 0xee && out[132] == 0xee);
	OK(cuMemcpyDtoA_v2(y, 0, a + 1, 50));
	OK(cuMemcpyAtoH_v2(out, y, 0, 50));
	TRUE(!memcmp(out, in + 1, 50));
	IS(cuMemcpyDtoA_v2(y, BYTES - 8, a, 16), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyAtoD_v2(b, y, BYTES - 8, 16), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyAtoA_v2(y, BYTES - 8, x, 0, 16), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyHtoAAsync_v2(y, BYTES - 8, in, 16, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyAtoHAsync_v2(out, y, BYTES - 8, 16, s), CUDA_ERROR_INVALID_VALUE);
	OK(cuArrayDestroy(x));
	OK(cuArrayDestroy(y));
	end();
}

#define ODD_BYTES (1000003u)	/* no whole number of pages */
#define ODD_ROW 1009u
#define ODD_COPIES 300		/* together far more than any buffer between program and device */

/* However often: what a copy took on its way is given back, also when the copy is refused. */
void odd_sizes(void)
{
	unsigned char *data = malloc(ODD_BYTES), *back = malloc(ODD_BYTES);
	CUDA_MEMCPY2D box = {
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = data, .srcPitch = ODD_ROW,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstPitch = ODD_ROW,
		.WidthInBytes = ODD_ROW - 6, .Height = ODD_BYTES / ODD_ROW,
	};
	CUdeviceptr memory;
	CUstream gone;
	int refused = 0;

	for (unsigned int i = 0; i < ODD_BYTES; i++)
		data[i] = i * 7 + i / 251;
	OK(cuMemAlloc_v2(&memory, ODD_BYTES));
	OK(cuStreamCreate(&gone, CU_STREAM_NON_BLOCKING));
	OK(cuStreamDestroy_v2(gone));
	box.dstDevice = memory;
	for (int i = 0; i < ODD_COPIES; i++) {
		OK(cuMemcpy2D_v2(&box));
		OK(cuMemcpyHtoDAsync_v2(memory, data, ODD_BYTES, NULL));
		/* A stream that is gone may end a native program. */
		for (int k = 0; k < 8 && through_vgpu; k++)
			refused += cuMemcpyHtoDAsync_v2(memory, data, ODD_BYTES / 16, gone) != 0;
		memset(back, 0, ODD_BYTES);
		OK(cuMemcpyDtoH_v2(back, memory, ODD_BYTES));
		TRUE(!memcmp(data, back, ODD_BYTES));
	}
	TRUE(refused == (through_vgpu ? 8 * ODD_COPIES : 0));
	OK(cuMemFree_v2(memory));
	free(data);
	free(back);
}
