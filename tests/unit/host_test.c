// SPDX-License-Identifier: Apache-2.0
/* What is remembered of registered memory, with a driver of the test's own. */
#include "unit.h"

#include "calls.h"
#include "vg_cuda.h"

struct vg_cuda cu;

#define VA	0x7d0000000000ull
#define BYTES	65536u

/* -- what calls_host.c needs of the others: all memory is the guest's, and nothing is captured */

bool vg_exec_shared(struct vg_exec *x, uint64_t va, uint64_t bytes)
{
	(void)x;
	(void)va;
	(void)bytes;
	return true;
}

bool vg_x_next(struct vg_exec *x, enum vg_kind kind, uint32_t *id, uint64_t *value)
{
	(void)x;
	(void)kind;
	(void)id;
	(void)value;
	return false;
}

CUresult vg_x_may_copy_pageable(CUstream s)
{
	(void)s;
	return CUDA_SUCCESS;
}

void vg_exec_before_move(struct vg_exec *x)
{
	(void)x;
}

void vg_exec_moved(struct vg_exec *x, uint64_t in, uint64_t out)
{
	(void)x;
	(void)in;
	(void)out;
}

void vg_exec_moved_direct(struct vg_exec *x, uint64_t in, uint64_t out)
{
	(void)x;
	(void)in;
	(void)out;
}

void vg_x_pace_copy(size_t bytes)
{
	(void)bytes;
}

void vg_x_pace_copied(size_t bytes)
{
	(void)bytes;
}

/* -- the driver: one range, and who comes in as soon as it has let go */

static bool registered;
static void (*meanwhile)(void);

static CUresult driver_register(void *p, size_t bytes, unsigned int flags)
{
	(void)p;
	(void)bytes;
	(void)flags;
	if (registered)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	registered = true;
	return CUDA_SUCCESS;
}

static CUresult driver_unregister(void *p)
{
	void (*then)(void) = meanwhile;

	(void)p;
	if (!registered)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	registered = false;
	meanwhile = NULL;
	if (then)
		then();
	return CUDA_SUCCESS;
}

static CUresult driver_pointer(CUdeviceptr *dptr, void *p, unsigned int flags)
{
	(void)flags;
	*dptr = (uintptr_t)p;
	return CUDA_SUCCESS;
}

static void host_register(void)
{
	CUdeviceptr dptr;

	assert_int_equal(vge_vgpu_host_register(NULL, NULL, VA, BYTES, 0, &dptr), CUDA_SUCCESS);
}

/* -- the tests */

static void ends_with_the_memory(void **state)
{
	(void)state;
	host_register();
	assert_true(vg_x_registered(VA, BYTES));
	assert_int_equal(vg_x_registrations_end(NULL, VA, BYTES), CUDA_SUCCESS);
	assert_false(registered);
	assert_false(vg_x_registered(VA, BYTES));
}

/*
 * The ring's thread registers memory again between the driver's end of the first
 * registration and what the unregistering thread does after it.  The second must not be
 * forgotten: the memory would go back to the guest with the driver's hold on it.
 */
static void registered_again_meanwhile(void **state)
{
	(void)state;
	host_register();
	meanwhile = host_register;
	assert_int_equal(vge_vgpu_host_unregister(NULL, NULL, VA), CUDA_SUCCESS);
	assert_true(registered);
	assert_true(vg_x_registered(VA, BYTES));
	assert_int_equal(vg_x_registrations_end(NULL, VA, BYTES), CUDA_SUCCESS);
	assert_false(registered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_with_the_memory),
		cmocka_unit_test(registered_again_meanwhile),
	};

	cu.cuMemHostRegister_v2 = driver_register;
	cu.cuMemHostUnregister = driver_unregister;
	cu.cuMemHostGetDevicePointer_v2 = driver_pointer;
	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
