// SPDX-License-Identifier: Apache-2.0
// nvcc: -lcublas -lcufft -lcusolver -lcusparse -lcurand -lnvrtc -lcuda
// NVIDIA's own libraries, called as a C++ program does; each result is checked
// against one computed here, and a sum of its bits is printed.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <cublas_v2.h>
#include <cuda.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <cufft.h>
#include <curand.h>
#include <cusolverDn.h>
#include <cusparse.h>
#include <nvrtc.h>

#define CHECK(call)                                                            \
	do {                                                                   \
		int e_ = (int)(call);                                          \
		if (e_) {                                                      \
			printf("FAIL libraries: %s: %d\n", #call, e_);         \
			return 1;                                              \
		}                                                              \
	} while (0)

template <typename T> static uint64_t bits(const std::vector<T> &v)
{
	const uint8_t *p = (const uint8_t *)v.data();
	uint64_t h = 1469598103934665603ull;

	for (size_t i = 0; i < v.size() * sizeof(T); i++)
		h = (h ^ p[i]) * 1099511628211ull;
	return h;
}

template <typename T> static T *upload(const std::vector<T> &v)
{
	T *p = NULL;

	if (cudaMalloc(&p, v.size() * sizeof(T)) ||
	    cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice))
		return NULL;
	return p;
}

static int near(const char *what, double got, double want, double within)
{
	if (std::fabs(got - want) <= within)
		return 0;
	printf("FAIL libraries: %s: %g, not %g\n", what, got, want);
	return 1;
}

static int blas()
{
	const int n = 128, batch = 8;
	const float one = 1, zero = 0;
	const __half one_h = __float2half(1), zero_h = __float2half(0);
	std::vector<float> a(n * n), b(n * n), c(n * n);
	std::vector<__half> ah(n * n * batch), bh(n * n * batch), ch(n * n * batch);
	cublasHandle_t handle;
	double want = 0;

	for (int i = 0; i < n * n; i++) {
		a[i] = i % 7 - 3;
		b[i] = i % 5 - 2;
	}
	for (int i = 0; i < n * n * batch; i++) {
		ah[i] = __float2half(i % 3 - 1);
		bh[i] = __float2half(i % 4 - 1);
	}
	float *da = upload(a), *db = upload(b), *dc = upload(c);
	__half *dah = upload(ah), *dbh = upload(bh), *dch = upload(ch);
	CHECK(cublasCreate(&handle));
	CHECK(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, da, n, db, n, &zero,
			  dc, n));
	CHECK(cudaMemcpy(c.data(), dc, n * n * sizeof(float), cudaMemcpyDeviceToHost));
	for (int k = 0; k < n; k++)
		want += a[k * n + 3] * b[5 * n + k];
	if (near("sgemm", c[5 * n + 3], want, 0))
		return 1;
	CHECK(cublasHgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one_h, dah, n,
					n * n, dbh, n, n * n, &zero_h, dch, n, n * n, batch));
	CHECK(cudaMemcpy(ch.data(), dch, ch.size() * sizeof(__half), cudaMemcpyDeviceToHost));
	want = 0;
	for (int k = 0; k < n; k++)
		want += __half2float(ah[n * n + k * n + 3]) * __half2float(bh[n * n + 5 * n + k]);
	if (near("hgemm", __half2float(ch[n * n + 5 * n + 3]), want, 0))
		return 1;
	CHECK(cublasDestroy(handle));
	printf("cublas %016llx %016llx\n", (unsigned long long)bits(c),
	       (unsigned long long)bits(ch));
	return 0;
}

static int fft()
{
	const int n = 1024;
	std::vector<cufftComplex> x(n), y(n);
	cufftHandle plan, square;

	for (int i = 0; i < n; i++)
		x[i] = { std::cos(2 * (float)M_PI * 5 * i / n), 0 };
	cufftComplex *d = upload(x);
	CHECK(cufftPlan1d(&plan, n, CUFFT_C2C, 1));
	CHECK(cufftExecC2C(plan, d, d, CUFFT_FORWARD));
	CHECK(cudaMemcpy(y.data(), d, n * sizeof(*d), cudaMemcpyDeviceToHost));
	if (near("fft", y[5].x, n / 2, 0.1) || near("fft", y[6].x, 0, 0.1))
		return 1;
	CHECK(cufftPlan2d(&square, 32, 32, CUFFT_C2C));
	CHECK(cufftExecC2C(square, d, d, CUFFT_INVERSE));
	CHECK(cudaDeviceSynchronize());
	CHECK(cufftDestroy(plan));
	CHECK(cufftDestroy(square));
	printf("cufft %016llx\n", (unsigned long long)bits(y));
	return 0;
}

static int solver()
{
	const int n = 64;
	std::vector<double> a(n * n), b(n, 1), x(n);
	cusolverDnHandle_t handle;
	int room = 0, *pivots, *info, failed = -1;
	double *work;

	for (int i = 0; i < n * n; i++)
		a[i] = i / n == i % n ? 50 : i % 3;
	double *da = upload(a), *db = upload(b);
	CHECK(cusolverDnCreate(&handle));
	CHECK(cusolverDnDgetrf_bufferSize(handle, n, n, da, n, &room));
	CHECK(cudaMalloc(&work, room * sizeof(double)));
	CHECK(cudaMalloc(&pivots, n * sizeof(int)));
	CHECK(cudaMalloc(&info, sizeof(int)));
	CHECK(cusolverDnDgetrf(handle, n, n, da, n, work, pivots, info));
	CHECK(cusolverDnDgetrs(handle, CUBLAS_OP_N, n, 1, da, n, pivots, db, n, info));
	CHECK(cudaMemcpy(&failed, info, sizeof(int), cudaMemcpyDeviceToHost));
	CHECK(cudaMemcpy(x.data(), db, n * sizeof(double), cudaMemcpyDeviceToHost));
	if (near("getrf", failed, 0, 0))
		return 1;
	for (int i = 0; i < n; i++) {
		double sum = 0;

		for (int j = 0; j < n; j++)
			sum += a[j * n + i] * x[j];
		if (near("getrs", sum, 1, 1e-10))
			return 1;
	}
	CHECK(cusolverDnDestroy(handle));
	printf("cusolver %016llx\n", (unsigned long long)bits(x));
	return 0;
}

static int sparse()
{
	const int n = 100;
	const float one = 1, zero = 0;
	std::vector<int> rows(n + 1), columns(n);
	std::vector<float> values(n), x(n), y(n);
	cusparseHandle_t handle;
	cusparseSpMatDescr_t matrix;
	cusparseDnVecDescr_t vx, vy;
	size_t room = 0;
	void *work;

	for (int i = 0; i < n; i++) {
		rows[i] = i;
		columns[i] = (i * 7) % n;
		values[i] = i;
		x[i] = 2 * i;
	}
	rows[n] = n;
	int *dr = upload(rows), *dc = upload(columns);
	float *dv = upload(values), *dx = upload(x), *dy = upload(y);
	CHECK(cusparseCreate(&handle));
	CHECK(cusparseCreateCsr(&matrix, n, n, n, dr, dc, dv, CUSPARSE_INDEX_32I,
				CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO, CUDA_R_32F));
	CHECK(cusparseCreateDnVec(&vx, n, dx, CUDA_R_32F));
	CHECK(cusparseCreateDnVec(&vy, n, dy, CUDA_R_32F));
	CHECK(cusparseSpMV_bufferSize(handle, CUSPARSE_OPERATION_NON_TRANSPOSE, &one, matrix, vx,
				      &zero, vy, CUDA_R_32F, CUSPARSE_SPMV_ALG_DEFAULT, &room));
	CHECK(cudaMalloc(&work, room + 1));
	CHECK(cusparseSpMV(handle, CUSPARSE_OPERATION_NON_TRANSPOSE, &one, matrix, vx, &zero, vy,
			   CUDA_R_32F, CUSPARSE_SPMV_ALG_DEFAULT, work));
	CHECK(cudaMemcpy(y.data(), dy, n * sizeof(float), cudaMemcpyDeviceToHost));
	for (int i = 0; i < n; i++)
		if (near("spmv", y[i], (float)i * x[(i * 7) % n], 0))
			return 1;
	CHECK(cusparseDestroy(handle));
	printf("cusparse %016llx\n", (unsigned long long)bits(y));
	return 0;
}

static int random_numbers()
{
	const int n = 4096;
	std::vector<float> x(n);
	curandGenerator_t generator;
	double sum = 0;
	float *d;

	CHECK(cudaMalloc(&d, n * sizeof(float)));
	CHECK(curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10));
	CHECK(curandSetPseudoRandomGeneratorSeed(generator, 42));
	CHECK(curandGenerateUniform(generator, d, n));
	CHECK(cudaMemcpy(x.data(), d, n * sizeof(float), cudaMemcpyDeviceToHost));
	for (float f : x)
		sum += f;
	if (near("curand", sum / n, 0.5, 0.05))
		return 1;
	CHECK(curandDestroyGenerator(generator));
	printf("curand %016llx\n", (unsigned long long)bits(x));
	return 0;
}

static int rtc()
{
	const char *source = "extern \"C\" __global__ void twice(int *x) { x[threadIdx.x] *= 2; }";
	std::vector<int> x(32);
	nvrtcProgram program;
	CUmodule module;
	CUfunction twice;
	size_t bytes;

	for (int i = 0; i < 32; i++)
		x[i] = i;
	int *d = upload(x);
	void *params[] = { &d };
	CHECK(nvrtcCreateProgram(&program, source, "twice.cu", 0, NULL, NULL));
	CHECK(nvrtcCompileProgram(program, 0, NULL));
	CHECK(nvrtcGetPTXSize(program, &bytes));
	std::vector<char> ptx(bytes);
	CHECK(nvrtcGetPTX(program, ptx.data()));
	CHECK(cuModuleLoadData(&module, ptx.data()));
	CHECK(cuModuleGetFunction(&twice, module, "twice"));
	CHECK(cuLaunchKernel(twice, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
	CHECK(cudaMemcpy(x.data(), d, 32 * sizeof(int), cudaMemcpyDeviceToHost));
	for (int i = 0; i < 32; i++)
		if (near("nvrtc", x[i], 2 * i, 0))
			return 1;
	printf("nvrtc %016llx\n", (unsigned long long)bits(x));
	return 0;
}

int main()
{
	int failed = 0;

	failed |= blas();
	failed |= fft();
	failed |= solver();
	failed |= sparse();
	failed |= random_numbers();
	failed |= rtc();
	if (!failed)
		printf("PASS libraries\n");
	return failed;
}
