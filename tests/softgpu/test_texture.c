// SPDX-License-Identifier: Apache-2.0
/*
 * Textures and surfaces. What fetches return is compared with what an H200 returned (driver 580),
 * which texture_values.h has: `test_texture --record` writes that file's lines on a machine with a
 * GPU. Fetches that choose one element are equal to the bit; sums that were weighed may differ by
 * what a weight of eight bits makes out.
 */
#include "harness.h"

#define LANES 16
#define W 5
#define H 4
#define D 3

enum shape { ONE, TWO, THREE, LAYERS1, LAYERS2, CUBE, CUBES, LEVELS, LINEAR, PITCH };

struct fetch {
	const char *name, *code;
	enum shape shape;
	CUarray_format format;
	unsigned int channels, flags;
	CUaddress_mode mode;
	CUfilter_mode filter;
};

#define U8 CU_AD_FORMAT_UNSIGNED_INT8
#define S8 CU_AD_FORMAT_SIGNED_INT8
#define U16 CU_AD_FORMAT_UNSIGNED_INT16
#define S16 CU_AD_FORMAT_SIGNED_INT16
#define U32 CU_AD_FORMAT_UNSIGNED_INT32
#define S32 CU_AD_FORMAT_SIGNED_INT32
#define F16 CU_AD_FORMAT_HALF
#define F32 CU_AD_FORMAT_FLOAT
#define AS_INT CU_TRSF_READ_AS_INTEGER
#define NORMAL CU_TRSF_NORMALIZED_COORDINATES
#define CLAMP CU_TR_ADDRESS_MODE_CLAMP
#define BORDER CU_TR_ADDRESS_MODE_BORDER
#define WRAP CU_TR_ADDRESS_MODE_WRAP
#define MIRROR CU_TR_ADDRESS_MODE_MIRROR
#define NEAR CU_TR_FILTER_MODE_POINT
#define SMOOTH CU_TR_FILTER_MODE_LINEAR

#define OUT "{%r0, %r1, %r2, %r3}, [%q, "
#define TEX1 "tex.1d.v4.f32.f32 " OUT "{%f0}];"
#define TEX2 "tex.2d.v4.f32.f32 " OUT "{%f0, %f1}];"
#define TEX2U "tex.2d.v4.u32.f32 " OUT "{%f0, %f1}];"
#define TEX2S "tex.2d.v4.s32.f32 " OUT "{%f0, %f1}];"
#define TEX3 "tex.3d.v4.f32.f32 " OUT "{%f0, %f1, %f2, %f2}];"
#define LEVEL2 "tex.level.2d.v4.f32.f32 " OUT "{%f0, %f1}], %f2;"

static const struct fetch fetches[] = {
	{ "1d", TEX1, ONE, F32, 1, 0, CLAMP, NEAR },
	{ "1d smooth", TEX1, ONE, F32, 1, 0, CLAMP, SMOOTH },
	{ "2d", TEX2, TWO, F32, 4, 0, CLAMP, NEAR },
	{ "2d smooth", TEX2, TWO, F32, 4, 0, CLAMP, SMOOTH },
	{ "2d border", TEX2, TWO, F32, 2, 0, BORDER, NEAR },
	{ "2d border smooth", TEX2, TWO, F32, 1, 0, BORDER, SMOOTH },
	{ "2d whole", "tex.2d.v4.u32.s32 " OUT "{%i0, %i1}];", TWO, U32, 1, AS_INT, CLAMP, NEAR },
	{ "2d wrap", TEX2, TWO, F32, 1, NORMAL, WRAP, NEAR },
	{ "2d wrap smooth", TEX2, TWO, F32, 1, NORMAL, WRAP, SMOOTH },
	{ "2d mirror", TEX2, TWO, F32, 1, NORMAL, MIRROR, NEAR },
	{ "2d mirror smooth", TEX2, TWO, F32, 1, NORMAL, MIRROR, SMOOTH },
	{ "2d clamp normal", TEX2, TWO, F32, 1, NORMAL, CLAMP, SMOOTH },
	{ "2d border normal", TEX2, TWO, F32, 1, NORMAL, BORDER, SMOOTH },
	{ "2d wrap of elements", TEX2, TWO, F32, 1, 0, WRAP, NEAR },
	{ "2d u8", TEX2, TWO, U8, 4, 0, CLAMP, NEAR },
	{ "2d u8 smooth", TEX2, TWO, U8, 4, 0, CLAMP, SMOOTH },
	{ "2d s8", TEX2, TWO, S8, 2, 0, CLAMP, NEAR },
	{ "2d u16 smooth", TEX2, TWO, U16, 2, 0, CLAMP, SMOOTH },
	{ "2d s16", TEX2, TWO, S16, 1, 0, CLAMP, NEAR },
	{ "2d f16", TEX2, TWO, F16, 4, 0, CLAMP, NEAR },
	{ "2d f16 smooth", TEX2, TWO, F16, 1, 0, CLAMP, SMOOTH },
	{ "2d u8 as such", TEX2U, TWO, U8, 4, AS_INT, BORDER, NEAR },
	{ "2d s8 as such", TEX2S, TWO, S8, 1, AS_INT, CLAMP, NEAR },
	{ "2d s16 as such", TEX2S, TWO, S16, 2, AS_INT, CLAMP, NEAR },
	{ "2d s32", TEX2S, TWO, S32, 4, AS_INT, CLAMP, NEAR },
	{ "2d srgb", TEX2, TWO, U8, 4, CU_TRSF_SRGB, CLAMP, NEAR },
	{ "2d offset", "tex.2d.v4.f32.f32 " OUT "{%f0, %f1}], {%i2, %i3};", TWO, F32, 1, 0, CLAMP,
	  NEAR },
	{ "3d", TEX3, THREE, F32, 1, 0, CLAMP, NEAR },
	{ "3d smooth", TEX3, THREE, F32, 1, NORMAL, WRAP, SMOOTH },
	{ "layers 1d", "tex.a1d.v4.f32.f32 " OUT "{%i1, %f0}];", LAYERS1, F32, 1, 0, CLAMP, NEAR },
	{ "layers 2d", "tex.a2d.v4.f32.f32 " OUT "{%i1, %f0, %f1, %f1}];", LAYERS2, F32, 1, 0,
	  CLAMP, SMOOTH },
	{ "cube", "tex.cube.v4.f32.f32 " OUT "{%f0, %f1, %f2, %f2}];", CUBE, F32, 1, NORMAL, CLAMP,
	  NEAR },
	{ "cubes", "tex.acube.v4.f32.f32 " OUT "{%i1, %f0, %f1, %f2}];", CUBES, F32, 1, NORMAL,
	  CLAMP, NEAR },
	{ "levels", LEVEL2, LEVELS, F32, 1, NORMAL, WRAP, NEAR },
	{ "levels smooth", LEVEL2, LEVELS, F32, 1, NORMAL, WRAP, SMOOTH },
	{ "no level", TEX2, LEVELS, F32, 1, NORMAL, WRAP, NEAR },
	{ "gather r", "tld4.r.2d.v4.f32.f32 " OUT "{%f0, %f1}];", TWO, F32, 4, 0, CLAMP, NEAR },
	{ "gather b", "tld4.b.2d.v4.f32.f32 " OUT "{%f0, %f1}];", TWO, F32, 4, NORMAL, WRAP, NEAR },
	{ "linear", "tex.1d.v4.f32.s32 " OUT "{%i0}];", LINEAR, F32, 2, 0, CLAMP, NEAR },
	{ "pitch", TEX2, PITCH, F32, 1, 0, CLAMP, SMOOTH },
};

#define FETCHES (sizeof(fetches) / sizeof(fetches[0]))

static const struct {
	const char *name;
	uint32_t value[LANES * 4];
} values[] = {
#include "texture_values.h"
};

static size_t format_bytes(CUarray_format f)
{
	return f == U8 || f == S8 ? 1 : f == U16 || f == S16 || f == F16 ? 2 : 4;
}

/* An element's channel: any whole number, or a float that is plain. */
static void fill(char *to, size_t n, CUarray_format f)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = i * 2654435761u;
		float x = (i * 7 % 23) * 0.75f - 6;

		v ^= v >> 15;
		if (f == F16)
			v = 0x3c00 + (v & 0x83ff);	/* 1 to 2, or -1 to -2 */
		memcpy(to + i * format_bytes(f), f == F32 ? (void *)&x : (void *)&v,
		       format_bytes(f));
	}
}

static CUDA_ARRAY3D_DESCRIPTOR array_of(const struct fetch *t)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = W, .Height = H, .Format = t->format,
				      .NumChannels = t->channels };

	switch (t->shape) {
	case ONE:
		d.Height = 0;
		break;
	case LAYERS1:
		d.Height = 0;
		/* fall through */
	case LAYERS2:
		d.Flags = CUDA_ARRAY3D_LAYERED;
		/* fall through */
	case THREE:
		d.Depth = D;
		break;
	case CUBE:
	case CUBES:
		d.Width = d.Height = 4;
		d.Depth = t->shape == CUBES ? 12 : 6;
		d.Flags = CUDA_ARRAY3D_CUBEMAP | (t->shape == CUBES ? CUDA_ARRAY3D_LAYERED : 0);
		break;
	case LEVELS:
		d.Width = d.Height = 8;
		break;
	default:
		break;
	}
	if (!strncmp(t->name, "gather", 6))
		d.Flags |= CUDA_ARRAY3D_TEXTURE_GATHER;
	return d;
}

/* Fills an array from its start; another seed for each level. */
static void fill_array(CUarray a, const CUDA_ARRAY3D_DESCRIPTOR *d, int level)
{
	size_t width = d->Width >> level, height = d->Height ? d->Height >> level : 1;
	size_t row = width * d->NumChannels * format_bytes(d->Format);
	size_t depth = d->Depth ? d->Depth : 1;
	static char data[16384];
	CUDA_MEMCPY3D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = data + level * 36,
			    .srcPitch = row, .srcHeight = height,
			    .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = a,
			    .WidthInBytes = row, .Height = height, .Depth = depth };

	assert_true(row * height * depth + 360 <= sizeof(data));
	fill(data, sizeof(data) / format_bytes(d->Format), d->Format);
	ok(cuMemcpy3D_v2(&c));
}

struct object {
	CUarray array;
	CUmipmappedArray mipmap;
	CUdeviceptr memory;
	CUtexObject tex;
};

static void make(const struct fetch *t, struct object *o)
{
	CUDA_TEXTURE_DESC desc = { .flags = t->flags, .filterMode = t->filter,
				   .mipmapFilterMode = t->filter, .maxMipmapLevelClamp = 2.5f,
				   .mipmapLevelBias = t->shape == LEVELS ? 0.25f : 0,
				   .borderColor = { 9, 8, 7, 6 } };
	CUDA_ARRAY3D_DESCRIPTOR d = array_of(t);
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_ARRAY };
	static char data[4096];

	memset(o, 0, sizeof(*o));
	for (int i = 0; i < 3; i++)
		desc.addressMode[i] = t->mode;
	if (t->shape == LEVELS) {
		ok(cuMipmappedArrayCreate(&o->mipmap, &d, 4));
		for (int i = 0; i < 4; i++) {
			CUarray level;

			ok(cuMipmappedArrayGetLevel(&level, o->mipmap, i));
			fill_array(level, &d, i);
		}
		r.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
		r.res.mipmap.hMipmappedArray = o->mipmap;
	} else if (t->shape == LINEAR || t->shape == PITCH) {
		fill(data, 256, t->format);
		ok(cuMemAlloc_v2(&o->memory, sizeof(data)));
		ok(cuMemcpyHtoD_v2(o->memory, data, sizeof(data)));
		if (t->shape == LINEAR) {
			r.resType = CU_RESOURCE_TYPE_LINEAR;
			r.res.linear.devPtr = o->memory;
			r.res.linear.format = t->format;
			r.res.linear.numChannels = t->channels;
			r.res.linear.sizeInBytes = W * t->channels * 4;
		} else {
			r.resType = CU_RESOURCE_TYPE_PITCH2D;
			r.res.pitch2D.devPtr = o->memory;
			r.res.pitch2D.format = t->format;
			r.res.pitch2D.numChannels = t->channels;
			r.res.pitch2D.width = W;
			r.res.pitch2D.height = H;
			r.res.pitch2D.pitchInBytes = 64;
		}
	} else {
		ok(cuArray3DCreate_v2(&o->array, &d));
		fill_array(o->array, &d, 0);
		r.res.array.hArray = o->array;
	}
	ok(cuTexObjectCreate(&o->tex, &r, &desc, NULL));
}

static void unmake(struct object *o)
{
	ok(cuTexObjectDestroy(o->tex));
	if (o->array)
		ok(cuArrayDestroy(o->array));
	if (o->mipmap)
		ok(cuMipmappedArrayDestroy(o->mipmap));
	if (o->memory)
		ok(cuMemFree_v2(o->memory));
}

/* Places inside, on edges and outside; a sixth of them between two elements. */
static void places(const struct fetch *t, void *to)
{
	struct {
		float f[4];
		int32_t i[4];
	} at[LANES];

	for (int l = 0; l < LANES; l++) {
		float x = -1.7f + 0.53f * l, y = 5.1f - 0.41f * l, z = -0.6f + 0.3f * l;
		bool normal = t->flags & NORMAL;

		at[l].f[0] = normal ? x / W : x;
		at[l].f[1] = normal ? y / H : y;
		at[l].f[2] = t->shape == LEVELS ? z : normal ? z / D : z;
		at[l].f[3] = 0;
		if (t->shape == CUBE || t->shape == CUBES) {
			at[l].f[0] = (l * 5 % 16 - 7.5f) / 4;
			at[l].f[1] = (l * 7 % 16 - 6.9f) / 5;
			at[l].f[2] = (l * 11 % 16 - 7.2f) / 3;
		}
		at[l].i[0] = l - 4;
		at[l].i[1] = l % 7 - 2;
		at[l].i[2] = l % 3 - 1;
		at[l].i[3] = l % 5 - 2;
	}
	memcpy(to, at, sizeof(at));
}

static void fetch(const struct fetch *t, uint32_t *got)
{
	char text[2048], at[LANES * 32];
	struct object o;
	CUdeviceptr in, out;
	CUmodule m;

	snprintf(text, sizeof(text), PTX_HEADER
		 ".visible .entry k(.param .u64 out, .param .u64 in, .param .u64 tex)\n{\n"
		 ".reg .b32 %%t, %%r<4>, %%i<4>;\n.reg .f32 %%f<4>;\n.reg .b64 %%o, %%n, %%q, %%d;\n"
		 "ld.param.u64 %%o, [out];\nld.param.u64 %%n, [in];\nld.param.u64 %%q, [tex];\n"
		 "mov.u32 %%t, %%tid.x;\nmul.wide.u32 %%d, %%t, 32;\nadd.u64 %%n, %%n, %%d;\n"
		 "ld.global.v4.f32 {%%f0, %%f1, %%f2, %%f3}, [%%n];\n"
		 "ld.global.v4.u32 {%%i0, %%i1, %%i2, %%i3}, [%%n+16];\n%s\n"
		 "mul.wide.u32 %%d, %%t, 16;\nadd.u64 %%o, %%o, %%d;\n"
		 "st.global.v4.b32 [%%o], {%%r0, %%r1, %%r2, %%r3};\nret;\n}\n", t->code);
	places(t, at);
	make(t, &o);
	m = load(text);
	ok(cuMemAlloc_v2(&in, sizeof(at)));
	ok(cuMemAlloc_v2(&out, LANES * 16));
	ok(cuMemcpyHtoD_v2(in, at, sizeof(at)));
	launch(function(m, "k"), 1, LANES, 0, &out, &in, &o.tex, NULL);
	ok(cuMemcpyDtoH_v2(got, out, LANES * 16));
	ok(cuMemFree_v2(in));
	ok(cuMemFree_v2(out));
	ok(cuModuleUnload(m));
	unmake(&o);
}

/* Two neighbours may be that far apart: a weight of a 256th more or less makes a 256th of it. */
static float range(const struct fetch *t)
{
	return t->format == F32 ? 16.5f : t->format == F16 ? 4 : 1;
}

static bool near(uint32_t a, uint32_t b, const struct fetch *t)
{
	if (t->filter == NEAR && !(t->flags & CU_TRSF_SRGB))
		return a == b;
	return fabsf(f32(a) - f32(b)) <= 1.25f * range(t) / 256;
}

static void fetched(void **state)
{
	uint32_t got[LANES * 4];

	(void)state;
	use_device();
	for (size_t i = 0; i < FETCHES; i++) {
		const struct fetch *t = &fetches[i];

		if (i >= sizeof(values) / sizeof(values[0]))
			fail_msg("nothing is recorded for %s", t->name);
		assert_string_equal(values[i].name, t->name);
		fetch(t, got);
		for (int k = 0; k < LANES * 4; k++)
			if (!near(got[k], values[i].value[k], t))
				fail_msg("%s, place %d, channel %d: %#x (%g), not %#x (%g)",
					 t->name, k / 4, k % 4, got[k], f32(got[k]),
					 values[i].value[k], f32(values[i].value[k]));
	}
}

/* -- surfaces */

static const char surface_code[] = PTX_HEADER
	/* out[k] = what lies at (x[k], y[k]), which is outside for some, with each way to treat it */
	".visible .entry look(.param .u64 out, .param .u64 at, .param .u64 surf)\n{\n"
	".reg .b32 t, x, y, v, w;\n.reg .b64 o, n, s, d;\n"
	"ld.param.u64 o, [out];\nld.param.u64 n, [at];\nld.param.u64 s, [surf];\n"
	"mov.u32 t, %tid.x;\nmul.wide.u32 d, t, 8;\nadd.u64 n, n, d;\nadd.u64 o, o, d;\n"
	"ld.global.v2.u32 {x, y}, [n];\nsuld.b.2d.b32.zero {v}, [s, {x, y}];\n"
	"suld.b.2d.b32.clamp {w}, [s, {x, y}];\nst.global.v2.u32 [o], {v, w};\nret;\n}\n"
	".visible .entry trap(.param .u64 surf)\n{\n.reg .b32 v;\n.reg .b64 s;\n"
	"ld.param.u64 s, [surf];\nsuld.b.2d.b32.trap {v}, [s, {64, 0}];\nret;\n}\n"
	/* each thread moves its element of each width from a to b, and adds 1 to what it can */
	".visible .entry move(.param .u64 a, .param .u64 b)\n{\n"
	".reg .b32 t, x, v<4>;\n.reg .b16 h;\n.reg .b64 s, o, q<2>;\n"
	"ld.param.u64 s, [a];\nld.param.u64 o, [b];\nmov.u32 t, %tid.x;\nmov.b32 x, t;\n"
	"suld.b.2d.b8.trap {h}, [s, {x, 0}];\nadd.u16 h, h, 1;\nsust.b.2d.b8.trap [o, {x, 0}], {h};\n"
	"shl.b32 x, t, 1;\nsuld.b.2d.b16.trap {h}, [s, {x, 1}];\nadd.u16 h, h, 1;\n"
	"sust.b.2d.b16.trap [o, {x, 1}], {h};\n"
	"shl.b32 x, t, 3;\nsuld.b.2d.v2.b32.trap {v0, v1}, [s, {x, 2}];\n"
	"sust.b.2d.v2.b32.trap [o, {x, 2}], {v1, v0};\n"
	"shl.b32 x, t, 3;\nsuld.b.2d.b64.trap {q0}, [s, {x, 3}];\n"
	"sust.b.2d.b64.trap [o, {x, 3}], {q0};\nret;\n}\n"
	".visible .entry size(.param .u64 out, .param .u64 surf)\n{\n"
	".reg .b32 v<2>;\n.reg .b64 o, s;\nld.param.u64 o, [out];\nld.param.u64 s, [surf];\n"
	"suq.width.b32 v0, [s];\nsuq.height.b32 v1, [s];\nst.global.v2.u32 [o], {v0, v1};\nret;\n}\n";

static void box(CUarray a, void *host, size_t row, size_t rows, bool in)
{
	CUDA_MEMCPY2D c = { .WidthInBytes = row, .Height = rows, .srcPitch = row, .dstPitch = row };

	if (in) {
		c.srcMemoryType = CU_MEMORYTYPE_HOST;
		c.srcHost = host;
		c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		c.dstArray = a;
	} else {
		c.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		c.srcArray = a;
		c.dstMemoryType = CU_MEMORYTYPE_HOST;
		c.dstHost = host;
	}
	ok(cuMemcpy2D_v2(&c));
}

static CUarray surface(size_t width, size_t height, CUarray_format f, CUsurfObject *out)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = width, .Height = height, .Format = f,
				      .NumChannels = 1, .Flags = CUDA_ARRAY3D_SURFACE_LDST };
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_ARRAY };

	ok(cuArray3DCreate_v2(&r.res.array.hArray, &d));
	ok(cuSurfObjectCreate(out, &r));
	return r.res.array.hArray;
}

static void surfaces(void **state)
{
	static const int32_t at[][2] = { { 0, 0 }, { 12, 1 }, { 60, 3 }, { 64, 0 }, { -4, 1 },
					 { 8, 4 }, { 8, -1 }, { 100, 9 } };
	uint32_t host[4][16], got[8][2], size[2];
	CUsurfObject surf;
	CUdeviceptr in, out;
	CUmodule m;
	CUarray a;

	(void)state;
	use_device();
	m = load(surface_code);
	a = surface(16, 4, U32, &surf);
	for (int i = 0; i < 64; i++)
		host[i / 16][i % 16] = 1000 + i;
	box(a, host, 64, 4, true);
	ok(cuMemAlloc_v2(&in, sizeof(at)));
	ok(cuMemAlloc_v2(&out, sizeof(got)));
	ok(cuMemcpyHtoD_v2(in, at, sizeof(at)));
	launch(function(m, "look"), 1, 8, 0, &out, &in, &surf, NULL);
	ok(cuMemcpyDtoH_v2(got, out, sizeof(got)));
	for (int i = 0; i < 8; i++) {
		int x = at[i][0] / 4, y = at[i][1], xx = x < 0 ? 0 : x > 15 ? 15 : x;
		int yy = y < 0 ? 0 : y > 3 ? 3 : y;

		assert_int_equal(got[i][0], at[i][0] >= 0 && x == xx && y == yy ? host[y][x] : 0);
		assert_int_equal(got[i][1], host[yy][at[i][0] < 0 ? 0 : xx]);
	}
	launch(function(m, "size"), 1, 1, 0, &out, &surf, NULL);
	ok(cuMemcpyDtoH_v2(size, out, sizeof(size)));
	assert_int_equal(size[0], 16);
	assert_int_equal(size[1], 4);
	ok(cuMemFree_v2(in));
	ok(cuMemFree_v2(out));
	ok(cuSurfObjectDestroy(surf));
	ok(cuArrayDestroy(a));
	ok(cuModuleUnload(m));
}

static void surface_widths(void **state)
{
	uint8_t host[4][64], got[4][64];
	CUsurfObject from, to;
	CUarray a, b;
	CUmodule m;

	(void)state;
	use_device();
	m = load(surface_code);
	a = surface(64, 4, U8, &from);
	b = surface(64, 4, U8, &to);
	for (int i = 0; i < 256; i++)
		host[i / 64][i % 64] = i * 7;
	box(a, host, 64, 4, true);
	launch(function(m, "move"), 1, 8, 0, &from, &to, NULL);
	box(b, got, 64, 4, false);
	for (int i = 0; i < 8; i++) {
		uint16_t h, was;

		assert_int_equal(got[0][i], (uint8_t)(host[0][i] + 1));
		memcpy(&h, &got[1][2 * i], 2);
		memcpy(&was, &host[1][2 * i], 2);
		assert_int_equal(h, (uint16_t)(was + 1));
		assert_memory_equal(&got[2][8 * i], &host[2][8 * i + 4], 4);
		assert_memory_equal(&got[2][8 * i + 4], &host[2][8 * i], 4);
	}
	assert_memory_equal(got[3], host[3], 64);
	ok(cuSurfObjectDestroy(from));
	ok(cuSurfObjectDestroy(to));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(b));
	ok(cuModuleUnload(m));
}

/* Elements of memory are read by their number, of however many, and none is weighed. */
static void linear_memory(void **state)
{
	static const char code[] = PTX_HEADER
		".visible .entry k(.param .u64 out, .param .u32 i, .param .u64 tex)\n{\n"
		".reg .b32 %i, %r<4>;\n.reg .b64 %o, %q;\nld.param.u64 %o, [out];\n"
		"ld.param.u32 %i, [i];\nld.param.u64 %q, [tex];\n"
		"tex.1d.v4.u32.s32 {%r0, %r1, %r2, %r3}, [%q, {%i}];\n"
		"st.global.b32 [%o], %r0;\nret;\n}\n";
	const uint32_t many = (1 << 24) + 8;
	CUDA_TEXTURE_DESC t = { .filterMode = SMOOTH };
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_LINEAR };
	CUdeviceptr memory, out;
	uint32_t i, v = 0;
	CUtexObject tex;
	CUmodule m;
	float f[16];

	(void)state;
	use_device();
	m = load(code);
	ok(cuMemAlloc_v2(&out, 4));
	ok(cuMemAlloc_v2(&memory, many));
	for (i = 0; i < 16; i++)
		f[i] = 10.0f * i;
	ok(cuMemcpyHtoD_v2(memory, f, sizeof(f)));
	r.res.linear.devPtr = memory;
	r.res.linear.format = F32;
	r.res.linear.numChannels = 1;
	/* more than there is, which no kernel reads */
	r.res.linear.sizeInBytes = is_softgpu() ? 2 * (size_t)many : many;
	ok(cuTexObjectCreate(&tex, &r, &t, NULL));
	i = 5;
	launch(function(m, "k"), 1, 1, 0, &out, &i, &tex, NULL);
	ok(cuMemcpyDtoH_v2(&v, out, 4));
	memcpy(f, &v, 4);
	assert_true(f[0] == 50);
	ok(cuTexObjectDestroy(tex));

	ok(cuMemsetD8_v2(memory, 1, many));
	ok(cuMemsetD8_v2(memory + (1 << 24) + 3, 77, 1));
	t.flags = AS_INT;
	t.filterMode = NEAR;
	r.res.linear.format = U8;
	r.res.linear.sizeInBytes = many;
	ok(cuTexObjectCreate(&tex, &r, &t, NULL));
	for (i = (1 << 24) + 2; i < (1 << 24) + 5; i++) {
		launch(function(m, "k"), 1, 1, 0, &out, &i, &tex, NULL);
		ok(cuMemcpyDtoH_v2(&v, out, 4));
		assert_int_equal(v, i == (1 << 24) + 3 ? 77 : 1);
	}
	ok(cuTexObjectDestroy(tex));
	ok(cuMemFree_v2(memory));
	ok(cuMemFree_v2(out));
	ok(cuModuleUnload(m));
}

/* What cannot be is refused, and an object that has gone means nothing. */
static void refused(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = 4, .Height = 4, .Format = U32, .NumChannels = 1 };
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_ARRAY }, back;
	CUDA_RESOURCE_VIEW_DESC v = { .format = CU_RES_VIEW_FORMAT_FLOAT_1X16, .width = 4,
				      .height = 4 };
	CUDA_TEXTURE_DESC t = { .filterMode = CU_TR_FILTER_MODE_LINEAR };
	CUtexObject tex, other;
	CUsurfObject surf;
	size_t n;

	(void)state;
	use_device();
	ok(cuArray3DCreate_v2(&r.res.array.hArray, &d));
	/* the driver makes a surface of an array that was not made for one */
	ok(cuSurfObjectCreate(&surf, &r));
	ok(cuSurfObjectDestroy(surf));
	t.filterMode = NEAR;
	gives(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&tex, &r, &t, &v));
	gives(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(NULL, &r, &t, NULL));
	ok(cuTexObjectCreate(&tex, &r, &t, NULL));
	ok(cuTexObjectGetResourceDesc(&back, tex));
	assert_ptr_equal(back.res.array.hArray, r.res.array.hArray);
	ok(cuTexObjectDestroy(tex));
	if (is_softgpu()) {
		gives(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceDesc(&back, tex));
		gives(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(tex));
		ok(cuTexObjectCreate(&other, &r, &t, NULL));
		assert_true(other != tex);
		gives(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(tex));
		ok(cuTexObjectDestroy(other));
	}
	ok(cuArrayDestroy(r.res.array.hArray));
	ok(cuDeviceGetTexture1DLinearMaxWidth(&n, F32, 4, 0));
	assert_int_equal(n, 1 << 28);
	gives(CUDA_ERROR_INVALID_VALUE, cuDeviceGetTexture1DLinearMaxWidth(&n, F32, 3, 0));
}

/*
 * Last, because it ends the context. An H200 returns something for an element that lies just
 * outside; softgpu tells of it.
 */
static void outside_traps(void **state)
{
	CUsurfObject surf;
	void *args[] = { &surf };
	CUmodule m;

	(void)state;
	use_device();
	if (!is_softgpu())
		skip();
	m = load(surface_code);
	surface(16, 4, U32, &surf);
	ok(cuLaunchKernel(function(m, "trap"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	assert_int_not_equal(cuCtxSynchronize(), CUDA_SUCCESS);
}

static int record(void)
{
	uint32_t got[LANES * 4];

	use_device();
	for (size_t i = 0; i < FETCHES; i++) {
		fetch(&fetches[i], got);
		printf("\t{ \"%s\", {", fetches[i].name);
		for (int k = 0; k < LANES * 4; k++)
			printf("%s0x%x,", k % 8 ? " " : "\n\t\t", got[k]);
		printf("\n\t} },\n");
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetched),
		cmocka_unit_test(surfaces),
		cmocka_unit_test(surface_widths),
		cmocka_unit_test(linear_memory), cmocka_unit_test(refused),
		cmocka_unit_test(outside_traps),
	};

	if (argc == 2 && !strcmp(argv[1], "--record"))
		return record();
	return cmocka_run_group_tests_name("softgpu: textures", tests, NULL, NULL);
}
