// SPDX-License-Identifier: Apache-2.0
/* What links and ranges of virtual memory take of the budget (budget.h), and give back. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "calls.h"
#include "common/socket_proto.h"
#include "vg_cuda.h"

/* -- the driver: it takes everything, or refuses all */

struct vg_cuda cu;
static CUresult answer;
static CUdeviceptr next_address;
static size_t cubin_bytes;
static unsigned int options;		/* that the driver was given last */

static CUresult link_create(unsigned int n, CUjit_option *o, void **v, CUlinkState *state)
{
	(void)o;
	(void)v;
	options = n;
	*state = (CUlinkState)&cu;
	return answer;
}

static CUresult link_add(CUlinkState state, CUjitInputType type, void *data, size_t bytes,
			 const char *name, unsigned int n, CUjit_option *o, void **v)
{
	(void)state;
	(void)type;
	(void)data;
	(void)bytes;
	(void)name;
	(void)o;
	(void)v;
	options = n;
	return answer;
}

static CUresult link_complete(CUlinkState state, void **cubin, size_t *bytes)
{
	(void)state;
	*cubin = &cu;
	*bytes = cubin_bytes;
	return answer;
}

static CUresult link_destroy(CUlinkState state)
{
	(void)state;
	return CUDA_SUCCESS;
}

static CUresult reserve(CUdeviceptr *ptr, size_t size, size_t align, CUdeviceptr addr,
			unsigned long long flags)
{
	(void)align;
	(void)addr;
	(void)flags;
	*ptr = next_address += size;
	return answer;
}

static CUresult unreserve(CUdeviceptr ptr, size_t size)
{
	(void)ptr;
	(void)size;
	return answer;
}

static CUresult create(CUmemGenericAllocationHandle *h, size_t size, const CUmemAllocationProp *p,
		       unsigned long long flags)
{
	(void)size;
	(void)p;
	(void)flags;
	*h = 1;
	return CUDA_SUCCESS;
}

static CUresult release(CUmemGenericAllocationHandle h)
{
	(void)h;
	return CUDA_SUCCESS;
}

static CUresult map(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle h,
		    unsigned long long flags)
{
	(void)ptr;
	(void)size;
	(void)offset;
	(void)h;
	(void)flags;
	return answer;
}

static int set_up(void **state)
{
	(void)state;
	answer = CUDA_SUCCESS;
	cu.cuLinkCreate_v2 = link_create;
	cu.cuLinkAddData_v2 = link_add;
	cu.cuLinkComplete = link_complete;
	cu.cuLinkDestroy = link_destroy;
	cu.cuMemAddressReserve = reserve;
	cu.cuMemAddressFree = unreserve;
	cu.cuMemCreate = create;
	cu.cuMemRelease = release;
	cu.cuMemMap = map;
	cu.cuMemUnmap = unreserve;
	return 0;
}

/* -- the executor, as far as these calls need it */

struct vg_handles *vg_exec_handles(struct vg_exec *x)
{
	(void)x;
	return NULL;
}

bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	(void)h;
	(void)id;
	(void)kind;
	(void)value;
	return false;
}

uint32_t vg_x_home(uint32_t ctx)
{
	return ctx;
}

bool vg_exec_charge(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
	return true;
}

void vg_exec_uncharge(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
}

CUresult vg_exec_offer(struct vg_exec *x, enum vg_token_kind kind, uint64_t bytes, const void *data,
		       size_t data_bytes, int fd, vgpu_token *token)
{
	(void)x;
	(void)kind;
	(void)bytes;
	(void)data;
	(void)data_bytes;
	(void)fd;
	(void)token;
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vg_exec_take(struct vg_exec *x, enum vg_token_kind kind, const vgpu_token *token,
		      uint64_t *bytes, void *data, size_t data_bytes, int *fd)
{
	(void)x;
	(void)kind;
	(void)token;
	(void)bytes;
	(void)data;
	(void)data_bytes;
	(void)fd;
	return CUDA_ERROR_NOT_SUPPORTED;
}

void vg_exec_leave(struct vg_exec *x, const vgpu_token *token)
{
	(void)x;
	(void)token;
}

void vg_exec_withdraw(struct vg_exec *x, const vgpu_token *token)
{
	(void)x;
	(void)token;
}

/* -- the tests */

#define PART (512ull << 20)		/* as long as an image may be */

static const struct vg_req rq;		/* with no context current */

static CUresult add(CUlinkState l, size_t bytes)
{
	/* Of a library's bytes nothing is looked at. */
	return vge_vgpu_link_add(NULL, &rq, l, CU_JIT_INPUT_LIBRARY, "part", NULL, NULL, 0, "",
				 bytes);
}

static CUlinkState link_with_logs(unsigned int log_bytes, CUresult expected)
{
	const unsigned int keys[] = {
		CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
	};
	const uint64_t values[] = { log_bytes, log_bytes };
	CUlinkState l = NULL;

	assert_int_equal(vge_vgpu_link_create(NULL, &rq, &l, !!log_bytes, keys, values,
					      log_bytes ? 2 : 0),
			 expected);
	return l;
}

/* Of several links together, and they give back what they held. */
static void images_of_links(void **state)
{
	const uint64_t most = VG_IMAGES_MAX / PART;
	CUlinkState l[2] = { link_with_logs(0, CUDA_SUCCESS), link_with_logs(0, CUDA_SUCCESS) };
	uint64_t bytes;

	(void)state;
	answer = CUDA_ERROR_INVALID_IMAGE;
	for (uint64_t i = 0; i <= most; i++)
		assert_int_equal(add(l[0], PART), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 0);
	answer = CUDA_SUCCESS;
	for (uint64_t i = 0; i < most; i++)
		assert_int_equal(add(l[i % 2], PART), CUDA_SUCCESS);
	assert_int_equal(add(l[0], 1), CUDA_ERROR_OUT_OF_MEMORY);
	cubin_bytes = 1;
	assert_int_equal(vge_vgpu_link_complete(NULL, &rq, l[0], &bytes),
			 CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(bytes, 0);
	assert_int_equal(vge_vgpu_link_destroy(NULL, &rq, l[1]), CUDA_SUCCESS);
	cubin_bytes = 4096;
	assert_int_equal(vge_vgpu_link_complete(NULL, &rq, l[0], &bytes), CUDA_SUCCESS);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), most / 2 * PART + 4096);
	/* One that goes with its context. */
	vg_x_link_gone(l[0]);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 0);
}

static void logs_of_links(void **state)
{
	CUlinkState l = link_with_logs(1 << 20, CUDA_SUCCESS);

	(void)state;
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 2 << 20);
	answer = CUDA_ERROR_INVALID_CONTEXT;
	link_with_logs(1 << 20, CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 2 << 20);
	answer = CUDA_SUCCESS;
	assert_true(vg_budget_take(VG_BUDGET_IMAGES, VG_IMAGES_MAX - (2 << 20)));
	link_with_logs(1 << 20, CUDA_ERROR_OUT_OF_MEMORY);
	vg_budget_give(VG_BUDGET_IMAGES, VG_IMAGES_MAX - (2 << 20));
	assert_int_equal(vge_vgpu_link_destroy(NULL, &rq, l), CUDA_SUCCESS);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 0);
}

/* The driver would go on writing to the log of an input after the call; it refuses one, too. */
static void options_of_inputs(void **state)
{
	static const unsigned int refused[] = {
		CU_JIT_WALL_TIME, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
		CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
		CU_JIT_GLOBAL_SYMBOL_NAMES, CU_JIT_GLOBAL_SYMBOL_ADDRESSES,
		CU_JIT_GLOBAL_SYMBOL_COUNT, CU_JIT_REFERENCED_KERNEL_NAMES,
		CU_JIT_REFERENCED_VARIABLE_NAMES, CU_JIT_NUM_OPTIONS, UINT32_MAX,
	};
	const unsigned int plain = CU_JIT_OPTIMIZATION_LEVEL;
	const uint64_t value = 3;
	CUlinkState l = link_with_logs(0, CUDA_SUCCESS), other = NULL;

	(void)state;
	options = 0;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		assert_int_not_equal(vge_vgpu_link_add(NULL, &rq, l, CU_JIT_INPUT_LIBRARY, "part",
						       &refused[i], &value, 1, "", 1),
				     CUDA_SUCCESS);
		assert_int_not_equal(vge_vgpu_link_create(NULL, &rq, &other, 0, &refused[i],
							  &value, 1), CUDA_SUCCESS);
	}
	assert_int_equal(options, 0);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 0);
	assert_int_equal(vge_vgpu_link_add(NULL, &rq, l, CU_JIT_INPUT_LIBRARY, "part", &plain,
					   &value, 1, "", 1), CUDA_SUCCESS);
	assert_int_equal(options, 1);
	assert_int_equal(vge_vgpu_link_destroy(NULL, &rq, l), CUDA_SUCCESS);
}

static CUresult map_at(uint64_t i, CUmemGenericAllocationHandle h)
{
	return vge_cuMemMap(NULL, NULL, (i + 1) * 4096, 4096, 0, h, 0);
}

static void reservations_and_mappings(void **state)
{
	const uint64_t most = VG_OBJECTS_MAX / VG_RANGE_BYTES, half = most / 2;
	CUmemGenericAllocationHandle h;
	CUdeviceptr at, first = 0;

	(void)state;
	assert_int_equal(vge_vgpu_mem_create(NULL, NULL, &h, 4096, 0, 0, 0, 0), CUDA_SUCCESS);
	answer = CUDA_ERROR_INVALID_VALUE;
	assert_int_equal(vge_cuMemAddressReserve(NULL, NULL, &at, 4096, 0, 0, 0),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(map_at(0, h), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), 0);
	answer = CUDA_SUCCESS;
	for (uint64_t i = 0; i < half; i++) {
		assert_int_equal(vge_cuMemAddressReserve(NULL, NULL, &at, 4096, 0, 0, 0),
				 CUDA_SUCCESS);
		first = first ? first : at;
		assert_int_equal(map_at(i, h), CUDA_SUCCESS);
	}
	assert_int_equal(vge_cuMemAddressReserve(NULL, NULL, &at, 4096, 0, 0, 0),
			 CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(map_at(half, h), CUDA_ERROR_OUT_OF_MEMORY);
	/* What the driver does not let go of stays counted. */
	answer = CUDA_ERROR_INVALID_VALUE;
	assert_int_equal(vge_cuMemAddressFree(NULL, NULL, first, 4096), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), VG_OBJECTS_MAX);
	answer = CUDA_SUCCESS;
	assert_int_equal(vge_cuMemAddressFree(NULL, NULL, first, 4096), CUDA_SUCCESS);
	assert_int_equal(vge_cuMemUnmap(NULL, NULL, 4096, half * 4096), CUDA_SUCCESS);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), (half - 1) * VG_RANGE_BYTES);
	/* The last first, because what lies behind in the list moves up. */
	for (at = next_address; at > first; at -= 4096)
		vge_cuMemAddressFree(NULL, NULL, at, 4096);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(images_of_links, set_up),
		cmocka_unit_test_setup(logs_of_links, set_up),
		cmocka_unit_test_setup(options_of_inputs, set_up),
		cmocka_unit_test_setup(reservations_and_mappings, set_up),
	};

	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
