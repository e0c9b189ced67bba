// SPDX-License-Identifier: Apache-2.0
/*
 * Options of the just-in-time compiler.  A log buffer is the program's memory:
 * the executor compiles into a buffer of its own of the same size, kept under
 * the number `log`, and the text is fetched afterwards.
 */
#include "client.h"
#include "jit.h"
#include "shim_calls.h"

#define LOG_MAX		(1u << 20)
#define LOG_PIECE	3900u		/* of vgpu_jit_log */

static _Atomic uint32_t next_log = 1;

CUresult vg_jit_start(struct vg_jit *j, unsigned int count, const CUjit_option *options,
		      void **values)
{
	*j = (struct vg_jit){ 0 };
	if (count && (!options || !values))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		uint64_t v = (uintptr_t)values[i];

		switch (options[i]) {
		case CU_JIT_INFO_LOG_BUFFER:
			j->buffer[1] = values[i];
			continue;
		case CU_JIT_ERROR_LOG_BUFFER:
			j->buffer[0] = values[i];
			continue;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			j->room[1] = (unsigned int)v;
			j->size_out[1] = &values[i];
			continue;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			j->room[0] = (unsigned int)v;
			j->size_out[0] = &values[i];
			continue;
		case CU_JIT_WALL_TIME:
			j->wall_time = &values[i];
			continue;
		case CU_JIT_GLOBAL_SYMBOL_NAMES:
		case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
		case CU_JIT_GLOBAL_SYMBOL_COUNT:
		case CU_JIT_REFERENCED_KERNEL_NAMES:
		case CU_JIT_REFERENCED_KERNEL_COUNT:
		case CU_JIT_REFERENCED_VARIABLE_NAMES:
		case CU_JIT_REFERENCED_VARIABLE_COUNT:
			return vg_refuse("a JIT option that names symbols", "not implemented");
		default:
			break;
		}
		if (j->count == VG_JIT_OPTIONS)
			return CUDA_ERROR_INVALID_VALUE;
		j->options[j->count] = options[i];
		j->values[j->count++] = v;
	}
	for (int k = 0; k < 2; k++) {
		if (!j->buffer[k])
			j->room[k] = 0;
		if (j->room[k] > LOG_MAX)
			j->room[k] = LOG_MAX;
		if (!j->room[k])
			continue;
		if (j->count == VG_JIT_OPTIONS)
			return CUDA_ERROR_INVALID_VALUE;
		j->options[j->count] = k ? CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES :
					   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES;
		j->values[j->count++] = j->room[k];
	}
	if (j->room[0] || j->room[1] || j->wall_time)
		j->log = atomic_fetch_add(&next_log, 1);
	return CUDA_SUCCESS;
}

void vg_jit_finish(struct vg_jit *j)
{
	struct vgpu_jit_sizes sizes;
	char piece[LOG_PIECE];

	if (!j->log || vgw_vgpu_jit_log(j->log, 0, 0, 0, &sizes, piece))
		return;
	for (int k = 0; k < 2; k++) {
		unsigned int have = k ? sizes.info_bytes : sizes.error_bytes, at = 0;

		if (have > j->room[k])
			have = j->room[k];
		while (at < have) {
			unsigned int n = have - at < LOG_PIECE ? have - at : LOG_PIECE;

			if (vgw_vgpu_jit_log(j->log, k, at, n, &sizes, j->buffer[k] + at))
				break;
			at += n;
		}
		if (j->room[k])
			j->buffer[k][at < j->room[k] ? at : j->room[k] - 1] = '\0';
		if (j->size_out[k])
			*j->size_out[k] = (void *)(uintptr_t)at;
	}
	if (j->wall_time)
		memcpy(j->wall_time, &sizes.wall_time, sizeof(float));
}
