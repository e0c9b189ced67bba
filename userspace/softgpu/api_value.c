// SPDX-License-Identifier: Apache-2.0
/* Values written and awaited in a stream. */
#include <unistd.h>

#include "api.h"

struct value_work {
	struct sg_work w;
	void *at;
	uint64_t value;
	unsigned int flags;
	bool wide;
};

static int run_write(struct sg_work *w)
{
	struct value_work *v = (struct value_work *)w;

	if (v->wide)
		__atomic_store_n((uint64_t *)v->at, v->value, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n((uint32_t *)v->at, (uint32_t)v->value, __ATOMIC_SEQ_CST);
	return 0;
}

static bool satisfied(const struct value_work *v)
{
	uint64_t have = v->wide ? __atomic_load_n((uint64_t *)v->at, __ATOMIC_SEQ_CST) :
			__atomic_load_n((uint32_t *)v->at, __ATOMIC_SEQ_CST);
	uint64_t diff = have - v->value;

	switch (v->flags & 3) {
	case CU_STREAM_WAIT_VALUE_GEQ:
		return (v->wide ? (int64_t)diff : (int32_t)diff) >= 0;
	case CU_STREAM_WAIT_VALUE_EQ:
		return v->wide ? !diff : !(uint32_t)diff;
	default:
		return have & v->value;
	}
}

static int run_wait_value(struct sg_work *w)
{
	struct value_work *v = (struct value_work *)w;

	for (unsigned int n = 0; !satisfied(v); n++) {
		if (atomic_load(&w->stream->ctx->dev->error))
			break;
		usleep(n < 100 ? 10 : 200);
	}
	return 0;
}

#define WAIT_FLAGS (CU_STREAM_WAIT_VALUE_FLUSH | 3u)	/* 3: how to compare */

static CUresult submit_value(CUstream stream, CUdeviceptr addr, uint64_t value, unsigned int flags,
			     bool wide, bool wait)
{
	struct value_work *v;
	CUstream s;
	CUresult rc;
	void *at;

	SG_ENTER(ctx);
	if (addr % (wide ? 8 : 4) || (wait ? (flags & ~WAIT_FLAGS) || (flags & 3) == 3 : flags))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_STREAM_WAIT_VALUE_FLUSH)
		return CUDA_ERROR_NOT_SUPPORTED;
	rc = sg_copy_pointer(addr, wide ? 8 : 4, true, &at);
	if (!rc && sg_capturing(ctx, stream)) {
		CUstreamBatchMemOpParams op = { 0 };
		const CUDA_BATCH_MEM_OP_NODE_PARAMS p = { ctx, 1, &op, 0 };

		op.waitValue.operation = wait ? CU_STREAM_MEM_OP_WAIT_VALUE_32 :
						CU_STREAM_MEM_OP_WRITE_VALUE_32;
		if (wide)
			op.waitValue.operation = wait ? CU_STREAM_MEM_OP_WAIT_VALUE_64 :
							CU_STREAM_MEM_OP_WRITE_VALUE_64;
		op.waitValue.address = addr;
		op.waitValue.value64 = value;
		op.waitValue.flags = flags;
		return SG_CAPTURE(ctx, stream, cuGraphAddBatchMemOpNode, &p);
	}
	if (!rc)
		rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	v = sg_work_new(sizeof(*v), wait ? run_wait_value : run_write);
	if (v) {
		v->at = at;
		v->value = value;
		v->flags = flags;
		v->wide = wide;
	}
	rc = sg_submit(s, (struct sg_work *)v);
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
					unsigned int flags)
{
	return submit_value(stream, addr, value, flags, false, false);
}

SG_API CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
					unsigned int flags)
{
	return submit_value(stream, addr, value, flags, true, false);
}

SG_API CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
				       unsigned int flags)
{
	return submit_value(stream, addr, value, flags, false, true);
}

SG_API CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
				       unsigned int flags)
{
	return submit_value(stream, addr, value, flags, true, true);
}

SG_API CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned int count,
				      CUstreamBatchMemOpParams *ops, unsigned int flags)
{
	CUresult rc = CUDA_SUCCESS;

	if (flags || count > 256 || (count && !ops))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count && !rc; i++) {
		const CUstreamBatchMemOpParams *p = &ops[i];

		switch (p->operation) {
		case CU_STREAM_MEM_OP_WAIT_VALUE_32:
			rc = submit_value(stream, p->waitValue.address, p->waitValue.value,
					  p->waitValue.flags, false, true);
			break;
		case CU_STREAM_MEM_OP_WAIT_VALUE_64:
			rc = submit_value(stream, p->waitValue.address, p->waitValue.value64,
					  p->waitValue.flags, true, true);
			break;
		case CU_STREAM_MEM_OP_WRITE_VALUE_32:
			rc = submit_value(stream, p->writeValue.address, p->writeValue.value,
					  p->writeValue.flags, false, false);
			break;
		case CU_STREAM_MEM_OP_WRITE_VALUE_64:
			rc = submit_value(stream, p->writeValue.address, p->writeValue.value64,
					  p->writeValue.flags, true, false);
			break;
		case CU_STREAM_MEM_OP_BARRIER:
			break;		/* a stream's work is in order anyway */
		default:
			rc = CUDA_ERROR_NOT_SUPPORTED;
		}
	}
	return rc;
}
