// SPDX-License-Identifier: Apache-2.0
/*
 * The mediator's table of what this vGPU's processes share (common/socket_proto.h):
 * one request at a time, over the socket by which the mediator started us.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "common/log.h"
#include "exec_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* a request and its answer */

static CUresult result_of(uint32_t status)
{
	switch (status) {
	case 0:
		return CUDA_SUCCESS;
	case ENOENT:
		return CUDA_ERROR_INVALID_VALUE;
	case ENOSPC:
		return CUDA_ERROR_OPERATING_SYSTEM;	/* the table is full */
	default:
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
}

static CUresult ask(struct vg_token_request *rq, int fd, struct vg_token_answer *a, int *out_fd)
{
	int least = rq->op == VG_TOKEN_TAKE && vg_token_has_fd(rq->kind);
	int most = rq->op == VG_TOKEN_WITHDRAW ? 1 : least;
	int ret;

	rq->size = sizeof(*rq);
	*out_fd = -1;
	pthread_mutex_lock(&lock);
	ret = vg_send_fds(VG_CONTROL_FD, rq, sizeof(*rq), &fd, fd >= 0);
	if (!ret)
		ret = vg_recv_fds(VG_CONTROL_FD, a, sizeof(*a), out_fd, 1);
	pthread_mutex_unlock(&lock);
	/* Without a mediator this process ends too; until then nothing is shared. */
	if (ret < 0 || a->size != sizeof(*a)) {
		vg_debug("the mediator does not answer: %s", strerror(-ret));
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	if (!a->status && (ret < least || ret > most))
		return CUDA_ERROR_OPERATING_SYSTEM;
	return result_of(a->status);
}

CUresult vg_exec_offer(struct vg_exec *x, enum vg_token_kind kind, uint64_t bytes, const void *data,
		       size_t data_bytes, int fd, vgpu_token *token)
{
	struct vg_token_request rq = { .op = VG_TOKEN_OFFER, .kind = kind, .bytes = bytes };
	struct vg_token_answer a;
	CUresult r;
	int none;

	(void)x;
	if (data_bytes)
		memcpy(rq.data, data, data_bytes);
	r = ask(&rq, fd, &a, &none);
	if (!r)
		memcpy(token->name, a.token, sizeof(token->name));
	return r;
}

CUresult vg_exec_take(struct vg_exec *x, enum vg_token_kind kind, const vgpu_token *token,
		      uint64_t *bytes, void *data, size_t data_bytes, int *fd)
{
	struct vg_token_request rq = { .op = VG_TOKEN_TAKE, .kind = kind };
	struct vg_token_answer a;
	CUresult r;
	int got;

	(void)x;
	memcpy(rq.token, token->name, sizeof(rq.token));
	r = ask(&rq, -1, &a, &got);
	if (r)
		return r;
	*bytes = a.bytes;
	if (data_bytes)
		memcpy(data, a.data, data_bytes);
	if (fd)
		*fd = got;
	return CUDA_SUCCESS;
}

static void tell(enum vg_token_op op, const vgpu_token *token)
{
	struct vg_token_request rq = { .op = op, .kind = VG_TOKEN_MEMORY };
	struct vg_token_answer a;
	int back;

	memcpy(rq.token, token->name, sizeof(rq.token));
	ask(&rq, -1, &a, &back);
	/* Here, and not in the mediator, what it stood for is freed: before the call returns. */
	if (back >= 0)
		close(back);
}

void vg_exec_leave(struct vg_exec *x, const vgpu_token *token)
{
	(void)x;
	tell(VG_TOKEN_LEAVE, token);
}

void vg_exec_withdraw(struct vg_exec *x, const vgpu_token *token)
{
	(void)x;
	tell(VG_TOKEN_WITHDRAW, token);
}
