/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs PTX through the driver API and compares with a reference on the CPU. Nothing here is
 * particular to softgpu: the same tests run on any libcuda.so.1.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"

/* Whether the device is softgpu: some of its answers are stricter, and its words are its own. */
bool is_softgpu(void);

#define ok(call) assert_int_equal((call), CUDA_SUCCESS)
#define gives(code, call) assert_int_equal((call), (code))

/* Makes device 0's primary context current. */
CUcontext use_device(void);

#define PTX_HEADER ".version 8.0\n.target sm_90\n.address_size 64\n"

CUmodule load(const char *ptx);
CUfunction function(CUmodule m, const char *name);
void launch(CUfunction f, unsigned int blocks, unsigned int threads, unsigned int shared, ...);

/*
 * One instruction, over many operands. The body computes %o (b64) from %a, %b, %c (b64); their
 * lower words are %x, %y, %z (b32), their lower halves %h, %i, %j (b16); the same bits as numbers
 * are %f, %g, %k (f32) and %d, %e, %m (f64). Scratch: %t0-7 b32, %w0-7 b64, %s0-7 b16, %u0-7 f32,
 * %v0-7 f64, %p0-7.
 */
struct op_case {
	const char *name;
	const char *body;
	uint64_t (*ref)(uint64_t a, uint64_t b, uint64_t c);
	int kind;		/* which operands are fed */
	double tolerance;	/* 0: bit for bit; otherwise relative, %o being a number */
};

enum { INTS, FLOATS, DOUBLES, HALVES, BHALVES, SMALL };

void run_cases(const struct op_case *cases, size_t n);

static inline float f32(uint64_t u)
{
	uint32_t w = (uint32_t)u;
	float f;

	memcpy(&f, &w, 4);
	return f;
}

static inline uint64_t u32_of(float f)
{
	uint32_t w;

	memcpy(&w, &f, 4);
	return w;
}

static inline double f64(uint64_t u)
{
	double d;

	memcpy(&d, &u, 8);
	return d;
}

static inline uint64_t u64_of(double d)
{
	uint64_t u;

	memcpy(&u, &d, 8);
	return u;
}

#endif
