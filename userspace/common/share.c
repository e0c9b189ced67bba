// SPDX-License-Identifier: Apache-2.0
/*
 * Sharing memory of this process with the executor, at the same address there.
 * A range goes over in pieces, each under a token of the transport's.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_internal.h"
#include "ops_internal.h"

#define PAGE 4096ull

static CUresult unmap_there(void *p, size_t bytes)
{
	struct vg_share_unmap *rq;
	struct vg_call call;
	CUresult r = vg_begin(&call, VG_OP_UNSHARE, sizeof(*rq));

	if (r)
		return r;
	rq = call.req;
	*rq = (struct vg_share_unmap){ .va = (uintptr_t)p, .bytes = bytes };
	return vg_wait(&call, NULL, 0);
}

static CUresult map_there(void *p, size_t bytes, uint32_t token)
{
	struct vg_share_map *rq;
	struct vg_call call;
	CUresult r = vg_begin(&call, VG_OP_SHARE, sizeof(*rq));

	if (r)
		return r;
	rq = call.req;
	*rq = (struct vg_share_map){ .va = (uintptr_t)p, .bytes = bytes, .token = token };
	return vg_wait(&call, NULL, 0);
}

void vg_share_end(struct vg_share *s)
{
	struct vg_transport *t = &vg_client.t;

	if (s->bytes)
		unmap_there(s->p, s->bytes);
	for (uint32_t i = 0; i < s->pieces; i++)
		t->ops->unshare(t, s->token[i]);
	free(s->token);
	s->token = NULL;
}

static CUresult share(struct vg_share *s, int memfd)
{
	struct vg_transport *t = &vg_client.t;
	uint64_t most = memfd < 0 ? VGPU_REGION_BYTES_MAX : s->bytes;
	size_t at;
	CUresult r;
	int err;

	s->pieces = 0;
	s->token = calloc((s->bytes + most - 1) / most, sizeof(*s->token));
	if (!s->token)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (at = 0; at < s->bytes; at += most) {
		size_t n = s->bytes - at < most ? s->bytes - at : most;
		uint8_t *p = (uint8_t *)s->p + at;
		uint32_t token;

		err = t->ops->share(t, p, n, memfd, &token);
		if (err) {
			r = err == -EOPNOTSUPP ? CUDA_ERROR_NOT_SUPPORTED :
			    err == -EFAULT ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
			goto fail;
		}
		s->token[s->pieces++] = token;
		r = map_there(p, n, token);
		if (r)
			goto fail;
	}
	return CUDA_SUCCESS;

fail:
	/* What is mapped there beyond is not of this share. */
	s->bytes = at;
	vg_share_end(s);
	return r;
}

CUresult vg_share_new(struct vg_share *s, size_t bytes)
{
	int memfd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	CUresult r = vg_connect();

	if (r)
		return r;
	s->bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
	if (s->bytes < bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!vg_client.t.ops->any_memory) {
		memfd = memfd_create("cuda", MFD_CLOEXEC);
		if (memfd < 0 || ftruncate(memfd, s->bytes)) {
			if (memfd >= 0)
				close(memfd);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		flags = MAP_SHARED;
	}
	s->p = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, flags, memfd, 0);
	if (s->p == MAP_FAILED) {
		r = CUDA_ERROR_OUT_OF_MEMORY;
	} else {
		size_t whole = s->bytes;

		r = share(s, memfd);
		if (r)
			munmap(s->p, whole);
	}
	if (memfd >= 0)
		close(memfd);
	return r;
}

CUresult vg_share_range(struct vg_share *s, void *p, size_t bytes)
{
	uintptr_t first = (uintptr_t)p & ~(PAGE - 1);
	uintptr_t end = ((uintptr_t)p + bytes + PAGE - 1) & ~(PAGE - 1);
	CUresult r = vg_connect();

	if (r)
		return r;
	if (!bytes || end <= first)
		return CUDA_ERROR_INVALID_VALUE;
	s->p = (void *)first;
	s->bytes = end - first;
	return share(s, -1);
}
