// SPDX-License-Identifier: Apache-2.0
/*
 * Memory of the guest process, mapped here at the address that it has there:
 * what makes a host pointer mean the same to the guest's code, to this process
 * and, once registered with the driver, to kernels.
 *
 * The address is the guest's to choose, so it is only ever taken where nothing
 * is mapped yet (MAP_FIXED_NOREPLACE), and only where a program may have memory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "common/fdpass.h"
#include "common/log.h"
#include "exec_internal.h"

#define PAGE 4096ull
#define VA_MIN (1ull << 20)		/* above what mmap_min_addr protects */
#define VA_MAX (1ull << 47)
#define PIECES_MAX 65536u
#define PENDING_MAX 64u			/* memfds sent but not yet named */

struct piece {
	uint64_t va, bytes;
};

struct pending {
	uint32_t token;
	int fd;
	uint64_t offset;
};

struct vg_shares {
	pthread_rwlock_t lock;
	struct piece *piece;		/* by va; none overlap */
	unsigned int count, room;
	struct pending pending[PENDING_MAX];	/* token 0: free */
};

struct vg_shares *vg_shares_new(struct vg_exec *x)
{
	struct vg_shares *s = calloc(1, sizeof(*s));

	(void)x;
	if (s)
		pthread_rwlock_init(&s->lock, NULL);
	return s;
}

/* The first piece that ends beyond va. */
static unsigned int after(const struct vg_shares *s, uint64_t va)
{
	unsigned int lo = 0, hi = s->count;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (s->piece[mid].va + s->piece[mid].bytes <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool vg_exec_shared(struct vg_exec *x, uint64_t va, uint64_t bytes)
{
	struct vg_shares *s = x->shares;
	unsigned int i;

	pthread_rwlock_rdlock(&s->lock);
	for (i = after(s, va); bytes && i < s->count && s->piece[i].va <= va; i++) {
		uint64_t here = s->piece[i].va + s->piece[i].bytes - va;

		if (here > bytes)
			here = bytes;
		va += here;
		bytes -= here;
	}
	pthread_rwlock_unlock(&s->lock);
	return !bytes;
}

/* Take what has been sent, and find the memfd of a token; -1 if there is none. */
static int memfd_of(struct vg_exec *x, uint32_t token, off_t *offset)
{
	struct vg_shares *s = x->shares;
	struct vg_sock_share msg;
	int fd, found = -1;
	unsigned int i, free_slot;

	do {
		free_slot = PENDING_MAX;
		for (i = 0; i < PENDING_MAX; i++) {
			if (!s->pending[i].token)
				free_slot = i;
			else if (s->pending[i].token == token) {
				found = s->pending[i].fd;
				*offset = s->pending[i].offset;
				s->pending[i].token = 0;
				return found;
			}
		}
		if (free_slot == PENDING_MAX)
			return -1;
		/* It was sent before the record that names it, so it is here. */
		if (vg_recv_fds(x->ch.shares, &msg, sizeof(msg), &fd, 1) != 1 || !msg.token)
			return -1;
		s->pending[free_slot] = (struct pending){ msg.token, fd, msg.offset };
	} while (true);
}

/* What to map: a descriptor and an offset.  The descriptor is closed if *own. */
static int source(struct vg_exec *x, const struct vg_share_map *map, off_t *offset, bool *own)
{
	struct vgpu_host_region region = { .size = sizeof(region), .region = map->token };

	*own = x->ch.kind == VG_ASSIGN_SOCKET;
	*offset = 0;
	if (*own)
		return memfd_of(x, map->token, offset);
	if (ioctl(x->ch.fd, VGPU_HOST_IOC_REGION, &region) < 0 || region.out_va != map->va ||
	    region.out_bytes != map->bytes)
		return -1;
	*offset = region.out_offset;
	return x->ch.fd;
}

static bool room_for_one(struct vg_shares *s)
{
	unsigned int room = s->room ? s->room * 2 : 64;
	struct piece *more;

	if (s->count < s->room)
		return true;
	if (s->count >= PIECES_MAX)
		return false;
	more = realloc(s->piece, room * sizeof(*more));
	if (!more)
		return false;
	s->piece = more;
	s->room = room;
	return true;
}

CUresult vg_internal_share(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_share_map *map = rq->payload;
	struct vg_shares *s = x->shares;
	CUresult result = CUDA_SUCCESS;
	off_t offset;
	unsigned int i;
	void *p;
	bool own;
	int fd;

	(void)rp;
	if (!map->bytes || map->va % PAGE || map->bytes % PAGE || map->va < VA_MIN ||
	    map->va > VA_MAX || map->bytes > VA_MAX - map->va)
		return CUDA_ERROR_INVALID_VALUE;

	pthread_rwlock_wrlock(&s->lock);
	fd = source(x, map, &offset, &own);
	if (fd < 0) {
		result = CUDA_ERROR_INVALID_HANDLE;
		goto out;
	}
	if (!room_for_one(s)) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto close;
	}
	p = mmap((void *)(uintptr_t)map->va, map->bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, fd, offset);
	if (p == MAP_FAILED) {
		vg_debug("cannot map %llu bytes at 0x%llx: error %d",
			 (unsigned long long)map->bytes, (unsigned long long)map->va, errno);
		result = errno == EEXIST ? CUDA_ERROR_ALREADY_MAPPED : CUDA_ERROR_MAP_FAILED;
		goto close;
	}
	for (i = s->count++; i && s->piece[i - 1].va > map->va; i--)
		s->piece[i] = s->piece[i - 1];
	s->piece[i] = (struct piece){ map->va, map->bytes };
close:
	if (own)
		close(fd);
out:
	pthread_rwlock_unlock(&s->lock);
	return result;
}

/* Whole pieces only: what the guest shared together it takes back together. */
CUresult vg_internal_unshare(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_share_unmap *unmap = rq->payload;
	struct vg_shares *s = x->shares;
	unsigned int i, kept = 0;
	uint64_t end;

	(void)rp;
	if (__builtin_add_overflow(unmap->va, unmap->bytes, &end))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_rwlock_wrlock(&s->lock);
	for (i = 0; i < s->count; i++) {
		const struct piece *p = &s->piece[i];

		if (p->va >= unmap->va && p->va + p->bytes <= end)
			munmap((void *)(uintptr_t)p->va, p->bytes);
		else
			s->piece[kept++] = *p;
	}
	s->count = kept;
	pthread_rwlock_unlock(&s->lock);
	return CUDA_SUCCESS;
}
