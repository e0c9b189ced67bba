// SPDX-License-Identifier: Apache-2.0
/* Bulk copies of boxes of a tensor, there and back, each element's place worked out in C. */
#include "harness.h"

#define D0 24			/* the tensor, of 32-bit elements; the innermost first */
#define D1 10
#define D2 3
#define BYTES 4096u		/* of shared memory that is looked at */

/*
 * load(map, out, c0, c1, c2): the box at these coordinates into shared memory full of 0xee, which
 * then goes to `out`; store(...): from shared memory, which has what is in `out`.
 */
static const char text[] = ".version 8.0\n.target sm_90\n.address_size 64\n"
	".visible .entry %s(.param .align 64 .b8 map[128], .param .u64 out, .param .u32 c0,\n"
	"\t.param .u32 c1, .param .u32 c2)\n{\n"
	".reg .b64 %%m, %%o, %%q;\n.reg .b32 %%c<3>, %%t, %%s, %%a, %%v, %%b, %%n;\n.reg .pred %%p, %%first;\n"
	".shared .align 1024 .b8 mem[4096];\n.shared .align 8 .b64 bar;\n"
	"mov.u64 %%m, map;\ncvta.param.u64 %%m, %%m;\nld.param.u64 %%o, [out];\n"
	"ld.param.u32 %%c0, [c0];\nld.param.u32 %%c1, [c1];\nld.param.u32 %%c2, [c2];\n"
	"mov.u32 %%t, %%tid.x;\nmov.u32 %%s, mem;\nmov.u32 %%b, bar;\nsetp.eq.u32 %%first, %%t, 0;\n"
	"shl.b32 %%a, %%t, 2;\n"
	"FILL: cvt.u64.u32 %%q, %%a;\nadd.u64 %%q, %%q, %%o;\nld.global.b32 %%v, [%%q];\n"
	"add.u32 %%n, %%a, %%s;\nst.shared.b32 [%%n], %%v;\nadd.u32 %%a, %%a, 128;\n"
	"setp.lt.u32 %%p, %%a, 4096;\n@%%p bra FILL;\n"
	"@%%first mbarrier.init.shared::cta.b64 [%%b], 1;\nbar.sync 0;\n"
	"%s"
	"shl.b32 %%a, %%t, 2;\n"
	"OUT: add.u32 %%n, %%a, %%s;\nld.shared.b32 %%v, [%%n];\ncvt.u64.u32 %%q, %%a;\n"
	"add.u64 %%q, %%q, %%o;\nst.global.b32 [%%q], %%v;\nadd.u32 %%a, %%a, 128;\n"
	"setp.lt.u32 %%p, %%a, 4096;\n@%%p bra OUT;\nret;\n}\n";

static const char loads[] =
	"@%%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%%b], %u;\n"
	"@%%first cp.async.bulk.tensor.%dd.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
	"[%%s], [%%m, {%s}], [%%b];\n"
	"WAIT: mbarrier.try_wait.parity.shared::cta.b64 %%p, [%%b], 0;\n@!%%p bra WAIT;\n";
static const char stores[] =
	"fence.proxy.async.shared::cta;\n"
	"@%%first cp.async.bulk.tensor.%dd.global.shared::cta.bulk_group [%%m, {%s}], [%%s];\n"
	"cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\n";

struct test {
	const char *name;
	int rank;
	uint32_t box[3], step[3];
	CUtensorMapSwizzle swizzle;
	bool nan;
	int32_t at[3];
};

static const struct test list[] = {
	{ "row", 1, { 8 }, { 1 }, 0, false, { 4 } },
	{ "box", 2, { 8, 4 }, { 1, 1 }, 0, false, { 8, 2 } },
	{ "three", 3, { 4, 3, 2 }, { 1, 1, 1 }, 0, false, { 8, 2, 1 } },
	{ "over the ends", 3, { 8, 4, 2 }, { 1, 1, 1 }, 0, false, { 20, 8, 2 } },
	{ "before the start", 2, { 8, 4 }, { 1, 1 }, 0, true, { -3, -2 } },
	{ "far outside", 2, { 8, 4 }, { 1, 1 }, 0, false, { 1000, -77 } },
	{ "every second", 2, { 8, 5 }, { 1, 2 }, 0, false, { 0, 3 } },
	{ "swizzled by 32", 2, { 8, 9 }, { 1, 1 }, CU_TENSOR_MAP_SWIZZLE_32B, false, { 8, 1 } },
	{ "swizzled by 64", 2, { 16, 9 }, { 1, 1 }, CU_TENSOR_MAP_SWIZZLE_64B, false, { 4, 0 } },
	{ "swizzled by 128", 2, { 32, 9 }, { 1, 1 }, CU_TENSOR_MAP_SWIZZLE_128B, false, { -4, 1 } },
};

static uint32_t tensor[D2][D1][D0], shared[BYTES / 4];

static CUtensorMap map_of(const struct test *t, CUdeviceptr p)
{
	const cuuint64_t dim[] = { D0, D1, D2 }, stride[] = { D0 * 4, D0 * D1 * 4 };
	CUtensorMap m;

	ok(cuTensorMapEncodeTiled(&m, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, t->rank,
				  (void *)(uintptr_t)p, dim, stride, t->box, t->step, 0, t->swizzle,
				  0, t->nan));
	return m;
}

/* Calls `each` with every element of the box: its place in shared memory, and in the tensor. */
static uint32_t walk(const struct test *t, void (*each)(uint32_t *s, uint32_t *g, bool nan))
{
	uint32_t n[3] = { t->box[0], 1, 1 }, count = 0;
	uint32_t width = t->swizzle == CU_TENSOR_MAP_SWIZZLE_32B ? 32 :
			 t->swizzle == CU_TENSOR_MAP_SWIZZLE_64B ? 64 : 128;

	for (int d = 1; d < t->rank; d++)
		n[d] = (t->box[d] + t->step[d] - 1) / t->step[d];
	for (uint32_t k = 0; k < n[2]; k++) {
		for (uint32_t j = 0; j < n[1]; j++) {
			for (uint32_t i = 0; i < n[0]; i++) {
				int64_t x = t->at[0] + (int64_t)i, y = 0, z = 0;
				uint32_t at = count++ * 4;

				if (t->rank > 1)
					y = t->at[1] + (int64_t)j * t->step[1];
				if (t->rank > 2)
					z = t->at[2] + (int64_t)k * t->step[2];
				/* a row of 128 bytes has 8 pieces, and the pattern repeats every 8 */
				if (t->swizzle)
					at = (at & ~(width - 16)) |
					     (((at / 16) ^ (at / 128)) % (width / 16)) * 16;
				each(&shared[at / 4], x < 0 || x >= D0 || y < 0 || y >= D1 || z < 0 ||
				     z >= D2 ? NULL : &tensor[z][y][x], t->nan);
			}
		}
	}
	return count * 4;
}

static void count_only(uint32_t *s, uint32_t *g, bool nan)
{
	(void)s;
	(void)g;
	(void)nan;
}

static void as_loaded(uint32_t *s, uint32_t *g, bool nan)
{
	*s = g ? *g : nan ? 0xffffffff : 0;
}

static void as_stored(uint32_t *s, uint32_t *g, bool nan)
{
	(void)nan;
	if (g)
		*g = *s;
}

static void run(const struct test *t, const char *body, CUdeviceptr tensor_at, CUdeviceptr out)
{
	CUtensorMap map = map_of(t, tensor_at);
	uint32_t c[3] = { t->at[0], t->at[1], t->at[2] };
	char ptx[8192];
	CUmodule m;

	snprintf(ptx, sizeof(ptx), text, "k", body);
	m = load(ptx);
	launch(function(m, "k"), 1, 32, 0, &map, &out, &c[0], &c[1], &c[2], NULL);
	ok(cuModuleUnload(m));
}

static const char *coordinates(const struct test *t)
{
	return t->rank == 1 ? "%c0" : t->rank == 2 ? "%c0, %c1" : "%c0, %c1, %c2";
}

static void boxes(void **state)
{
	static uint32_t got[BYTES / 4], back[D2][D1][D0];
	CUdeviceptr p, out;
	char body[1024];

	(void)state;
	ok(cuMemAlloc_v2(&p, sizeof(tensor)));
	ok(cuMemAlloc_v2(&out, BYTES));
	for (size_t n = 0; n < sizeof(list) / sizeof(list[0]); n++) {
		const struct test *t = &list[n];

		for (int i = 0; i < D0 * D1 * D2; i++)
			(&tensor[0][0][0])[i] = 1000 + i;
		ok(cuMemcpyHtoD_v2(p, tensor, sizeof(tensor)));
		memset(shared, 0xee, sizeof(shared));
		ok(cuMemcpyHtoD_v2(out, shared, BYTES));
		snprintf(body, sizeof(body), loads, walk(t, count_only), t->rank, coordinates(t));
		run(t, body, p, out);
		ok(cuMemcpyDtoH_v2(got, out, BYTES));
		walk(t, as_loaded);
		for (uint32_t i = 0; i < BYTES / 4; i++)
			/* which NaN it is, nobody says */
			if (got[i] != shared[i] && !(t->nan && isnan(f32(got[i])) && isnan(f32(shared[i]))))
				fail_msg("%s: word %u is %u, not %u", t->name, i, got[i], shared[i]);
		/* and back, with other words */
		for (uint32_t i = 0; i < BYTES / 4; i++)
			shared[i] = 500000 + i;
		ok(cuMemcpyHtoD_v2(out, shared, BYTES));
		snprintf(body, sizeof(body), stores, t->rank, coordinates(t));
		run(t, body, p, out);
		ok(cuMemcpyDtoH_v2(back, p, sizeof(back)));
		walk(t, as_stored);
		for (int i = 0; i < D0 * D1 * D2; i++)
			if ((&back[0][0][0])[i] != (&tensor[0][0][0])[i])
				fail_msg("%s: element %d is %u, not %u", t->name, i,
					 (&back[0][0][0])[i], (&tensor[0][0][0])[i]);
	}
	ok(cuMemFree_v2(out));
	ok(cuMemFree_v2(p));
}

static void refused(void **state)
{
	const cuuint64_t dim[] = { D0, D1 }, stride[] = { D0 * 4 }, odd[] = { D0 * 4 + 4 };
	const cuuint32_t box[] = { 8, 4 }, wide[] = { 16, 4 }, narrow[] = { 3, 4 }, long_[] = { 8, 257 };
	const cuuint32_t step[] = { 1, 1 }, far[] = { 1, 9 };
	void *at = (void *)0x10000;
	CUtensorMap m;

#define TRY(type, rank, at, dim, stride, box, step, swizzle, fill) \
	cuTensorMapEncodeTiled(&m, type, rank, at, dim, stride, box, step, 0, swizzle, 0, fill)
	(void)state;
	ok(TRY(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, at, dim, stride, box, step, 1, 1));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 0, at, dim, stride, box, step, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 6, at, dim, stride, box, step, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, (char *)at + 8, dim, stride, box, step, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dim, odd, box, step, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dim, stride, narrow, step, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dim, stride, long_, step, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dim, stride, box, far, 0, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dim, stride, wide, step, 1, 0));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(CU_TENSOR_MAP_DATA_TYPE_UINT32, 2, at, dim, stride, box,
					    step, 0, 1));
	gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dim, stride, box, step, 99, 0));
	if (is_softgpu()) {
		const cuuint32_t most[] = { 256, 227 }, large[] = { 256, 228 }, ones[] = { 1, 1, 1, 1, 1 };
		const cuuint64_t dims[] = { 256, 256, 256, 256, 256 };
		const cuuint64_t strides[] = { 256, 1 << 16, 1 << 24, 1ull << 32 };
		const cuuint32_t all[] = { 256, 256, 256, 256, 256 };

		gives(CUDA_ERROR_INVALID_VALUE, cuTensorMapReplaceAddress(&m, at));
		/* a box fits into the 227 KiB of shared memory that a block may have */
		ok(TRY(7, 2, at, dims, strides, most, step, 0, 0));
		gives(CUDA_ERROR_INVALID_VALUE, TRY(7, 2, at, dims, strides, large, step, 0, 0));
		gives(CUDA_ERROR_INVALID_VALUE, TRY(0, 5, at, dims, strides, all, ones, 0, 0));
	}
	ok(TRY(7, 2, at, dim, stride, box, step, 0, 0));
	ok(cuTensorMapReplaceAddress(&m, (char *)at + 16));
	gives(CUDA_ERROR_INVALID_VALUE, cuTensorMapReplaceAddress(&m, (char *)at + 8));
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(boxes), cmocka_unit_test(refused) };

	return cmocka_run_group_tests_name("tensor maps", tests, set_up, NULL);
}
