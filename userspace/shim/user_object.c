// SPDX-License-Identifier: Apache-2.0
/* User objects: the references are counted by the executor, the destructor runs here. */
#include <limits.h>

#include "callback.h"
#include "client.h"
#include "shim.h"
#include "shim_calls.h"

CUresult vgh_cuUserObjectCreate(CUuserObject *out, void *data, CUhostFn destroy,
				unsigned int count, unsigned int flags)
{
	uint32_t cookie;
	CUresult r;

	if (!out || !destroy || !count || count > INT_MAX ||
	    flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_callback_new(destroy, data, &cookie);
	if (r)
		return r;
	r = vgw_vgpu_user_object(out, cookie, count);
	if (r)
		vg_callback_drop(cookie);
	else
		vg_callback_ends(cookie, (struct vg_object *)*out);
	return r;
}
