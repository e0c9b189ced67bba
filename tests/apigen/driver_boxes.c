// SPDX-License-Identifier: Apache-2.0
/* Boxes with a side in page-locked memory, which the device reads and writes itself. */
#include "driver_test.h"

enum { W = 16, H = 8, D = 4, PITCH = 32, ROWS = 10, WORDS = PITCH * ROWS * D };

static unsigned int *host;
static CUdeviceptr target;

static void fresh(void)
{
	for (unsigned int i = 0; i < WORDS; i++)
		host[i] = i;
	OK(cuMemsetD32_v2(target, 0xdead, WORDS));
}

/* The words of the box at (1, 1) of each slice. */
static CUDA_MEMCPY3D box(int in)
{
	CUDA_MEMCPY3D c = { .WidthInBytes = 4 * W, .Height = H, .Depth = D };

	if (in) {
		c.srcMemoryType = CU_MEMORYTYPE_HOST;
		c.srcHost = host;
		c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
		c.dstDevice = target;
	} else {
		c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
		c.srcDevice = target;
		c.dstMemoryType = CU_MEMORYTYPE_HOST;
		c.dstHost = host;
	}
	c.srcXInBytes = c.dstXInBytes = 4;
	c.srcY = c.dstY = 1;
	c.srcPitch = c.dstPitch = 4 * PITCH;
	c.srcHeight = c.dstHeight = ROWS;
	return c;
}

static int in_box(unsigned int i)
{
	unsigned int x = i % PITCH, y = i / PITCH % ROWS;

	return x >= 1 && x <= W && y >= 1 && y <= H;
}

/* What is in the box is `in` more than its place, and all else is as it was. */
static int host_is(unsigned int in)
{
	for (unsigned int i = 0; i < WORDS; i++)
		if (host[i] != (in_box(i) ? in : 0) + i)
			return 0;
	return 1;
}

static void add_all(CUstream s, unsigned int by)
{
	unsigned int n = WORDS;
	void *params[] = { &target, &n, &by };

	OK(cuLaunchKernel(add, (n + 255) / 256, 1, 1, 256, 1, 1, 0, s, params, NULL));
}

static void begin(void)
{
	OK(cuMemHostAlloc((void **)&host, 4 * WORDS, 0));
	OK(cuMemAlloc_v2(&target, 4 * WORDS));
}

static void end(void)
{
	OK(cuMemFree_v2(target));
	OK(cuMemFreeHost(host));
}

void pinned_boxes(void)
{
	CUDA_MEMCPY3D in, out;
	CUDA_MEMCPY2D flat;
	CUstream s;

	begin();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	in = box(1);
	out = box(0);
	fresh();
	OK(cuMemcpy3D_v2(&in));
	TRUE(value_at(target, 0) == 0xdead && value_at(target, PITCH + 1) == PITCH + 1);
	add_all(NULL, 5);
	/* A synchronous copy out has come in when it returns. */
	OK(cuMemcpy3D_v2(&out));
	TRUE(host_is(5));

	/* In a stream's order, and with the host's memory read when its turn comes. */
	fresh();
	OK(cuStreamSynchronize(NULL));
	OK(cuMemcpy3DAsync_v2(&in, s));
	add_all(s, 7);
	OK(cuMemcpy3DAsync_v2(&out, s));
	OK(cuStreamSynchronize(s));
	TRUE(host_is(7));

	/* The unified address says itself where it is. */
	fresh();
	in.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
	in.srcDevice = (CUdeviceptr)(uintptr_t)host;
	OK(cuMemcpy3D_v2(&in));
	add_all(NULL, 9);
	OK(cuMemcpy3D_v2(&out));
	TRUE(host_is(9));

	/* The last row of a box may end where the memory does. */
	flat = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = host + WORDS - 2 * PITCH + 28,
		.srcPitch = 4 * PITCH, .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = target,
		.dstPitch = 16, .WidthInBytes = 16, .Height = 2,
	};
	fresh();
	OK(cuMemcpy2D_v2(&flat));
	TRUE(value_at(target, 3) == WORDS - PITCH - 1 && value_at(target, 7) == WORDS - 1);
	TRUE(value_at(target, 8) == 0xdead);
	/* Pageable memory between the two: both ends as ever. */
	flat.dstPitch = 8;
	IS(cuMemcpy2D_v2(&flat), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamDestroy_v2(s));
	end();
}

/* Page-locked memory may be a side of a copy that is captured. */
void captured_boxes(void)
{
	CUDA_MEMCPY3D in, out;
	CUgraphExec exec;
	CUgraph g;
	CUstream s;

	begin();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	in = box(1);
	out = box(0);
	fresh();
	OK(cuCtxSynchronize());
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	OK(cuMemcpy3DAsync_v2(&in, s));
	add_all(s, 3);
	OK(cuMemcpy3DAsync_v2(&out, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	TRUE(host_is(0));
	OK(cuGraphLaunch(exec, s));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(host_is(6));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	OK(cuStreamDestroy_v2(s));
	end();
}

/* Between page-locked memory and an array. */
void array_boxes(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = W, .Height = H, .NumChannels = 1,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
	CUDA_MEMCPY2D in, out;
	CUarray a;

	begin();
	OK(cuArrayCreate_v2(&a, &d));
	in = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = host, .srcPitch = 4 * PITCH,
		.srcXInBytes = 4, .srcY = 1, .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = a,
		.WidthInBytes = 4 * W, .Height = H,
	};
	out = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = a,
		.dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = host, .dstPitch = 4 * PITCH,
		.dstXInBytes = 4, .dstY = 1 + ROWS, .WidthInBytes = 4 * W, .Height = H,
	};
	fresh();
	OK(cuMemcpy2D_v2(&in));
	OK(cuMemcpy2D_v2(&out));
	TRUE(host[PITCH * (1 + ROWS) + 1] == PITCH + 1);
	TRUE(host[PITCH * (H + ROWS) + W] == PITCH * H + W);
	TRUE(host[PITCH * (H + ROWS) + W + 1] == PITCH * (H + ROWS) + W + 1);
	OK(cuMemcpyHtoA_v2(a, 8, host + 100, 8));
	OK(cuMemcpyAtoH_v2(host, a, 4, 12));
	TRUE(host[0] == PITCH + 2 && host[1] == 100 && host[2] == 101);
	OK(cuArrayDestroy(a));
	end();
}
