// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#define LANES 1024

CUcontext use_device(void)
{
	CUdevice dev;
	CUcontext ctx;

	ok(cuInit(0));
	ok(cuDeviceGet(&dev, 0));
	ok(cuDevicePrimaryCtxRetain(&ctx, dev));
	ok(cuCtxSetCurrent(ctx));
	return ctx;
}

bool is_softgpu(void)
{
	char name[64] = "";
	CUdevice dev;

	return !cuDeviceGet(&dev, 0) && !cuDeviceGetName(name, sizeof(name), dev) &&
	       !strcmp(name, "vgpu softgpu");
}

CUmodule load(const char *ptx)
{
	char log[1024] = "";
	CUjit_option opts[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	CUmodule m;

	if (cuModuleLoadDataEx(&m, ptx, 2, opts, values))
		fail_msg("%s\n%s", log, ptx);
	return m;
}

CUfunction function(CUmodule m, const char *name)
{
	CUfunction f;

	ok(cuModuleGetFunction(&f, m, name));
	return f;
}

/* Up to eight pointers to arguments, ended by NULL. */
void launch(CUfunction f, unsigned int blocks, unsigned int threads, unsigned int shared, ...)
{
	void *args[9] = { NULL };
	va_list ap;
	int n = 0;

	va_start(ap, shared);
	while ((args[n] = va_arg(ap, void *)))
		n++;
	va_end(ap);
	ok(cuLaunchKernel(f, blocks, 1, 1, threads, 1, 1, shared, NULL, args, NULL));
	ok(cuCtxSynchronize());
}

static const char prologue[] = PTX_HEADER
	".visible .entry t(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 po)\n{\n"
	".reg .b64 %a, %b, %c, %o, %q0, %q1;\n.reg .b32 %x, %y, %z, %n0;\n.reg .b16 %h, %i, %j;\n"
	".reg .f32 %f, %g, %k;\n.reg .f64 %d, %e, %m;\n.reg .b32 %t<8>;\n.reg .b64 %w<8>;\n"
	".reg .b16 %s<8>;\n.reg .f32 %u<8>;\n.reg .f64 %v<8>;\n.reg .pred %p<8>;\n"
	"mov.u32 %n0, %tid.x;\nmul.wide.u32 %q1, %n0, 8;\n"
	"ld.param.u64 %q0, [pa];\nadd.u64 %q0, %q0, %q1;\nld.global.b64 %a, [%q0];\n"
	"ld.param.u64 %q0, [pb];\nadd.u64 %q0, %q0, %q1;\nld.global.b64 %b, [%q0];\n"
	"ld.param.u64 %q0, [pc];\nadd.u64 %q0, %q0, %q1;\nld.global.b64 %c, [%q0];\n"
	"cvt.u32.u64 %x, %a;\ncvt.u32.u64 %y, %b;\ncvt.u32.u64 %z, %c;\n"
	"cvt.u16.u64 %h, %a;\ncvt.u16.u64 %i, %b;\ncvt.u16.u64 %j, %c;\n"
	"mov.b32 %f, %x;\nmov.b32 %g, %y;\nmov.b32 %k, %z;\n"
	"mov.b64 %d, %a;\nmov.b64 %e, %b;\nmov.b64 %m, %c;\nmov.u64 %o, 0;\n";

static const char epilogue[] =
	"\nld.param.u64 %q0, [po];\nadd.u64 %q0, %q0, %q1;\nst.global.b64 [%q0], %o;\nret;\n}\n";

static uint64_t random64(void)
{
	static uint64_t s = 0x9e3779b97f4a7c15;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return s * 0x2545f4914f6cdd1d;
}

/* Edge values first, in all pairs as far as they go, then random ones. */
static void operands(int kind, uint64_t *a, uint64_t *b, uint64_t *c)
{
	static const uint64_t ints[] = {
		0, 1, 2, 7, 31, 32, 33, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
		0x8000000000000000, 0xfffffffffffffffe, 0xffffffffffffffff,
	};
	static const double nums[] = {
		0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 3.25, 1e-3, -7.75, 100.5, 65504, 65520, 1e10,
		-1e10, 2147483647.5, -2147483649.0, 4294967296.0, 1e30, 1e-40, -1e-42, 1e39,
			INFINITY,
		-INFINITY, NAN, 1e-310, 9.3e18, 1.9e19, 0.99999994, 6.1e-5, 5.9e-8,
	};
	size_t n = kind == INTS || kind == SMALL ? sizeof(ints) / sizeof(ints[0]) :
		   sizeof(nums) / sizeof(nums[0]);

	for (size_t i = 0; i < LANES; i++) {
		uint64_t *v[3] = { &a[i], &b[i], &c[i] };
		size_t pick[3] = { i % n, i / n % n, (i * 7 + i / n) % n };

		for (int k = 0; k < 3; k++) {
			bool edge = i < 768;
			double d = edge ? nums[pick[k] % (sizeof(nums) / sizeof(nums[0]))] :
				   ldexp((int64_t)random64() / 9.3e18, (int)(random64() % 40) - 20);

			switch (kind) {
			case INTS:
				*v[k] = edge ? ints[pick[k]] : random64() >> random64() % 64;
				break;
			case SMALL:
				*v[k] = random64() % 70;
				break;
			case FLOATS:
				*v[k] = u32_of((float)d);
				break;
			case DOUBLES:
				*v[k] = u64_of(d);
				break;
			case HALVES:
				/* every half turns up as the first operand */
				*v[k] = k ? random64() & 0xffff : i * 64 + random64() % 64;
				break;
			case BHALVES:
				*v[k] = k ? random64() & 0xffff : i * 64 + random64() % 64;
				break;
			}
		}
	}
}

static bool same(const struct op_case *t, uint64_t got, uint64_t want)
{
	double g, w;

	if (got == want)
		return true;
	if (t->kind == FLOATS) {
		g = f32(got);
		w = f32(want);
	} else if (t->kind == DOUBLES) {
		g = f64(got);
		w = f64(want);
	} else {
		return false;
	}
	if (isnan(g) && isnan(w))
		return true;
	return t->tolerance && fabs(g - w) <= t->tolerance * fabs(w);
}

void run_cases(const struct op_case *cases, size_t n)
{
	static uint64_t a[LANES], b[LANES], c[LANES], out[LANES];
	CUdeviceptr d[4];
	int wrong = 0;

	for (int i = 0; i < 4; i++)
		ok(cuMemAlloc_v2(&d[i], sizeof(a)));
	for (size_t k = 0; k < n; k++) {
		const struct op_case *t = &cases[k];
		char ptx[8192];
		CUmodule m;

		snprintf(ptx, sizeof(ptx), "%s%s%s", prologue, t->body, epilogue);
		m = load(ptx);
		operands(t->kind, a, b, c);
		ok(cuMemcpyHtoD_v2(d[0], a, sizeof(a)));
		ok(cuMemcpyHtoD_v2(d[1], b, sizeof(b)));
		ok(cuMemcpyHtoD_v2(d[2], c, sizeof(c)));
		launch(function(m, "t"), 1, LANES, 0, &d[0], &d[1], &d[2], &d[3], NULL);
		ok(cuMemcpyDtoH_v2(out, d[3], sizeof(out)));
		/* one line for each instruction that is wrong, then go on with the next */
		for (int i = 0; i < LANES; i++) {
			uint64_t want = t->ref(a[i], b[i], c[i]);

			if (same(t, out[i], want))
				continue;
			print_error("%s: a %#llx b %#llx c %#llx gave %#llx, not %#llx\n", t->name,
				    (unsigned long long)a[i], (unsigned long long)b[i],
				    (unsigned long long)c[i], (unsigned long long)out[i],
				    (unsigned long long)want);
			wrong++;
			break;
		}
		ok(cuModuleUnload(m));
	}
	for (int i = 0; i < 4; i++)
		ok(cuMemFree_v2(d[i]));
	assert_int_equal(wrong, 0);
}
