/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs share: the verdict, errors, the embedded kernels, and a first context. */
#ifndef PROG_H
#define PROG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda_abi.h"

/*
 * The PTX of kernels/NAME.cu, as a C string. With PROGRAM_PTX_DIR set it is read from there
 * instead: what another compiler made of the same kernels.
 */
#define PROG_KERNELS(name) \
	__asm__(".section .rodata\n.balign 16\nprog_embedded:\n.incbin \"" name ".ptx\"\n" \
		".byte 0\n.previous\n"); \
	extern const char prog_embedded[]; \
	static const char *prog_kernels(void) { return prog_text(prog_embedded, name); } \
	static const char *prog_kernels(void)
#define prog_ptx prog_kernels()

extern const char *prog_name;

static inline _Noreturn void prog_fail(const char *fmt, ...)
{
	va_list ap;

	printf("FAIL %s: ", prog_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	exit(1);
}

static inline const char *prog_text(const char *embedded, const char *name)
{
	const char *dir = getenv("PROGRAM_PTX_DIR");
	char path[4096], *text;
	size_t n;
	FILE *f;

	if (!dir)
		return embedded;
	snprintf(path, sizeof(path), "%s/%s.ptx", dir, name);
	f = fopen(path, "r");
	text = calloc(1, 1 << 20);
	n = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;
	if (!n)
		prog_fail("cannot read %s", path);
	fclose(f);
	return text;
}

static inline int prog_pass(const char *fmt, ...)
{
	va_list ap;

	printf("PASS %s: ", prog_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return 0;
}

#define CHECK(call) do { \
		CUresult rc_ = (call); \
		if (rc_ != CUDA_SUCCESS) { \
			const char *n_ = NULL; \
			cuGetErrorName(rc_, &n_); \
			prog_fail("%s gave %d (%s), line %d", #call, (int)rc_, n_ ? n_ : "?", \
				  __LINE__); \
		} \
	} while (0)

/* The size from the command line, or the usual one. */
static inline long prog_size(int argc, char **argv, long usual, long least)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 0) : usual;

	if (n < least)
		prog_fail("the size must be at least %ld", least);
	return n;
}

static inline CUcontext prog_context(void)
{
	CUdevice dev;
	CUcontext ctx;

	CHECK(cuInit(0));
	CHECK(cuDeviceGet(&dev, 0));
	CHECK(cuDevicePrimaryCtxRetain(&ctx, dev));
	CHECK(cuCtxSetCurrent(ctx));
	return ctx;
}

static inline void prog_done(void)
{
	CUdevice dev;

	CHECK(cuCtxGetDevice(&dev));
	CHECK(cuDevicePrimaryCtxRelease_v2(dev));
}

static inline CUfunction prog_function(const char *ptx, const char *name)
{
	char log[2048] = "";
	CUjit_option opts[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	CUmodule module;
	CUfunction f;
	CUresult rc = cuModuleLoadDataEx(&module, ptx, 2, opts, values);

	if (rc)
		prog_fail("cuModuleLoadDataEx gave %d: %s", (int)rc, log);
	CHECK(cuModuleGetFunction(&f, module, name));
	return f;
}

static inline CUdeviceptr prog_alloc(size_t bytes)
{
	CUdeviceptr p;

	CHECK(cuMemAlloc_v2(&p, bytes));
	return p;
}

static inline void *prog_host(size_t bytes)
{
	void *p = malloc(bytes);

	if (!p)
		prog_fail("no host memory");
	return p;
}

/* The same numbers in every run. */
static inline uint32_t prog_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static inline double prog_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

#endif
