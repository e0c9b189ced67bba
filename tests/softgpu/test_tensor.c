// SPDX-License-Identifier: Apache-2.0
/*
 * Matrix instructions and conversions to small floats. Every lane computes many results from its
 * number; what is compared is a checksum of all, which was recorded on an H200 (driver 580). The
 * operands of floating-point products are such that no sum is rounded, because PTX leaves the
 * rounding open.
 */
#include "harness.h"

static const char head[] = PTX_HEADER ".visible .entry k(.param .u64 p)\n{\n"
	".reg .b32 r<24>, f<9>, t;\n.reg .b64 d, q<4>;\n.reg .pred z;\n.reg .b16 h<3>;\n"
	".reg .f32 g<3>;\n.shared .align 128 .b8 s[2048];\nld.param.u64 d, [p];\n"
	"mov.u32 t, %tid.x;\nmul.wide.u32 q0, t, 64;\nadd.u64 d, d, q0;\n";

static uint32_t crc32(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t c = ~0u;

	while (n--) {
		c ^= *p++;
		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
	}
	return ~c;
}

static void checksum(const char *name, const char *ptx, uint32_t want)
{
	uint32_t out[512];
	CUmodule m = load(ptx);
	CUdeviceptr p;

	ok(cuMemAlloc_v2(&p, sizeof(out)));
	ok(cuMemsetD32_v2(p, 0, 512));
	launch(function(m, "k"), 1, 32, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(out, p, sizeof(out)));
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
	if (crc32(out, sizeof(out)) != want)
		fail_msg("%s: %#x, not %#x; lane 2 has %#x %#x %#x %#x", name,
			 crc32(out, sizeof(out)), want, out[32], out[33], out[34], out[35]);
}

/* Registers from "first" on, of scrambled bits of which "and" are kept and "or" are set. */
static char *fill(char *at, int first, int n, const char *type)
{
	static const struct {
		const char *type;
		uint32_t and, or;
	} kinds[] = {
		{ "f16", 0x83c083c0, 0x3c003c00 }, { "bf16", 0x80788078, 0x3f803f80 },
		{ "tf32", 0x807ff000, 0x3f800000 }, { "f32", 0x80780000, 0x3f800000 },
		{ "", 0xffffffff, 0 },
	};
	size_t k = 0;

	while (kinds[k].type[0] && strcmp(kinds[k].type, type))
		k++;
	for (int i = first; i < first + n; i++)
		at += sprintf(at, "mad.lo.u32 r%d, t, %d, %d;\nxor.b32 r%d, r%d, %d;\n"
			      "mul.lo.u32 r%d, r%d, 0x9E3779B1;\nshr.u32 f8, r%d, 15;\n"
			      "xor.b32 r%d, r%d, f8;\nand.b32 r%d, r%d, %u;\nor.b32 r%d, r%d, %u;\n",
			      i, i * 77 + 13, i * 991, i, i, i * 55555 + first * 7, i, i, i, i, i, i, i,
			      kinds[k].and, i, i, kinds[k].or);
	return at;
}

static char *list(char *at, char name, int first, int n)
{
	for (int i = 0; i < n; i++)
		at += sprintf(at, "%s%c%d", i ? ", " : "{", name, first + i);
	return at + sprintf(at, "}");
}

static void mma(void **state)
{
	static const struct {
		int m, n, k;
		const char *d, *a, *b, *c, *more;
		int bits;
		uint32_t want;
	} forms[] = {
		{ 16, 8, 16, "f32", "f16", "f16", "f32", "", 16, 0x18c767ab },
		{ 16, 8, 16, "f16", "f16", "f16", "f16", "", 16, 0x0a8d0691 },
		{ 16, 8, 8, "f32", "f16", "f16", "f32", "", 16, 0xb3b5339f },
		{ 16, 8, 16, "f32", "bf16", "bf16", "f32", "", 16, 0xe482be0b },
		{ 16, 8, 8, "f32", "bf16", "bf16", "f32", "", 16, 0x989f114a },
		{ 16, 8, 4, "f32", "tf32", "tf32", "f32", "", 32, 0xdd02a4ba },
		{ 16, 8, 8, "f32", "tf32", "tf32", "f32", "", 32, 0xcbab7c71 },
		{ 16, 8, 16, "s32", "s8", "s8", "s32", "", 8, 0x83b0b81f },
		{ 16, 8, 32, "s32", "s8", "u8", "s32", "", 8, 0xdeff2cb0 },
		{ 16, 8, 32, "satfinite.s32", "u8", "s8", "s32", "", 8, 0x130b59c7 },
		{ 8, 8, 16, "s32", "s8", "s8", "s32", "", 8, 0x57ff1394 },
		{ 16, 8, 64, "s32", "s4", "u4", "s32", "", 4, 0x3ed12629 },
		{ 8, 8, 32, "s32", "u4", "s4", "s32", "", 4, 0xe453d737 },
		{ 16, 8, 256, "s32", "b1", "b1", "s32", ".and.popc", 1, 0x48e8f921 },
		{ 16, 8, 128, "s32", "b1", "b1", "s32", ".xor.popc", 1, 0x595bbc3f },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		int na = forms[i].m * forms[i].k * forms[i].bits / 1024;
		int nb = forms[i].n * forms[i].k * forms[i].bits / 1024;
		int nd = forms[i].m * forms[i].n / (strcmp(forms[i].d, "f16") ? 32 : 64);
		char ptx[16384], name[64], *at = ptx + sprintf(ptx, "%s", head);

		snprintf(name, sizeof(name), "mma.m%dn%dk%d.%s.%s", forms[i].m, forms[i].n, forms[i].k,
			 forms[i].d, forms[i].a);
		at = fill(at, 0, na, forms[i].a);
		at = fill(at, 8, nb, forms[i].b);
		at = fill(at, 16, nd, forms[i].c);
		at += sprintf(at, "mma.sync.aligned.m%dn%dk%d.row.col.%s.%s.%s.%s%s ", forms[i].m,
			      forms[i].n, forms[i].k, forms[i].d, forms[i].a, forms[i].b, forms[i].c,
			      forms[i].more);
		at = list(at, 'f', 0, nd);
		at = list(at + sprintf(at, ", "), 'r', 0, na);
		at = list(at + sprintf(at, ", "), 'r', 8, nb);
		at = list(at + sprintf(at, ", "), 'r', 16, nd);
		at += sprintf(at, ";\n");
		for (int k = 0; k < nd; k++)
			at += sprintf(at, "st.global.u32 [d+%d], f%d;\n", k * 4, k);
		sprintf(at, "ret;\n}\n");
		checksum(name, ptx, forms[i].want);
	}
}

static void matrices(void **state)
{
	static const uint32_t want_ld[3][2] = {
		{ 0xc830f758, 0x8bd4c60f }, { 0xcaec42a1, 0x9d470673 }, { 0xe892efd3, 0xdaa6989e },
	}, want_st[3][2] = {
		{ 0x2024aa98, 0x2d69d446 }, { 0xdef6f70b, 0x4b936e4c }, { 0x398dba86, 0x54ec47d3 },
	};
	char ptx[4096], start[2048], *at;

	(void)state;
	at = start + sprintf(start, "%smad.lo.u32 r0, t, 0x9E3779B1, 12345;\nmov.u32 r1, s;\n"
			     "mad.lo.u32 r2, t, 16, r1;\nmov.u32 r9, r0;\n", head);
	for (int i = 0; i < 4; i++)
		at += sprintf(at, "mad.lo.u32 r9, r9, 69069, %d;\nst.shared.u32 [r2+%d], r9;\n", i,
			      i * 4);
	/* lanes give the rows in another order than their own */
	sprintf(at, "bar.sync 0;\nxor.b32 r3, t, 21;\nand.b32 r3, r3, 31;\nmad.lo.u32 r3, r3, 16, r1;\n");
	for (int i = 0; i < 6; i++) {
		const char *trans = i & 1 ? ".trans" : "";
		int n = 1 << i / 2;
		char regs[32];

		*list(regs, 'f', 0, n) = 0;
		at = ptx + sprintf(ptx, "%sldmatrix.sync.aligned.m8n8.x%d%s.shared.b16 %s, [r3];\n",
				   start, n, trans, regs);
		for (int k = 0; k < n; k++)
			at += sprintf(at, "st.global.u32 [d+%d], f%d;\n", k * 4, k);
		sprintf(at, "ret;\n}\n");
		checksum("ldmatrix", ptx, want_ld[i / 2][i & 1]);
		sprintf(ptx, "%sld.shared.v4.u32 {f0, f1, f2, f3}, [r2];\nbar.sync 0;\n"
			"stmatrix.sync.aligned.m8n8.x%d%s.shared.b16 [r3], %s;\nbar.sync 0;\n"
			"ld.shared.v4.u32 {f0, f1, f2, f3}, [r2];\n"
			"st.global.v4.u32 [d], {f0, f1, f2, f3};\nret;\n}\n", start, n, trans, regs);
		checksum("stmatrix", ptx, want_st[i / 2][i & 1]);
	}
	sprintf(ptx, "%smovmatrix.sync.aligned.m8n8.trans.b16 f0, r0;\nst.global.u32 [d], f0;\nret;\n}\n",
		start);
	checksum("movmatrix", ptx, 0xa651345a);
}

/* Some thousand values of each lane, rolled into one. */
static void conversions(void **state)
{
	static const struct {
		const char *text;
		uint32_t want;
	} list[] = {
		{ "cvt.rn.satfinite.e4m3x2.f32 h0, g0, g1;\ncvt.u32.u16 r0, h0;\n", 0xf343a52c },
		{ "cvt.rn.satfinite.e4m3x2.f16x2 h0, r7;\ncvt.u32.u16 r0, h0;\n", 0x1bd93148 },
		{ "cvt.rn.f16x2.e4m3x2 r0, h1;\n", 0x21e278f4 },
		{ "cvt.rn.satfinite.relu.e4m3x2.f32 h0, g0, g1;\ncvt.u32.u16 r0, h0;\n", 0x05a162d3 },
		{ "cvt.rn.satfinite.relu.e4m3x2.f16x2 h0, r7;\ncvt.u32.u16 r0, h0;\n", 0xcbf8ed64 },
		{ "cvt.rn.relu.f16x2.e4m3x2 r0, h1;\n", 0x3a4cad2a },
		{ "cvt.rn.satfinite.e5m2x2.f32 h0, g0, g1;\ncvt.u32.u16 r0, h0;\n", 0xfb1570d5 },
		{ "cvt.rn.satfinite.e5m2x2.f16x2 h0, r7;\ncvt.u32.u16 r0, h0;\n", 0xc99d9600 },
		{ "cvt.rn.f16x2.e5m2x2 r0, h1;\n", 0x0a22fed8 },
		{ "cvt.rn.satfinite.relu.e5m2x2.f32 h0, g0, g1;\ncvt.u32.u16 r0, h0;\n", 0xb3bb4106 },
		{ "cvt.rn.satfinite.relu.e5m2x2.f16x2 h0, r7;\ncvt.u32.u16 r0, h0;\n", 0x184cb37f },
		{ "cvt.rn.relu.f16x2.e5m2x2 r0, h1;\n", 0xb59af19d },
		{ "cvt.rna.tf32.f32 r0, g0;\n", 0xc3c4f433 }, { "cvt.rn.tf32.f32 r0, g0;\n", 0x2e65d9f3 },
		{ "cvt.rz.tf32.f32 r0, g0;\n", 0x207d2b0c },
		{ "cvt.rn.relu.tf32.f32 r0, g0;\n", 0xd56403c8 },
#define PACK(form) "shr.s32 r7, r7, 12;\nshr.s32 r6, r6, 4;\ncvt.pack.sat." form ";\n" \
	"shl.b32 r6, r6, 4;\nshl.b32 r7, r7, 11;\n"
		{ PACK("s16.s32 r0, r7, r6"), 0x2ee002e1 }, { PACK("u16.s32 r0, r7, r6"), 0xe575e7ea },
		{ PACK("s8.s32.b32 r0, r7, r6, r5"), 0xae0b8ce0 },
		{ PACK("u8.s32.b32 r0, r7, r6, r5"), 0xae7e9985 },
	};
	char ptx[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		sprintf(ptx, "%smov.b32 r5, 0;\nmov.u32 r6, 0;\nmul.lo.u32 r7, t, 0x08000401;\nL:\n"
			"mov.b32 g0, r7;\nmov.b32 g1, r6;\ncvt.u16.u32 h1, r7;\n%s"
			"mad.lo.u32 r5, r5, 31, r0;\nmad.lo.u32 r7, r7, 69069, 1;\n"
			"add.u32 r6, r6, 0x00321235;\nsetp.lt.u32 z, r6, 0xf0000000;\n@z bra L;\n"
			"st.global.u32 [d], r5;\nret;\n}\n", head, list[i].text);
		checksum(list[i].text, ptx, list[i].want);
	}
}

/* A matrix in shared memory from s + offset on. */
static char *memory(char *at, int offset, int bytes, const char *type)
{
	static const struct {
		const char *type;
		uint32_t and, or;
	} kinds[] = {
		{ "f16", 0x83c083c0, 0x3c003c00 }, { "bf16", 0x80788078, 0x3f803f80 },
		{ "tf32", 0x80780000, 0x3f800000 }, { "f32", 0x80780000, 0x3f800000 },
		{ "", 0xffffffff, 0 },
	};
	size_t k = 0;

	if (!strcmp(type, "f64")) {
		for (int i = 0; i < bytes / 256; i++)
			at += sprintf(at, "mad.lo.s32 r39, t, %d, -9;\ncvt.rn.f64.s32 e0, r39;\n"
				      "mad.lo.u32 r38, t, 8, r37;\nst.shared.f64 [r38+%d], e0;\n", i + 3,
				      offset + i * 256);
		return at;
	}
	while (kinds[k].type[0] && strcmp(kinds[k].type, type))
		k++;
	for (int i = 0; i < bytes / 128; i++)
		at += sprintf(at, "mad.lo.u32 r39, t, 77, %d;\nmul.lo.u32 r39, r39, 0x9E3779B1;\n"
			      "shr.u32 r38, r39, 15;\nxor.b32 r39, r39, r38;\nand.b32 r39, r39, %u;\n"
			      "or.b32 r39, r39, %u;\nmad.lo.u32 r38, t, 4, r37;\n"
			      "st.shared.u32 [r38+%d], r39;\n", i * 991 + offset, kinds[k].and, kinds[k].or,
			      offset + i * 128);
	return at;
}

static int at_least_one(int n)
{
	return n ? n : 1;
}

/* The layout in registers is the machine's own: what is compared is what comes back to memory. */
static void wmma(void **state)
{
	static const struct {
		int m, n, k;
		const char *d, *a, *c;
		int bits, dbits, cbits;
		uint32_t want[2];	/* A by rows and B by columns, and the other way round */
	} forms[] = {
		{ 16, 16, 16, "f32", "f16", "f32", 16, 32, 32, { 0x8ea9436c, 0x3aed1fbe } },
		{ 32, 8, 16, "f32", "f16", "f32", 16, 32, 32, { 0xe9a7fd94, 0xc11c6eef } },
		{ 8, 32, 16, "f16", "f16", "f32", 16, 16, 32, { 0x0aa2c66e, 0xe9debe03 } },
		{ 16, 16, 16, "f32", "bf16", "f32", 16, 32, 32, { 0x26a801d0, 0x28374dea } },
		{ 16, 16, 8, "f32", "tf32", "f32", 32, 32, 32, { 0x12479f00, 0xab8dba3e } },
		{ 16, 16, 16, "s32", "s8", "s32", 8, 32, 32, { 0x45f61719, 0x3ab84080 } },
		{ 32, 8, 16, "s32", "u8", "s32", 8, 32, 32, { 0x63978377, 0x25a6352d } },
		{ 8, 8, 4, "f64", "f64", "f64", 64, 64, 64, { 0x1be85b99, 0x57518e18 } },
		{ 8, 8, 32, "s32", "s4", "s32", 4, 32, 32, { 0xfce03619, 0 } },
		{ 8, 8, 128, "s32", "b1", "s32", 1, 32, 32, { 0xeb4ad035, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(forms) / sizeof(forms[0]); i++) {
		const int m = forms[i / 2].m, n = forms[i / 2].n, k = forms[i / 2].k;
		const char *a = forms[i / 2].a, *c = forms[i / 2].c, *d = forms[i / 2].d;
		const bool half = !strcmp(a, "f16"), f64 = !strcmp(a, "f64"), other = i & 1;
		const char *rows = other ? "col" : "row", *columns = other ? "row" : "col";
		const int unit = f64 ? 2048 : 1024;
		int na = half ? 8 : at_least_one(m * k * forms[i / 2].bits / unit);
		int nb = half ? 8 : at_least_one(n * k * forms[i / 2].bits / unit);
		int nc = at_least_one(m * n * forms[i / 2].cbits / unit);
		int nd = at_least_one(m * n * forms[i / 2].dbits / unit);
		char r = f64 ? 'e' : 'r', rc = strcmp(c, "f32") ? r : 'g', rd = strcmp(d, "f32") ? r : 'g';
		char ptx[16384], *at = ptx;

		if (!forms[i / 2].want[other])
			continue;
		at += sprintf(at, "%s.visible .entry k(.param .u64 p)\n{\n.reg .b32 r<40>, t;\n"
			      ".reg .b64 d;\n.reg .f32 g<40>;\n.reg .f64 e<40>;\n"
			      ".shared .align 128 .b8 s[4096];\nld.param.u64 d, [p];\n"
			      "mov.u32 t, %%tid.x;\nmov.u32 r37, s;\n", PTX_HEADER);
		at = memory(at, 0, m * k * forms[i / 2].bits / 8, a);
		at = memory(at, 1024, n * k * forms[i / 2].bits / 8, a);
		at = memory(at, 2048, m * n * forms[i / 2].cbits / 8, c);
		at += sprintf(at, "bar.sync 0;\nwmma.load.a.sync.aligned.%s.m%dn%dk%d.shared.%s ", rows, m,
			      n, k, a);
		at = list(at, r, 0, na);
		at += sprintf(at, ", [s], %d;\nwmma.load.b.sync.aligned.%s.m%dn%dk%d.shared.%s ",
			      other ? m : k, columns, m, n, k, a);
		at = list(at, r, 8, nb);
		at += sprintf(at, ", [s+1024], %d;\nwmma.load.c.sync.aligned.%s.m%dn%dk%d.shared.%s ",
			      other ? n : k, columns, m, n, k, c);
		at = list(at, rc, 16, nc);
		at += sprintf(at, ", [s+2048], %d;\nwmma.mma.%ssync.aligned.%s.%s.m%dn%dk%d.%s%s.",
			      other ? n : m, forms[i / 2].bits == 1 ? "xor.popc." : "", rows, columns, m, n, k,
			      f64 && other ? "rn." : "", d);
		at += half ? sprintf(at, "%s ", c) : sprintf(at, "%s.%s.%s ", a, a, c);
		at = list(at, rd, 24, nd);
		at = list(at + sprintf(at, ", "), r, 0, na);
		at = list(at + sprintf(at, ", "), r, 8, nb);
		at = list(at + sprintf(at, ", "), rc, 16, nc);
		at += sprintf(at, ";\nwmma.store.d.sync.aligned.%s.m%dn%dk%d.global.%s [d], ", rows, m, n, k,
			      d);
		at = list(at, rd, 24, nd);
		sprintf(at, ", %d;\nret;\n}\n", other ? m : n);
		checksum(a, ptx, forms[i / 2].want[other]);
	}
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mma), cmocka_unit_test(matrices), cmocka_unit_test(conversions),
		cmocka_unit_test(wmma),
	};

	return cmocka_run_group_tests_name("tensor", tests, set_up, NULL);
}
