// SPDX-License-Identifier: Apache-2.0
/*
 * Sharing memory of this process with the executor, at the same address there.
 * A range goes over in pieces, each under a token of the transport's.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client_internal.h"
#include "clock.h"
#include "ops_internal.h"

#define PAGE 4096ull
#define HUGE (2ull << 20)		/* of x86-64, and of arm64 with 4 KiB pages */

/*
 * Making a huge page takes 60 us where one is free and 5 ms where the kernel has to move
 * others out of its way; the 512 small ones in its place take 1.3 ms.
 */
#define BATCH_MAX	(16ull << 20)
#define BATCH_US(bytes)	((bytes) / HUGE * 1300)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25		/* Linux 6.1 */
#endif

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

/*
 * Huge pages of a memfd, whatever the system makes of it otherwise: they are made in
 * a tenth of the time. As many as can be had soon; the others stay small.
 */
static void make_huge(uint8_t *p, size_t bytes)
{
	size_t n = HUGE;

	for (size_t at = 0; bytes - at >= HUGE; at += n, n = n < BATCH_MAX ? 2 * n : n) {
		uint64_t began = vg_now_us();

		if (n > bytes - at)
			n = (bytes - at) & ~(HUGE - 1);
		/* There has to be a page in each. */
		for (size_t i = 0; i < n; i += HUGE)
			((volatile uint8_t *)p)[at + i] = 0;
		if (madvise(p + at, n, MADV_COLLAPSE) || vg_now_us() - began > BATCH_US(n))
			return;
	}
}

/* As mmap(), but at a multiple of HUGE if it is as large. */
static void *map_aligned(size_t bytes, int flags, int fd)
{
	uint8_t *p, *all;
	size_t before;

	if (bytes < HUGE)
		return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	all = mmap(NULL, bytes + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return all;
	before = -(uintptr_t)all & (HUGE - 1);
	p = mmap(all + before, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED) {
		munmap(all, bytes + HUGE);
		return p;
	}
	if (before)
		munmap(all, before);
	if (before < HUGE)
		munmap(p + bytes, HUGE - before);
	return p;
}

uint64_t vg_memory_here(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* The kernel ends a program that makes a file longer than its limit, a memfd too (SIGXFSZ). */
static bool may_be_a_file(uint64_t bytes)
{
	struct rlimit files;

	return getrlimit(RLIMIT_FSIZE, &files) || bytes <= files.rlim_cur;
}

CUresult vg_share_new(struct vg_share *s, size_t bytes)
{
	int memfd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	CUresult r = vg_connect();

	if (r)
		return r;
	s->bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
	/* What can never be had is refused before pages of it are made. */
	if (s->bytes < bytes || s->bytes > vg_memory_here())
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!vg_client.t.ops->any_memory) {
		if (!may_be_a_file(s->bytes))
			return CUDA_ERROR_OUT_OF_MEMORY;
		memfd = memfd_create("cuda", MFD_CLOEXEC);
		if (memfd < 0 || ftruncate(memfd, s->bytes)) {
			if (memfd >= 0)
				close(memfd);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		flags = MAP_SHARED;
	}
	s->p = map_aligned(s->bytes, flags, memfd);
	if (s->p == MAP_FAILED) {
		r = CUDA_ERROR_OUT_OF_MEMORY;
	} else {
		size_t whole = s->bytes;

		/* Before the pages are pinned, as they are where any memory can be shared. */
		if (memfd < 0)
			madvise(s->p, whole, MADV_HUGEPAGE);
		else
			make_huge(s->p, whole);
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
