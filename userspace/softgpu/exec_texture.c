// SPDX-License-Identifier: Apache-2.0
/*
 * Texture fetches, and loads and stores of surfaces. The arithmetic follows the appendix on
 * texture fetching of NVIDIA's programming guide: an element is chosen by the whole part of a
 * coordinate, and weights between elements have eight bits.
 */
#include <math.h>
#include <string.h>

#include "cuda_abi.h"
#include "ops.h"
#include "texture.h"

union value {
	float f[4];
	uint32_t u[4];
};

/* A place in a texture: the coordinates that follow its layer, and the face of a cube. */
struct spot {
	double x[3];		/* a float, or a whole number of 32 bits */
	bool whole;		/* an element by its number: nothing is weighed */
	uint32_t slice;
};

/* -- one element */

static float srgb(float v)
{
	return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

static void one_channel(const struct sg_texture *t, const char *at, unsigned int c, union value *v)
{
	bool whole = sg_texture_whole(t);
	uint16_t half;
	int16_t s16;

	switch (t->format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
		v->u[c] = ((const uint8_t *)at)[c];
		if (!whole)
			v->f[c] = v->u[c] / 255.0f;
		if (!whole && t->desc.flags & CU_TRSF_SRGB && c < 3)
			v->f[c] = srgb(v->f[c]);
		break;
	case CU_AD_FORMAT_SIGNED_INT8:
		v->u[c] = ((const int8_t *)at)[c];
		if (!whole)
			v->f[c] = fmaxf((int32_t)v->u[c] / 127.0f, -1);
		break;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		memcpy(&half, at + 2 * c, 2);
		v->u[c] = half;
		if (t->format == CU_AD_FORMAT_HALF)
			v->f[c] = sg_f16_to_f64(half);
		else if (!whole)
			v->f[c] = half / 65535.0f;
		break;
	case CU_AD_FORMAT_SIGNED_INT16:
		memcpy(&s16, at + 2 * c, 2);
		v->u[c] = s16;
		if (!whole)
			v->f[c] = fmaxf(s16 / 32767.0f, -1);
		break;
	default:
		memcpy(&v->u[c], at + 4 * c, 4);
		break;
	}
}

/* Channels that the format lacks are 0. */
static void decode(const struct sg_texture *t, const char *at, union value *v)
{
	memset(v, 0, sizeof(*v));
	for (unsigned int c = 0; c < t->channels; c++)
		one_channel(t, at, c, v);
}

/* An H200 has no border but zeros around whole numbers. */
static void border(const struct sg_texture *t, union value *v)
{
	memset(v, 0, sizeof(*v));
	for (unsigned int c = 0; c < t->channels && !sg_texture_whole(t); c++)
		v->f[c] = t->desc.borderColor[c];
}

/* The index that an address mode makes of i; -1 outside, where there is none. */
static int64_t address(const struct sg_texture *t, int dim, int64_t i, int64_t n)
{
	CUaddress_mode mode = t->desc.addressMode[dim];
	int64_t r;

	if (i >= 0 && i < n)
		return i;
	if (t->cube)
		return i < 0 ? 0 : n - 1;
	if (!(t->desc.flags & CU_TRSF_NORMALIZED_COORDINATES) && mode != CU_TR_ADDRESS_MODE_BORDER)
		mode = CU_TR_ADDRESS_MODE_CLAMP;
	switch (mode) {
	case CU_TR_ADDRESS_MODE_WRAP:
		r = i % n;
		return r < 0 ? r + n : r;
	case CU_TR_ADDRESS_MODE_MIRROR:
		r = i % (2 * n);
		r = r < 0 ? r + 2 * n : r;
		return r < n ? r : 2 * n - 1 - r;
	case CU_TR_ADDRESS_MODE_BORDER:
		return -1;
	default:
		return i < 0 ? 0 : n - 1;
	}
}

/* False if the memory is not there any more; the fault is recorded. */
static bool element(struct sg_exec *x, const struct sg_texture *t,
		    const struct sg_texture_level *at, const int64_t *i, uint32_t slice, int lane,
		    union value *v)
{
	int64_t a = address(t, 0, i[0], at->width), b = address(t, 1, i[1], at->height);
	int64_t c = t->layered || t->cube ? (int64_t)slice : address(t, 2, i[2], at->depth);
	const char *p;

	if (a < 0 || b < 0 || c < 0) {
		border(t, v);
		return true;
	}
	p = sg_mem_lane(x, at->base + c * at->slice + b * at->pitch + a * t->bytes, t->bytes, 1,
			SP_GLOBAL, lane);
	if (p)
		decode(t, p, v);
	return p;
}

/* -- filters */

/* A coordinate as an index with a fraction; what is no number or far away is at the edge. */
static double in_elements(const struct sg_texture *t, double x, size_t n)
{
	double v = t->desc.flags & CU_TRSF_NORMALIZED_COORDINATES || t->cube ? x * n : x;

	return v != v ? 0 : fmin(fmax(v, -1e15), 1e15);
}

/* The two neighbours of a place along one axis, and the weight of the second in 256ths. */
static double neighbours(double v, int64_t i[2])
{
	double fixed = floor((v - 0.5) * 256 + 0.5), whole = floor(fixed / 256);

	i[0] = whole;
	i[1] = i[0] + 1;
	return fixed / 256 - whole;
}

static bool nearest(struct sg_exec *x, const struct sg_texture *t,
		    const struct sg_texture_level *at, const struct spot *s, int dims, int lane,
		    union value *v)
{
	const size_t size[3] = { at->width, at->height, at->depth };
	int64_t i[3] = { 0 };

	for (int d = 0; d < dims; d++)
		i[d] = floor(in_elements(t, s->x[d], size[d]));
	return element(x, t, at, i, s->slice, lane, v);
}

static bool linear(struct sg_exec *x, const struct sg_texture *t,
		   const struct sg_texture_level *at, const struct spot *s, int dims, int lane,
		   union value *v)
{
	const size_t size[3] = { at->width, at->height, at->depth };
	double weight[3] = { 0 }, sum[4] = { 0 };
	int64_t i[3][2] = { { 0 } };

	for (int d = 0; d < dims; d++)
		weight[d] = neighbours(in_elements(t, s->x[d], size[d]), i[d]);
	for (int corner = 0; corner < 1 << dims; corner++) {
		int64_t at_corner[3];
		union value one;
		double w = 1;

		for (int d = 0; d < 3; d++) {
			int second = corner >> d & 1;

			at_corner[d] = i[d][second];
			if (d < dims)
				w *= second ? weight[d] : 1 - weight[d];
		}
		if (w == 0)
			continue;
		if (!element(x, t, at, at_corner, s->slice, lane, &one))
			return false;
		for (int c = 0; c < 4; c++)
			sum[c] += w * one.f[c];
	}
	for (int c = 0; c < 4; c++)
		v->f[c] = sum[c];
	return true;
}

/* Four elements around a place, of each one channel, against the clock from below left. */
static bool gather(struct sg_exec *x, const struct sg_texture *t,
		   const struct sg_texture_level *at, const struct spot *s, int channel, int lane,
		   union value *v)
{
	static const uint8_t order[4][2] = { { 0, 1 }, { 1, 1 }, { 1, 0 }, { 0, 0 } };
	int64_t i[2][2];

	neighbours(in_elements(t, s->x[0], at->width), i[0]);
	neighbours(in_elements(t, s->x[1], at->height), i[1]);
	for (int k = 0; k < 4; k++) {
		int64_t where[3] = { i[0][order[k][0]], i[1][order[k][1]], 0 };
		union value one;

		if (!element(x, t, at, where, s->slice, lane, &one))
			return false;
		v->u[k] = one.u[channel];
	}
	return true;
}

static bool in_level(struct sg_exec *x, const struct sg_texture *t, unsigned int level,
		     const struct spot *s, int dims, int lane, union value *v)
{
	bool smooth = t->desc.filterMode == CU_TR_FILTER_MODE_LINEAR && !sg_texture_whole(t) &&
		      !s->whole;

	return (smooth ? linear : nearest)(x, t, &t->level[level], s, dims, lane, v);
}

static bool sample(struct sg_exec *x, const struct sg_texture *t, float lod, const struct spot *s,
		   int dims, int lane, union value *v)
{
	double most = t->levels - 1, l = lod + t->desc.mipmapLevelBias, weight;
	union value upper;

	if (t->levels == 1)
		return in_level(x, t, 0, s, dims, lane, v);
	l = l != l ? 0 : fmin(fmax(l, t->desc.minMipmapLevelClamp), t->desc.maxMipmapLevelClamp);
	l = fmin(fmax(l, 0), most);
	if (t->desc.mipmapFilterMode == CU_TR_FILTER_MODE_POINT || sg_texture_whole(t))
		return in_level(x, t, floor(fmin(l + 0.5, most)), s, dims, lane, v);
	l = floor(l * 256 + 0.5) / 256;
	weight = l - floor(l);
	if (!in_level(x, t, floor(l), s, dims, lane, v))
		return false;
	if (weight == 0)
		return true;
	if (!in_level(x, t, floor(l) + 1, s, dims, lane, &upper))
		return false;
	for (int c = 0; c < 4; c++)
		v->f[c] = (1 - weight) * v->f[c] + weight * upper.f[c];
	return true;
}

/* The face of a cube that a direction meets, and where on it, from 0 to 1. */
static void on_face(struct spot *s, uint32_t first)
{
	float x = s->x[0], y = s->x[1], z = s->x[2], ax = fabsf(x), ay = fabsf(y), az = fabsf(z);
	float a, b, major;
	uint32_t face;

	if (ax >= ay && ax >= az) {
		face = x < 0;
		major = ax;
		a = x < 0 ? z : -z;
		b = -y;
	} else if (ay >= az) {
		face = 2 + (y < 0);
		major = ay;
		a = x;
		b = y < 0 ? -z : z;
	} else {
		face = 4 + (z < 0);
		major = az;
		a = z < 0 ? -x : x;
		b = -y;
	}
	s->slice = first + face;
	s->x[0] = major ? (a / major + 1) / 2 : 0.5f;
	s->x[1] = major ? (b / major + 1) / 2 : 0.5f;
}

/* -- the instructions */

static uint32_t read32(struct sg_exec *x, int32_t slot, int lane)
{
	return ((const uint32_t *)sg_slot(x, slot))[lane];
}

static float read_float(struct sg_exec *x, int32_t slot, int lane)
{
	float f;
	uint32_t u = read32(x, slot, lane);

	memcpy(&f, &u, 4);
	return f;
}

/* Layers outside are at the edge, as coordinates are with the mode "clamp". */
static uint32_t layer_of(const struct sg_texture *t, uint32_t layer)
{
	size_t n = t->cube ? t->level[0].depth / 6 : t->level[0].depth;

	return layer < n ? layer : n - 1;
}

static struct spot spot_of(struct sg_exec *x, const struct sg_texture *t, const struct sg_tex *p,
			   int lane)
{
	struct spot s = { .slice = p->layered ? layer_of(t, read32(x, p->at[0], lane)) : 0,
			  .whole = p->whole || t->res.resType == CU_RESOURCE_TYPE_LINEAR };
	const int32_t *at = p->at + p->layered;

	for (int d = 0; d < p->dims + p->cube; d++) {
		s.x[d] = p->whole ? (double)(int32_t)read32(x, at[d], lane) :
				    read_float(x, at[d], lane);
		if (p->offset[d] != SG_NOSLOT && d < p->dims) {
			float by = (int32_t)read32(x, p->offset[d], lane);
			const size_t size[3] = { t->level[0].width, t->level[0].height,
						 t->level[0].depth };

			if (t->desc.flags & CU_TRSF_NORMALIZED_COORDINATES)
				by /= size[d];
			s.x[d] = p->whole ? s.x[d] + by : (float)s.x[d] + by;
		}
	}
	if (p->cube)
		on_face(&s, 6 * s.slice);
	return s;
}

/* The level at which elements are about as far apart as the places of neighbouring pixels. */
static float level_of(struct sg_exec *x, const struct sg_texture *t, const struct sg_tex *p,
		      int lane)
{
	const size_t size[3] = { t->level[0].width, t->level[0].height, t->level[0].depth };
	double most = 0;

	if (p->lod != SG_NOSLOT)
		return read_float(x, p->lod, lane);
	for (int k = 0; k < 2; k++) {
		double sum = 0;

		for (int d = 0; d < p->dims && p->gradient[k][0] != SG_NOSLOT; d++) {
			double v = in_elements(t, read_float(x, p->gradient[k][d], lane), size[d]);

			sum += v * v;
		}
		most = fmax(most, sum);
	}
	return most > 0 ? 0.5 * log2(most) : 0;
}

static const struct sg_texture *object(struct sg_exec *x, const struct sg_insn *in, int lane,
				       bool surface)
{
	uint64_t number = ((const uint64_t *)sg_slot(x, in->a))[lane];
	const struct sg_texture *t = sg_texture_find(number, surface);

	if (!t)
		sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS, "there is no %s object 0x%llx",
			 surface ? "surface" : "texture", (unsigned long long)number);
	return t;
}

/* Whether the object has the shape that the instruction names. */
static bool shaped(struct sg_exec *x, const struct sg_texture *t, const struct sg_tex *p)
{
	bool layered = t->layered, cube = t->cube;

	if (layered == p->layered && cube == (bool)p->cube)
		return true;
	sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
		 "the instruction and the object differ in whether there are layers or cubes");
	return false;
}

static bool outside(const struct sg_texture *t, const struct sg_tex *p, const struct spot *s)
{
	const size_t size[3] = { t->level[0].width, t->level[0].height, t->level[0].depth };

	for (int d = 0; d < p->dims; d++)
		if (!(s->x[d] >= 0 && s->x[d] < size[d]))
			return true;
	return false;
}

static void tex_lane(struct sg_exec *x, const struct sg_insn *in, int lane)
{
	const struct sg_texture *t = object(x, in, lane, false);
	const struct sg_tex *p = in->extra;
	union value v;
	struct spot s;
	bool done;

	if (!t || !shaped(x, t, p))
		return;
	s = spot_of(x, t, p, lane);
	if (s.whole && outside(t, p, &s)) {
		/* whole coordinates know no address mode */
		memset(&v, 0, sizeof(v));
		done = true;
	} else if (p->gather >= 0) {
		done = gather(x, t, &t->level[0], &s, p->gather, lane, &v);
	} else {
		done = sample(x, t, level_of(x, t, p, lane), &s, p->dims, lane, &v);
	}
	for (int c = 0; done && c < 4; c++)
		((uint32_t *)sg_slot(x, p->value[c].slot))[lane] = v.u[c];
}

void sg_op_tex(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	sg_textures_lock();
	for (; m && !x->fault; m &= m - 1)
		tex_lane(x, in, __builtin_ctz(m));
	sg_textures_unlock();
}

static void surface_lane(struct sg_exec *x, const struct sg_insn *in, int lane)
{
	const struct sg_texture *t = object(x, in, lane, true);
	const struct sg_tex *p = in->extra;
	const struct sg_texture_level *l;
	int64_t at[3] = { 0 }, size[3];
	uint32_t bytes = in->size * in->vec;
	bool outside = false;
	char *host = NULL;

	if (!t || !shaped(x, t, p))
		return;
	l = &t->level[0];
	size[0] = l->width * t->bytes - bytes + 1;	/* the first coordinate counts bytes */
	size[1] = l->height;
	size[2] = l->depth;
	for (int d = 0; d < p->dims; d++)
		at[d] = (int32_t)read32(x, p->at[d + p->layered], lane);
	if (p->layered) {
		at[2] = (int32_t)read32(x, p->at[0], lane);
		outside = at[2] < 0 || at[2] >= size[2];
	}
	for (int d = 0; d < 3; d++) {
		outside |= at[d] < 0 || at[d] >= size[d];
		if (p->edge == SG_EDGE_CLAMP && size[d] > 0)
			at[d] = at[d] < 0 ? 0 : at[d] >= size[d] ? size[d] - 1 : at[d];
	}
	if (outside && p->edge == SG_EDGE_CLAMP && size[0] > 0)
		at[0] -= at[0] % bytes;
	if (outside && p->edge == SG_EDGE_TRAP) {
		sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
			 "%lld, %lld, %lld lies outside the surface, in bytes, rows and slices",
			 (long long)at[0], (long long)at[1], (long long)at[2]);
		return;
	}
	if (!outside || (p->edge == SG_EDGE_CLAMP && size[0] > 0)) {
		host = sg_mem_lane(x, l->base + at[2] * l->slice + at[1] * l->pitch + at[0], bytes,
				   1, SP_GLOBAL, lane);
		if (!host)
			return;
	}
	for (int c = 0; c < in->vec; c++) {
		int width = p->value[c].size;
		char *r = (char *)sg_slot(x, p->value[c].slot) + lane * width;
		uint64_t v = 0;

		if (p->store) {
			if (host)
				memcpy(host + c * in->size, r, in->size);
			continue;
		}
		if (host)
			memcpy(&v, host + c * in->size, in->size);
		memcpy(r, &v, width);
	}
}

void sg_op_surface(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	sg_textures_lock();
	for (; m && !x->fault; m &= m - 1)
		surface_lane(x, in, __builtin_ctz(m));
	sg_textures_unlock();
}

void sg_op_tex_query(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	bool surface = in->vec;
	uint32_t *d = sg_slot(x, in->d);

	sg_textures_lock();
	for (; m && !x->fault; m &= m - 1) {
		int lane = __builtin_ctz(m);
		const struct sg_texture *t = object(x, in, lane, surface);

		if (!t)
			break;
		d[lane] = in->sub == TQ_WIDTH ? t->level[0].width :
			  in->sub == TQ_HEIGHT ? t->level[0].height :
			  in->sub == TQ_LEVELS ? t->levels :
			  in->sub == TQ_LAYERS && !t->layered ? 0 : t->level[0].depth;
	}
	sg_textures_unlock();
}
