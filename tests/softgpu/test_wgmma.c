// SPDX-License-Identifier: Apache-2.0
/*
 * wgmma: operands in each layout of shared memory and in registers, each type, against C.  The
 * layouts are written down here a second time, by the rows and pieces that the PTX ISA draws.
 */
#include "harness.h"

#define WGMMA_HEADER ".version 8.0\n.target sm_90a\n.address_size 64\n"
#define M 64
#define N 16
#define IMAGE 16384u		/* bytes of shared memory; A is at 0, B in the middle */
#define MIDDLE (IMAGE / 2)

enum layout { DENSE, SWIZZLE32, SWIZZLE64, SWIZZLE128, REGISTERS };

/* Byte of piece `i` of 16 in line `j` of a group of eight lines, which begins at a whole KiB. */
static uint32_t in_group(enum layout how, uint32_t i, uint32_t j)
{
	switch (how) {
	case DENSE:
		return 16 * j;
	case SWIZZLE32:
		return 32 * j + 16 * (i ^ (j / 4 & 1));
	case SWIZZLE64:
		return 64 * j + 16 * (i ^ (j / 2 & 3));
	default:
		return 128 * j + 16 * (i ^ j);
	}
}

static uint32_t pieces(enum layout how)
{
	return how == SWIZZLE128 ? 8 : how == SWIZZLE64 ? 4 : how == SWIZZLE32 ? 2 : 1;
}

#define GROUP 1024u		/* bytes from one group of eight lines to the next */
#define NEXT 4096u		/* bytes from one column of groups to the next; not of a dense one */
#define DENSE_NEXT 128u

/* Where an element is, for a line being a row of the matrix (by_k) or a number of k. */
static uint32_t place(enum layout how, bool by_k, uint32_t row, uint32_t k, uint32_t bytes)
{
	uint32_t along = by_k ? k : row, line = by_k ? row : k, piece = along * bytes / 16;
	uint32_t next = how == DENSE ? DENSE_NEXT : NEXT;

	return in_group(how, piece % pieces(how), line % 8) + line / 8 * GROUP +
	       piece / pieces(how) * next + along * bytes % 16;
}

static uint64_t descriptor(enum layout how, bool by_k, uint32_t start)
{
	static const uint64_t mode[] = { 0, 3, 2, 1 };
	uint64_t stride = GROUP, leading = how == DENSE ? DENSE_NEXT : NEXT;

	if (how == DENSE && !by_k) {
		stride = DENSE_NEXT;
		leading = GROUP;
	}
	return start >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | mode[how] << 62;
}

/* Small whole numbers, in each type; exact in all of them. */
static uint32_t encode(const char *type, int v)
{
	float f = v;
	uint32_t u;

	memcpy(&u, &f, 4);
	if (!strcmp(type, "bf16"))
		return u >> 16;
	if (!strcmp(type, "s8") || !strcmp(type, "u8"))
		return (uint8_t)v;
	if (!strcmp(type, "tf32"))
		return u;
	if (!v)
		return 0;
	if (!strcmp(type, "f16"))
		return (u >> 16 & 0x8000) | ((u >> 23 & 255) - 112) << 10 | (u >> 13 & 0x3ff);
	if (!strcmp(type, "e4m3"))
		return (u >> 24 & 0x80) | ((u >> 23 & 255) - 120) << 3 | (u >> 20 & 7);
	return (u >> 24 & 0x80) | ((u >> 23 & 255) - 112) << 2 | (u >> 21 & 3);
}

struct test {
	const char *name, *shape, *d, *ab;
	int k;
	enum layout a, b;
	bool a_by_m, b_by_n, keep, negate_a;
};

static uint8_t image[IMAGE];
static int a[M][32], b[N][32];

static void put(uint32_t at, uint32_t v, uint32_t bytes)
{
	memcpy(image + at, &v, bytes);
}

static void make(const struct test *t, uint32_t regs[128][4])
{
	uint32_t bytes = 32 / t->k, each = 4 / bytes;
	const char *type = t->ab;

	memset(image, 0xff, sizeof(image));
	for (int i = 0; i < M; i++) {
		for (int k = 0; k < t->k; k++) {
			a[i][k] = (i * 7 + k * 3) % 4 - (*type == 'u' ? 0 : 1);
			if (t->a != REGISTERS)
				put(place(t->a, !t->a_by_m, i, k, bytes), encode(type, a[i][k]), bytes);
		}
	}
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < t->k; k++) {
			b[i][k] = (i * 5 + k) % 3 - (*type == 'u' ? 0 : 1);
			put(MIDDLE + place(t->b, !t->b_by_n, i, k, bytes), encode(type, b[i][k]),
			    bytes);
		}
	}
	for (int l = 0; l < 128; l++) {
		for (int r = 0; r < 4; r++) {
			int row = l / 32 * 16 + l % 32 / 4 + (r & 1 ? 8 : 0);
			int k = (l % 4 + (r & 2 ? 4 : 0)) * each;

			regs[l][r] = 0;
			for (uint32_t e = 0; e < each; e++)
				regs[l][r] |= encode(type, a[row][k + e]) << 8 * bytes * e;
		}
	}
}

/* k(p): 16 KiB of shared memory's contents, 4 registers and 8 results of each of 128 threads. */
static const char text[] = WGMMA_HEADER
	".visible .entry k(.param .u64 p, .param .u64 da, .param .u64 db, .param .u32 keep)\n{\n"
	".reg .b64 %%p, %%q, %%da, %%db;\n.reg .b32 %%t, %%o, %%s, %%v, %%k, %%a<4>;\n"
	".reg .f32 %%f<8>;\n.reg .b32 %%i<8>;\n.reg .pred %%x, %%keep;\n"
	".shared .align 1024 .b8 mem[16384];\n"
	"ld.param.u64 %%p, [p];\nld.param.u64 %%da, [da];\nld.param.u64 %%db, [db];\n"
	"ld.param.u32 %%k, [keep];\nsetp.ne.u32 %%keep, %%k, 0;\n"
	"mov.u32 %%t, %%tid.x;\nmov.u32 %%s, mem;\nshl.b32 %%o, %%t, 2;\n"
	"LOOP: cvt.u64.u32 %%q, %%o;\nadd.u64 %%q, %%q, %%p;\nld.global.b32 %%v, [%%q];\n"
	"add.u32 %%k, %%s, %%o;\nst.shared.b32 [%%k], %%v;\nadd.u32 %%o, %%o, 512;\n"
	"setp.lt.u32 %%x, %%o, 16384;\n@%%x bra LOOP;\nbar.sync 0;\n"
	/* descriptors are of address 0; the memory's is added */
	"shr.u32 %%k, %%s, 4;\ncvt.u64.u32 %%q, %%k;\nadd.u64 %%da, %%da, %%q;\n"
	"add.u64 %%db, %%db, %%q;\nadd.u64 %%p, %%p, 16384;\nmul.wide.u32 %%q, %%t, 16;\n"
	"add.u64 %%q, %%q, %%p;\nld.global.v4.b32 {%%a0, %%a1, %%a2, %%a3}, [%%q];\n"
	"add.u64 %%p, %%p, 2048;\nmul.wide.u32 %%q, %%t, 32;\nadd.u64 %%q, %%q, %%p;\n"
	"ld.global.v4.b32 {%%i0, %%i1, %%i2, %%i3}, [%%q];\n"
	"ld.global.v4.b32 {%%i4, %%i5, %%i6, %%i7}, [%%q+16];\n"
	"%s"
	"st.global.v4.b32 [%%q], {%%i0, %%i1, %%i2, %%i3};\n"
	"st.global.v4.b32 [%%q+16], {%%i4, %%i5, %%i6, %%i7};\nret;\n}\n";

static const char *instruction(const struct test *t)
{
	static char s[2048];
	bool whole = !strcmp(t->d, "s32"), half = !strcmp(t->d, "f16");
	bool is16 = t->k == 16;
	size_t n = 0;

	if (!whole && !half)
		for (int i = 0; i < 8; i++)
			n += sprintf(s + n, "mov.b32 %%f%d, %%i%d;\n", i, i);
	n += sprintf(s + n, "wgmma.fence.sync.aligned;\n"
		     "wgmma.mma_async.sync.aligned.%s.%s.%s.%s %s, %s, %%db, %%keep%s%s%s;\n"
		     "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n",
		     t->shape, t->d, t->ab, t->ab,
		     half ? "{%i0, %i1, %i2, %i3}" : whole ?
		     "{%i0, %i1, %i2, %i3, %i4, %i5, %i6, %i7}" :
		     "{%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}",
		     t->a == REGISTERS ? "{%a0, %a1, %a2, %a3}" : "%da",
		     whole ? "" : t->negate_a ? ", -1, 1" : ", 1, 1",
		     is16 && t->a != REGISTERS ? t->a_by_m ? ", 1" : ", 0" : "",
		     is16 ? t->b_by_n ? ", 1" : ", 0" : "");
	if (!whole && !half)
		for (int i = 0; i < 8; i++)
			n += sprintf(s + n, "mov.b32 %%i%d, %%f%d;\n", i, i);
	return s;
}

static void check(const struct test *t)
{
	static uint32_t regs[128][4], out[128][8];
	uint64_t da = t->a == REGISTERS ? 0 : descriptor(t->a, !t->a_by_m, 0);
	uint64_t db = descriptor(t->b, !t->b_by_n, MIDDLE);
	bool half = !strcmp(t->d, "f16"), whole = !strcmp(t->d, "s32");
	uint32_t keep = t->keep;
	static char ptx[8192];
	CUdeviceptr p;
	CUmodule m;

	make(t, regs);
	for (int l = 0; l < 128; l++)
		for (int i = 0; i < 8; i++)
			out[l][i] = half ? 0x40004000 : whole ? 2 : 0x40000000;	/* 2 */
	snprintf(ptx, sizeof(ptx), text, instruction(t));
	m = load(ptx);
	ok(cuMemAlloc_v2(&p, IMAGE + sizeof(regs) + sizeof(out)));
	ok(cuMemcpyHtoD_v2(p, image, IMAGE));
	ok(cuMemcpyHtoD_v2(p + IMAGE, regs, sizeof(regs)));
	ok(cuMemcpyHtoD_v2(p + IMAGE + sizeof(regs), out, sizeof(out)));
	launch(function(m, "k"), 1, 128, 0, &p, &da, &db, &keep, NULL);
	ok(cuMemcpyDtoH_v2(out, p + IMAGE + sizeof(regs), sizeof(out)));
	for (int l = 0; l < 128; l++) {
		for (int i = 0; i < 8; i++) {
			int row = l / 32 * 16 + l % 32 / 4 + (i & 2 ? 8 : 0);
			int column = l % 4 * 2 + (i & 1) + (i & 4 ? 8 : 0), sum = keep ? 2 : 0;
			uint32_t got = half ? out[l][i / 2] >> 16 * (i % 2) & 0xffff : out[l][i];

			for (int k = 0; k < t->k; k++)
				sum += (t->negate_a ? -1 : 1) * a[row][k] * b[column][k];
			if (got != (whole ? (uint32_t)sum : half ? encode("f16", sum) :
				    (uint32_t)u32_of(sum)))
				fail_msg("%s: row %d, column %d: %#x, not %d", t->name, row, column,
					 got, sum);
		}
	}
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
}

static const struct test tests_[] = {
	{ "dense", "m64n16k16", "f32", "f16", 16, DENSE, DENSE, 0, 0, 0, 0 },
	{ "added to D", "m64n16k16", "f32", "f16", 16, DENSE, DENSE, 0, 0, 1, 0 },
	{ "negative A", "m64n16k16", "f32", "bf16", 16, DENSE, DENSE, 0, 0, 1, 1 },
	{ "32", "m64n16k16", "f32", "bf16", 16, SWIZZLE32, SWIZZLE32, 0, 0, 1, 0 },
	{ "64", "m64n16k16", "f32", "f16", 16, SWIZZLE64, SWIZZLE64, 0, 0, 1, 0 },
	{ "128", "m64n16k16", "f32", "f16", 16, SWIZZLE128, SWIZZLE128, 0, 0, 1, 0 },
	{ "dense, by m and n", "m64n16k16", "f32", "f16", 16, DENSE, DENSE, 1, 1, 1, 0 },
	{ "128, B by n", "m64n16k16", "f32", "bf16", 16, SWIZZLE128, SWIZZLE128, 0, 1, 1, 0 },
	{ "64, A by m", "m64n16k16", "f32", "f16", 16, SWIZZLE64, SWIZZLE32, 1, 0, 1, 0 },
	{ "registers", "m64n16k16", "f32", "f16", 16, REGISTERS, SWIZZLE128, 0, 1, 1, 0 },
	{ "halves", "m64n16k16", "f16", "f16", 16, REGISTERS, SWIZZLE64, 0, 0, 1, 1 },
	{ "tf32", "m64n16k8", "f32", "tf32", 8, SWIZZLE128, SWIZZLE32, 0, 0, 1, 0 },
	{ "e4m3", "m64n16k32", "f32", "e4m3", 32, SWIZZLE64, SWIZZLE128, 0, 0, 1, 0 },
	{ "e5m2", "m64n16k32", "f16", "e5m2", 32, REGISTERS, DENSE, 0, 0, 1, 0 },
	{ "s8", "m64n16k32", "s32", "s8", 32, SWIZZLE128, SWIZZLE128, 0, 0, 1, 0 },
	{ "u8", "m64n16k32", "s32", "u8", 32, REGISTERS, SWIZZLE32, 0, 0, 0, 0 },
};

static void products(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tests_) / sizeof(tests_[0]); i++)
		check(&tests_[i]);
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(products) };

	return cmocka_run_group_tests_name("wgmma", tests, set_up, NULL);
}
