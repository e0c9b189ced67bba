// SPDX-License-Identifier: Apache-2.0
/* What is remembered of device memory, with a driver and an account of the test's own. */
#include "unit.h"

#include "calls.h"
#include "vg_cuda.h"

struct vg_cuda cu;

#define BLOCK	0x200000200ull
#define BYTES	4096u

static uint64_t charged, limit;
static unsigned int blocks;		/* that the driver has at BLOCK */
static void (*meanwhile)(void);		/* another thread, while this one charges */

/* -- what calls_memory.c needs of the others: one context, in which nothing is shared */

bool vg_exec_charge(struct vg_exec *x, uint64_t bytes)
{
	void (*then)(void) = meanwhile;

	(void)x;
	meanwhile = NULL;
	if (then)
		then();
	if (charged + bytes > limit)
		return false;
	charged += bytes;
	return true;
}

void vg_exec_uncharge(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	assert_true(bytes <= charged);
	charged -= bytes;
}

void vg_exec_unsettled(struct vg_exec *x)
{
	(void)x;
}

void vg_exec_settle_memory(struct vg_exec *x, bool at_once)
{
	(void)x;
	(void)at_once;
}

bool vg_exec_wait_for_ending(struct vg_exec *x)
{
	(void)x;
	return false;
}

void vg_exec_memory(struct vg_exec *x, uint64_t *used, uint64_t *most)
{
	(void)x;
	*used = charged;
	*most = limit;
}

uint32_t vg_x_home(uint32_t ctx)
{
	return ctx;
}

bool vg_x_refused(CUresult r)
{
	return r;
}

void vg_x_late_gone(struct vg_exec *x, uint32_t ctx)
{
	(void)x;
	(void)ctx;
}

void vg_x_unshare(struct vg_exec *x, enum vg_token_kind kind, uint64_t what)
{
	(void)x;
	(void)kind;
	(void)what;
}

void vg_x_unshare_context(struct vg_exec *x, uint32_t ctx)
{
	(void)x;
	(void)ctx;
}

/* -- the driver: a block, always at the same place */

static CUresult driver_alloc(CUdeviceptr *p, size_t bytes)
{
	(void)bytes;
	*p = BLOCK;
	blocks++;
	return CUDA_SUCCESS;
}

static CUresult driver_free(CUdeviceptr p)
{
	if (p != BLOCK || !blocks)
		return CUDA_ERROR_INVALID_VALUE;
	blocks--;
	return CUDA_SUCCESS;
}

static const struct vg_req in_a_context = { .ctx = 1 };

static CUresult alloc(void)
{
	CUdeviceptr p;

	return vge_cuMemAlloc_v2(NULL, &in_a_context, &p, BYTES);
}

static CUresult release(void)
{
	return vge_cuMemFree_v2(NULL, &in_a_context, BLOCK);
}

static int set_up(void **state)
{
	(void)state;
	cu.cuMemAlloc_v2 = driver_alloc;
	cu.cuMemFree_v2 = driver_free;
	charged = blocks = 0;
	limit = VG_X_PIECE;
	meanwhile = NULL;
	return 0;
}

static void small_blocks_are_charged(void **state)
{
	(void)state;
	assert_int_equal(alloc(), CUDA_SUCCESS);
	assert_int_equal(charged, VG_X_PIECE);
	assert_int_equal(release(), CUDA_SUCCESS);
	assert_int_equal(charged, 0);
	limit = 0;
	assert_int_equal(alloc(), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(blocks, 0);
	assert_int_equal(release(), CUDA_ERROR_INVALID_VALUE);
}

static void free_early(void)
{
	assert_int_equal(release(), CUDA_ERROR_INVALID_VALUE);
}

/* A program can guess the address that it will be answered, and free it on another thread. */
static void nothing_is_freed_before_it_is_charged(void **state)
{
	(void)state;
	limit = 0;
	meanwhile = free_early;
	assert_int_equal(alloc(), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(blocks, 0);
	limit = VG_X_PIECE;
	meanwhile = free_early;
	assert_int_equal(alloc(), CUDA_SUCCESS);
	assert_int_equal(blocks, 1);
	assert_int_equal(charged, VG_X_PIECE);
	assert_int_equal(release(), CUDA_SUCCESS);
	assert_int_equal(charged, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(small_blocks_are_charged, set_up),
		cmocka_unit_test_setup(nothing_is_freed_before_it_is_charged, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
