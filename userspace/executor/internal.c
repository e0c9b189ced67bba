// SPDX-License-Identifier: Apache-2.0
/* The channel's own operations (common/ops_internal.h). */
#include <stdlib.h>
#include <unistd.h>

#include "exec_internal.h"

CUresult vg_internal_hello(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_hello *hello = rq->payload;
	struct vg_hello_reply *reply = rp->payload;

	reply->version = VG_WIRE_VERSION;
	reply->driver = x->driver_version;
	rp->bytes = sizeof(*reply);
	return hello->version == VG_WIRE_VERSION ? CUDA_SUCCESS :
						   CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
}

CUresult vg_internal_blob_append(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_blob_append *piece = rq->payload;
	const void *data = vg_exec_arena(x, piece->off, piece->bytes);

	(void)rp;
	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	return vg_blobs_append(x->blobs, piece, data);
}

CUresult vg_internal_nop(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	(void)x;
	(void)rq;
	(void)rp;
	return CUDA_SUCCESS;
}

CUresult vg_internal_exit(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	(void)x;
	(void)rq;
	(void)rp;
	/* The driver's own clean-up is the end of the process. */
	_exit(EXIT_SUCCESS);
}
