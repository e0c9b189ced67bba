// SPDX-License-Identifier: Apache-2.0
/* The just-in-time compiler's options and logs. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls_jit.h"
#include "vg_cuda.h"

#define LOG_MAX		(1u << 20)
#define LOGS_KEPT	16u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* the logs */
static struct vg_x_jit_log logs[LOGS_KEPT];
static unsigned int next;

static void add(struct vg_x_jit *o, CUjit_option key, uint64_t value)
{
	o->key[o->count] = key;
	o->value[o->count++] = (void *)(uintptr_t)value;
}

CUresult vg_x_jit_take(struct vg_x_jit *o, const unsigned int *keys, const uint64_t *values,
		       unsigned int count, uint32_t log)
{
	*o = (struct vg_x_jit){ .log.key = log, .size_at = { -1, -1 }, .time_at = -1 };
	for (unsigned int i = 0; i < count; i++) {
		int which = keys[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES;

		switch (keys[i]) {
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			/* What has no log of its own, as one input of a link, gets none. */
			if (!log || o->log.text[which] || !values[i] || values[i] > LOG_MAX)
				return CUDA_ERROR_INVALID_VALUE;
			o->log.text[which] = calloc(1, values[i]);
			if (!o->log.text[which])
				return CUDA_ERROR_OUT_OF_MEMORY;
			o->log.bytes[which] = values[i];
			add(o, which ? CU_JIT_INFO_LOG_BUFFER : CU_JIT_ERROR_LOG_BUFFER,
			    (uintptr_t)o->log.text[which]);
			o->size_at[which] = o->count;
			add(o, keys[i], values[i]);
			break;
		case CU_JIT_MAX_REGISTERS:
		case CU_JIT_THREADS_PER_BLOCK:
		case CU_JIT_OPTIMIZATION_LEVEL:
		case CU_JIT_TARGET_FROM_CUCONTEXT:
		case CU_JIT_TARGET:
		case CU_JIT_FALLBACK_STRATEGY:
		case CU_JIT_GENERATE_DEBUG_INFO:
		case CU_JIT_LOG_VERBOSE:
		case CU_JIT_GENERATE_LINE_INFO:
		case CU_JIT_CACHE_MODE:
		case CU_JIT_FAST_COMPILE:
		case CU_JIT_LTO:
		case CU_JIT_FTZ:
		case CU_JIT_PREC_DIV:
		case CU_JIT_PREC_SQRT:
		case CU_JIT_FMA:
		case CU_JIT_OPTIMIZE_UNUSED_DEVICE_VARIABLES:
		case CU_JIT_POSITION_INDEPENDENT_CODE:
		case CU_JIT_MIN_CTA_PER_SM:
		case CU_JIT_MAX_THREADS_PER_BLOCK:
		case CU_JIT_OVERRIDE_DIRECTIVE_VALUES:
			add(o, keys[i], values[i]);
			break;
		default:
			return CUDA_ERROR_NOT_SUPPORTED;
		}
	}
	if (log) {
		o->time_at = o->count;
		add(o, CU_JIT_WALL_TIME, 0);
	}
	return CUDA_SUCCESS;
}

/* How long the driver says that the logs have become. */
static void measure(const struct vg_x_jit *o, struct vg_x_jit_log *log)
{
	for (int k = 0; k < 2; k++) {
		uint32_t said;

		if (o->size_at[k] < 0)
			continue;
		said = (uint32_t)(uintptr_t)o->value[o->size_at[k]];
		if (said < log->bytes[k])
			log->bytes[k] = said;
	}
	if (o->time_at >= 0)
		memcpy(&log->wall_time, &o->value[o->time_at], sizeof(float));
}

/* The newest of its number takes the place of an older, or of the oldest of all. */
static void replace(const struct vg_x_jit_log *log)
{
	struct vg_x_jit_log *old = NULL;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < LOGS_KEPT; i++)
		if (logs[i].key == log->key)
			old = &logs[i];
	if (!old)
		old = &logs[next++ % LOGS_KEPT];
	free(old->text[0]);
	free(old->text[1]);
	*old = *log;
	pthread_mutex_unlock(&lock);
}

void vg_x_jit_keep(struct vg_x_jit *o)
{

	measure(o, &o->log);
	if (!o->log.key) {
		free(o->log.text[0]);
		free(o->log.text[1]);
		return;
	}
	replace(&o->log);
}

void vg_x_jit_show(const struct vg_x_jit *o)
{
	struct vg_x_jit_log copy = o->log;

	if (!copy.key)
		return;
	measure(o, &copy);
	for (int k = 0; k < 2; k++) {
		copy.text[k] = copy.bytes[k] ? calloc(1, copy.bytes[k]) : NULL;
		if (copy.text[k])
			memcpy(copy.text[k], o->log.text[k], copy.bytes[k]);
		else
			copy.bytes[k] = 0;
	}
	replace(&copy);
}

CUresult vge_vgpu_jit_log(struct vg_exec *x, const struct vg_req *rq, unsigned int key,
			  unsigned int which, unsigned int offset, unsigned int bytes,
			  vgpu_jit_sizes *sizes, void *text)
{
	CUresult r = CUDA_ERROR_NOT_FOUND;

	(void)x;
	(void)rq;
	if (which > 1)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; key && i < LOGS_KEPT; i++) {
		const struct vg_x_jit_log *l = &logs[i];

		if (l->key != key)
			continue;
		sizes->error_bytes = l->bytes[0];
		sizes->info_bytes = l->bytes[1];
		sizes->wall_time = l->wall_time;
		r = CUDA_ERROR_INVALID_VALUE;
		if (bytes > l->bytes[which] || offset > l->bytes[which] - bytes)
			break;
		if (bytes)
			memcpy(text, l->text[which] + offset, bytes);
		r = CUDA_SUCCESS;
		break;
	}
	pthread_mutex_unlock(&lock);
	return r;
}
