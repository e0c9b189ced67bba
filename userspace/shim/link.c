// SPDX-License-Identifier: Apache-2.0
/* Linking: the host's driver links, and what it made is fetched when it is complete. */
#include <stdlib.h>

#include "client.h"
#include "jit.h"
#include "shim.h"
#include "shim_calls.h"

#define PART 3900u		/* of vgpu_link_cubin */
#define INPUT_MAX 0x20000000u	/* of vgpu_link_add */

struct link {
	struct vg_jit jit;		/* the program's log buffers */
	void *cubin;
};

static void release(struct vg_object *o)
{
	struct link *l = o->data;

	if (l)
		free(l->cubin);
	free(l);
	o->data = NULL;
}

static struct link *link_of(CUlinkState state)
{
	struct vg_object *o = vg_object_get(state, VG_LINK_STATE);

	return o ? o->data : NULL;
}

CUresult vgh_cuLinkCreate_v2(unsigned int count, CUjit_option *options, void **values,
			     CUlinkState *state)
{
	struct link *l;
	CUresult r;

	if (!state)
		return CUDA_ERROR_INVALID_VALUE;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_jit_start(&l->jit, count, options, values);
	if (!r)
		r = vgw_vgpu_link_create(state, l->jit.log, l->jit.options, l->jit.values,
					 l->jit.count);
	if (r) {
		free(l);
		return r;
	}
	((struct vg_object *)*state)->data = l;
	((struct vg_object *)*state)->release = release;
	return CUDA_SUCCESS;
}

/* What NVIDIA's driver takes for a link, and refuses for one of its inputs (580.159). */
static bool of_link(unsigned int count, const CUjit_option *options)
{
	/* No option is there twice. */
	if (count > CU_JIT_NUM_OPTIONS)
		return true;
	for (unsigned int i = 0; options && i < count; i++)
		if (options[i] >= CU_JIT_WALL_TIME &&
		    options[i] <= CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
			return true;
	return false;
}

CUresult vgh_cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t bytes,
			      const char *name, unsigned int count, CUjit_option *options,
			      void **values)
{
	struct link *l = link_of(state);
	struct vg_jit jit;
	char *text = NULL;
	CUresult r;

	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!data || !bytes || bytes >= INPUT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (of_link(count, options))
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_jit_start(&jit, count, options, values);
	if (r)
		return r;
	/* PTX may come without the NUL by which the host finds its end. */
	if (type == CU_JIT_INPUT_PTX && ((char *)data)[bytes - 1]) {
		text = malloc(bytes + 1);
		if (!text)
			return CUDA_ERROR_OUT_OF_MEMORY;
		memcpy(text, data, bytes);
		text[bytes++] = '\0';
	}
	r = vgw_vgpu_link_add(state, type, name, jit.options, jit.values, jit.count,
			      text ? text : data, bytes);
	free(text);
	vg_jit_finish(&l->jit);
	return r;
}

CUresult vgh_cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path,
			      unsigned int count, CUjit_option *options, void **values)
{
	void *data;
	size_t bytes;
	CUresult r;

	if (!link_of(state))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_file(path, &data, &bytes);
	if (!r)
		r = vgh_cuLinkAddData_v2(state, type, data, bytes, path, count, options, values);
	else
		return r;
	free(data);
	return r;
}

CUresult vgh_cuLinkComplete(CUlinkState state, void **cubin, size_t *size)
{
	struct link *l = link_of(state);
	uint64_t bytes;
	CUresult r;

	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!cubin)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_link_complete(state, &bytes);
	vg_jit_finish(&l->jit);
	if (r)
		return r;
	free(l->cubin);
	l->cubin = bytes ? malloc(bytes) : NULL;
	if (!l->cubin)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint64_t at = 0; at < bytes && !r; at += PART)
		r = vgw_vgpu_link_cubin(state, at, bytes - at < PART ? bytes - at : PART,
					(uint8_t *)l->cubin + at);
	if (r)
		return r;
	*cubin = l->cubin;
	if (size)
		*size = bytes;
	return CUDA_SUCCESS;
}

CUresult vgh_cuLinkDestroy(CUlinkState state)
{
	return vgw_vgpu_link_destroy(state);
}
