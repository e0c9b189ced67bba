// SPDX-License-Identifier: Apache-2.0
/*
 * Launches as they were before CUDA 4: block shape, shared memory and parameters
 * are set on the function, call by call, and belong to all threads.
 */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

#define BYTES_MAX 4096u			/* of parameters, what such launches may have */

struct vg_old_launch {
	unsigned int block[3], shared, bytes;
	_Alignas(16) uint8_t params[BYTES_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all functions' */

void vg_old_launch_free(struct vg_old_launch *l)
{
	free(l);
}

/* Locks, if there is no error. */
static CUresult get(CUfunction function, struct vg_old_launch **l)
{
	struct vg_object *o = vg_object_get(function, VG_FUNCTION);
	struct vg_function *f;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	f = o->data;
	pthread_mutex_lock(&lock);
	if (!f->old)
		f->old = calloc(1, sizeof(*f->old));
	*l = f->old;
	if (!*l)
		pthread_mutex_unlock(&lock);
	return *l ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vgh_cuFuncSetBlockShape(CUfunction f, int x, int y, int z)
{
	struct vg_old_launch *l;
	CUresult r;

	if (x <= 0 || y <= 0 || z <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	r = get(f, &l);
	if (r)
		return r;
	if (x > vg_attribute(vg_current()->device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X) ||
	    y > vg_attribute(vg_current()->device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y) ||
	    z > vg_attribute(vg_current()->device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z)) {
		pthread_mutex_unlock(&lock);
		return CUDA_ERROR_INVALID_VALUE;
	}
	l->block[0] = x;
	l->block[1] = y;
	l->block[2] = z;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult vgh_cuFuncSetSharedSize(CUfunction f, unsigned int bytes)
{
	struct vg_old_launch *l;
	CUresult r = get(f, &l);

	if (r)
		return r;
	if (bytes > (unsigned int)vg_attribute(vg_current()->device,
					       CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK))
		r = CUDA_ERROR_INVALID_VALUE;
	else
		l->shared = bytes;
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuParamSetSize(CUfunction f, unsigned int bytes)
{
	struct vg_old_launch *l;
	CUresult r;

	if (bytes > BYTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	r = get(f, &l);
	if (r)
		return r;
	l->bytes = bytes;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult vgh_cuParamSetv(CUfunction f, int offset, void *data, unsigned int bytes)
{
	struct vg_old_launch *l;
	CUresult r;

	if (offset < 0 || (unsigned int)offset > BYTES_MAX || bytes > BYTES_MAX - offset ||
	    (bytes && !data))
		return CUDA_ERROR_INVALID_VALUE;
	r = get(f, &l);
	if (r)
		return r;
	if (bytes)
		memcpy(l->params + offset, data, bytes);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult vgh_cuParamSeti(CUfunction f, int offset, unsigned int value)
{
	return vgh_cuParamSetv(f, offset, &value, sizeof(value));
}

CUresult vgh_cuParamSetf(CUfunction f, int offset, float value)
{
	return vgh_cuParamSetv(f, offset, &value, sizeof(value));
}

CUresult vgh_cuLaunchGridAsync(CUfunction f, int width, int height, CUstream s)
{
	struct vg_old_launch *l, now;
	size_t bytes;
	void *extra[] = {
		CU_LAUNCH_PARAM_BUFFER_POINTER, now.params,
		CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END,
	};
	CUresult r;

	if (width <= 0 || height <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	r = get(f, &l);
	if (r)
		return r;
	/* Such launches are older than the error for what has lost its context. */
	if (s && s != CU_STREAM_LEGACY && s != CU_STREAM_PER_THREAD &&
	    !vg_object_get(s, VG_STREAM)) {
		pthread_mutex_unlock(&lock);
		return CUDA_ERROR_INVALID_HANDLE;
	}
	now = *l;
	pthread_mutex_unlock(&lock);
	bytes = now.bytes;
	return vgh_cuLaunchKernel(f, width, height, 1, now.block[0], now.block[1], now.block[2],
				  now.shared, s, NULL, bytes ? extra : NULL);
}

CUresult vgh_cuLaunchGrid(CUfunction f, int width, int height)
{
	return vgh_cuLaunchGridAsync(f, width, height, NULL);
}

CUresult vgh_cuLaunch(CUfunction f)
{
	return vgh_cuLaunchGrid(f, 1, 1);
}
