// SPDX-License-Identifier: Apache-2.0
/* cuGetExportTable, for programs on NVIDIA's runtime: common/export_tables.c has the tables. */
#include <stdlib.h>

#include "api.h"
#include "common/export_tables.h"
#include "log.h"

CUresult vg_export_refuse(const char *name, const char *why)
{
	static atomic_bool said;

	if (!atomic_exchange(&said, true))
		sg_log("%s is not supported: %s", name, why);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vg_export_primary(CUcontext *ctx, CUdevice dev)
{
	SG_NEED_INIT();
	return sg_primary_handle(ctx, dev);
}

const void *vg_export_owner(CUcontext ctx)
{
	return sg_context_check(ctx ? ctx : sg_current_or_null());
}

SG_API CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
	if (!table || !id)
		return CUDA_ERROR_INVALID_VALUE;
	*table = vg_export_table(id);
	return *table ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
