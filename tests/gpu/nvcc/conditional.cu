// SPDX-License-Identifier: Apache-2.0
// nvcc: -arch=native -rdc=true
// A graph that goes round until a kernel in it says that it is enough.
#include <cstdio>

__global__ void step(unsigned int *count, cudaGraphConditionalHandle again, unsigned int last)
{
	cudaGraphSetConditional(again, ++*count < last);
}

__global__ void tell(unsigned int *count, unsigned int *out)
{
	*out = *count * 10;
}

#define CHECK(call)                                                                        \
	do {                                                                               \
		cudaError_t e_ = (call);                                                   \
		if (e_) {                                                                  \
			printf("FAIL conditional: %s: %s\n", #call, cudaGetErrorString(e_)); \
			return 1;                                                          \
		}                                                                          \
	} while (0)

int main()
{
	cudaGraphNodeParams loop = {};
	cudaGraphConditionalHandle again;
	cudaGraphExec_t exec;
	cudaGraphNode_t node, after;
	cudaKernelNodeParams kernel = {};
	unsigned int *count, *out, result = 0, last = 7;
	cudaGraph_t graph, body, same;
	cudaStream_t s;

	CHECK(cudaMalloc(&count, 8));
	out = count + 1;
	CHECK(cudaStreamCreate(&s));
	CHECK(cudaGraphCreate(&graph, 0));
	CHECK(cudaGraphConditionalHandleCreate(&again, graph, 1, cudaGraphCondAssignDefault));
	loop.type = cudaGraphNodeTypeConditional;
	loop.conditional.handle = again;
	loop.conditional.type = cudaGraphCondTypeWhile;
	loop.conditional.size = 1;
	CHECK(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &loop));
	body = loop.conditional.phGraph_out[0];
	CHECK(cudaStreamBeginCaptureToGraph(s, body, nullptr, nullptr, 0,
					    cudaStreamCaptureModeRelaxed));
	step<<<1, 1, 0, s>>>(count, again, last);
	CHECK(cudaStreamEndCapture(s, &same));
	void *args[] = { &count, &out };
	kernel.func = (void *)tell;
	kernel.gridDim = kernel.blockDim = dim3(1);
	kernel.kernelParams = args;
	CHECK(cudaGraphAddKernelNode(&after, graph, &node, 1, &kernel));
	CHECK(cudaGraphKernelNodeGetParams(after, &kernel));
	if (kernel.func != (void *)tell || *(unsigned int **)kernel.kernelParams[1] != out) {
		printf("FAIL conditional: a node's parameters are not what they were\n");
		return 1;
	}
	CHECK(cudaGraphInstantiate(&exec, graph, 0));
	for (int i = 0; i < 3; i++) {
		CHECK(cudaMemsetAsync(count, 0, 8, s));
		CHECK(cudaGraphLaunch(exec, s));
		CHECK(cudaMemcpyAsync(&result, out, 4, cudaMemcpyDeviceToHost, s));
		CHECK(cudaStreamSynchronize(s));
		if (result != last * 10) {
			printf("FAIL conditional: %u, not %u\n", result, last * 10);
			return 1;
		}
	}
	printf("PASS conditional: %u rounds\n", last);
	return 0;
}
