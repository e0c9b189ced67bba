// SPDX-License-Identifier: Apache-2.0
/* The ranges that the shim knows, against a list that is searched from its start. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "shim/shim.h"
#include "shim_calls.h"

/* What ranges.c needs of others. */
struct vg_context *vg_current(void)
{
	return NULL;
}

CUresult vgw_cuStreamSynchronize(CUstream s)
{
	(void)s;
	return CUDA_SUCCESS;
}

enum { SPACE = 4000, ROUNDS = 60000, MOST = 64 };

static struct vg_range model[SPACE];
static size_t count;

static struct vg_range *in_model(uint64_t base, uint64_t bytes)
{
	for (size_t i = 0; i < count; i++)
		if (model[i].base < base + bytes && base < model[i].base + model[i].bytes)
			return &model[i];
	return NULL;
}

/* Ranges of both sorts over it: which of a graph's would go is not promised. */
static bool is_mixed(uint64_t base, uint64_t bytes)
{
	bool graphs = false, others = false;

	for (size_t i = 0; i < count; i++) {
		if (model[i].base >= base + bytes || base >= model[i].base + model[i].bytes)
			continue;
		graphs |= model[i].kind == VG_RANGE_GRAPH;
		others |= model[i].kind != VG_RANGE_GRAPH;
	}
	return graphs && others;
}

static bool add_to_model(uint64_t base, uint64_t bytes, enum vg_range_kind kind, uint32_t owner)
{
	struct vg_range *old;

	while ((old = in_model(base, bytes)) && old->kind == VG_RANGE_GRAPH)
		*old = model[--count];
	if (old)
		return false;
	model[count++] = (struct vg_range){
		.base = base, .bytes = bytes, .kind = kind, .owner = owner,
	};
	return true;
}

static void look(uint64_t p)
{
	const struct vg_range *want = in_model(p, 1);
	struct vg_range got;

	assert_int_equal(vg_range_find(p, &got), want != NULL);
	if (!want)
		return;
	assert_int_equal(got.base, want->base);
	assert_int_equal(got.bytes, want->bytes);
	assert_int_equal(got.kind, want->kind);
	assert_int_equal(got.owner, want->owner);
}

static void as_the_model(void **state)
{
	static const enum vg_range_kind kinds[] = { VG_RANGE_GLOBAL, VG_RANGE_MAPPED,
						    VG_RANGE_GRAPH };
	struct vg_range got, *want;

	(void)state;
	srandom(1);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t base = 1 + random() % SPACE, bytes = 1 + random() % MOST;
		enum vg_range_kind kind = kinds[random() % 3];
		uint32_t owner = kind == VG_RANGE_GRAPH ? 0 : 1 + random() % 50;
		CUresult r;

		switch (random() % 8) {
		case 0 ... 3:
			if (is_mixed(base, bytes))
				break;
			r = kind == VG_RANGE_GRAPH ? vg_range_add_graph(base, bytes, 0) :
			    kind == VG_RANGE_GLOBAL ? vg_range_add_global(base, bytes, owner) :
						      vg_range_add_mapped(base, bytes, owner, 0, 0);
			assert_int_equal(!r, add_to_model(base, bytes, kind, owner));
			break;
		case 4 ... 6:
			want = in_model(base, 1);
			if (want && want->base != base && random() % 2)
				base = want->base;
			if (want && (want->base != base || want->kind != kind))
				want = NULL;
			assert_int_equal(vg_range_remove(base, 1u << kind, &got), want != NULL);
			if (want)
				*want = model[--count];
			break;
		default:
			if (random() % 20)
				break;
			vg_range_forget(owner);
			for (size_t k = 0; k < count;) {
				if (model[k].owner == owner)
					model[k] = model[--count];
				else
					k++;
			}
		}
		look(1 + random() % (SPACE + MOST));
	}
	for (uint64_t p = 0; p < SPACE + 2 * MOST; p++)
		look(p);
}

/* At either end of the address space nothing is found that is not there. */
static void at_the_ends(void **state)
{
	struct vg_range got;

	(void)state;
	vg_range_forget(0);
	assert_false(vg_range_find(0, &got));
	assert_false(vg_range_find(UINT64_MAX, &got));
	assert_int_equal(vg_range_add_global(UINT64_MAX - 15, 15, 1), CUDA_SUCCESS);
	assert_true(vg_range_find(UINT64_MAX - 1, &got));
	assert_false(vg_range_find(UINT64_MAX, &got));
	assert_false(vg_range_remove(UINT64_MAX - 1, ~0u, &got));
	assert_true(vg_range_remove(UINT64_MAX - 15, ~0u, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_model),
		cmocka_unit_test(at_the_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
