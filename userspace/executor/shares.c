// SPDX-License-Identifier: Apache-2.0
/*
 * Memory of the guest process, mapped here at the address that it has there:
 * what makes a host pointer mean the same to the guest's code, to this process
 * and, once registered with the driver, to kernels.
 *
 * The address is the guest's to choose, so it is only ever taken where nothing
 * is mapped yet (MAP_FIXED_NOREPLACE), and only where a program may have memory.
 *
 * An address that the guest has had once stays the guest's.  Unsharing puts a mapping
 * without access in its place (PROT_NONE), because the driver may still know the
 * address (a graph keeps those of its copies), and neither a thread's stack nor the
 * heap of this process may ever come to lie there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "common/fdpass.h"
#include "common/log.h"
#include "calls.h"
#include "exec_internal.h"

#define PAGE 4096ull
#define VA_MIN (1ull << 20)		/* above what mmap_min_addr protects */
#define VA_MAX (1ull << 47)
/*
 * A piece is a mapping, or as many as it has runs of pages (pages.c), and can split a
 * reserved range into two, so these make at most 49,152 mappings.  A process may have 65,530
 * (vm.max_map_count), and the driver and the C library need some, too.
 */
#define PIECES_MAX 16384u
#define RESERVED_MAX 16384u
#define PENDING_MAX 64u			/* memfds sent but not yet named */

struct piece {
	uint64_t va, bytes;
	uint32_t token, maps;	/* of what is live: its mappings */
};

struct pending {
	uint32_t token;
	int fd;
	uint64_t offset;
};

/* Ranges by address, of which none overlap. */
struct list {
	struct piece *piece;
	unsigned int count, room;
};

struct vg_shares {
	pthread_rwlock_t lock;
	struct list live;		/* what is mapped on the guest's behalf */
	unsigned int maps;		/* of all that is live */
	struct list reserved;		/* those, and all that have been; neighbours are one */
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

static uint64_t end_of(const struct piece *p)
{
	return p->va + p->bytes;
}

/* The first that ends beyond va. */
static unsigned int after(const struct list *l, uint64_t va)
{
	unsigned int lo = 0, hi = l->count;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (end_of(&l->piece[mid]) <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool vg_exec_shared(struct vg_exec *x, uint64_t va, uint64_t bytes)
{
	struct vg_shares *s = x->shares;
	const struct list *l = &s->live;
	unsigned int i;

	pthread_rwlock_rdlock(&s->lock);
	for (i = after(l, va); bytes && i < l->count && l->piece[i].va <= va; i++) {
		uint64_t here = end_of(&l->piece[i]) - va;

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
static int source(struct vg_exec *x, const struct vg_share_map *map, off_t *offset, bool *own,
		  struct vg_pages *pages)
{
	struct vgpu_host_region region = { .size = sizeof(region), .region = map->token };

	*own = x->ch.kind == VG_ASSIGN_SOCKET;
	*offset = 0;
	if (*own)
		return memfd_of(x, map->token, offset);
	if (x->ch.kind == VG_ASSIGN_VFIO_USER) {
		if (vg_pages_ask(&x->ch, VG_VFU_ASK_REGION, map->token, pages))
			return -1;
		if (pages->va == map->va && pages->bytes == map->bytes)
			return pages->list;
		vg_pages_close(pages);
		vg_pages_unmapped(&x->ch, map->token);
		return -1;
	}
	if (ioctl(x->ch.fd, VGPU_HOST_IOC_REGION, &region) < 0 || region.out_va != map->va ||
	    region.out_bytes != map->bytes)
		return -1;
	*offset = region.out_offset;
	return x->ch.fd;
}

/* Room for one more of at most `max`. */
static bool room_for_one(struct list *l, unsigned int max)
{
	unsigned int room = l->room ? l->room * 2 : 64;
	struct piece *more;

	if (l->count < l->room)
		return l->count < max;
	if (l->count >= max)
		return false;
	more = realloc(l->piece, room * sizeof(*more));
	if (!more)
		return false;
	l->piece = more;
	l->room = room;
	return true;
}

static void insert(struct list *l, unsigned int at, struct piece p)
{
	memmove(l->piece + at + 1, l->piece + at, (l->count - at) * sizeof(*l->piece));
	l->piece[at] = p;
	l->count++;
}

static bool reserve(uint64_t va, uint64_t end)
{
	return va == end || mmap((void *)(uintptr_t)va, end - va, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
				 -1, 0) != MAP_FAILED;
}

static void unreserve(uint64_t va, uint64_t end)
{
	if (va != end)
		munmap((void *)(uintptr_t)va, end - va);
}

/*
 * Make all of [va, end) the guest's: what is reserved already stays so, and the gaps
 * are reserved if nothing is mapped there.  All or nothing.
 */
static bool claim(struct list *l, uint64_t va, uint64_t end)
{
	unsigned int first = after(l, va), last, i;
	struct piece whole = { .va = va, .bytes = end - va };
	uint64_t at = va;

	/* A neighbour that ends where this begins becomes one with it. */
	if (first && end_of(&l->piece[first - 1]) == va)
		first--;
	if ((first == l->count || l->piece[first].va > end) && !room_for_one(l, RESERVED_MAX))
		return false;
	for (last = first; last < l->count && l->piece[last].va <= end; last++) {
		uint64_t gap = l->piece[last].va;

		if (gap > at && !reserve(at, gap))
			goto undo;
		at = end_of(&l->piece[last]);
	}
	if (at < end && !reserve(at, end))
		goto undo;
	if (last > first) {
		uint64_t low = l->piece[first].va, high = end_of(&l->piece[last - 1]);

		whole.va = low < va ? low : va;
		whole.bytes = (high > end ? high : end) - whole.va;
		memmove(l->piece + first + 1, l->piece + last,
			(l->count - last) * sizeof(*l->piece));
		l->count -= last - first - 1;
		l->piece[first] = whole;
	} else {
		insert(l, first, whole);
	}
	return true;

undo:
	at = va;
	for (i = first; i < last; i++) {
		if (l->piece[i].va > at)
			unreserve(at, l->piece[i].va);
		at = end_of(&l->piece[i]);
	}
	return false;
}

/* Access ends, and the address stays the guest's. */
static bool close_off(uint64_t va, uint64_t bytes)
{
	return mmap((void *)(uintptr_t)va, bytes, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

CUresult vg_internal_share(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_share_map *map = rq->payload;
	struct vg_shares *s = x->shares;
	/*
	 * The same whether memory of this process lies there, other memory of the guest's,
	 * or the file cannot be mapped.
	 */
	CUresult result = CUDA_ERROR_MAP_FAILED;
	bool pieced = x->ch.kind == VG_ASSIGN_VFIO_USER;
	struct vg_pages pages;
	unsigned int maps;
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
	fd = source(x, map, &offset, &own, &pages);
	if (fd < 0) {
		result = CUDA_ERROR_INVALID_HANDLE;
		goto out;
	}
	maps = pieced ? pages.runs : 1;
	if (maps > PIECES_MAX - s->maps || !room_for_one(&s->live, PIECES_MAX)) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto close;
	}
	i = after(&s->live, map->va);
	if ((i < s->live.count && s->live.piece[i].va < map->va + map->bytes) ||
	    !claim(&s->reserved, map->va, map->va + map->bytes)) {
		vg_debug("cannot map %llu bytes at 0x%llx: error %d",
			 (unsigned long long)map->bytes, (unsigned long long)map->va, errno);
		goto close;
	}
	p = (void *)(uintptr_t)map->va;
	if (pieced ? vg_pages_map(&pages, p) :
	    mmap(p, map->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
		/* A failure may have left nothing there, and then it could become another's. */
		if (!close_off(map->va, map->bytes)) {
			vg_err("cannot keep an address of the guest's: error %d; ending", errno);
			_exit(EXIT_FAILURE);
		}
		goto close;
	}
	insert(&s->live, i, (struct piece){ map->va, map->bytes, map->token, maps });
	s->maps += maps;
	result = CUDA_SUCCESS;
close:
	if (own)
		close(fd);
	if (pieced) {
		vg_pages_close(&pages);
		if (result)
			vg_pages_unmapped(&x->ch, map->token);
	}
out:
	pthread_rwlock_unlock(&s->lock);
	return result;
}

/*
 * Whole pieces only: what the guest shared together it takes back together.  A piece
 * that the driver does not let go of stays, because the device may still write there.
 */
CUresult vg_internal_unshare(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_share_unmap *unmap = rq->payload;
	struct vg_shares *s = x->shares;
	CUresult result = CUDA_SUCCESS;
	struct list *l = &s->live;
	unsigned int i, kept = 0;
	uint64_t end;

	(void)rp;
	if (__builtin_add_overflow(unmap->va, unmap->bytes, &end))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_rwlock_wrlock(&s->lock);
	for (i = 0; i < l->count; i++) {
		const struct piece *p = &l->piece[i];
		CUresult r = CUDA_ERROR_INVALID_VALUE;

		if (p->va >= unmap->va && end_of(p) <= end) {
			r = vg_x_registrations_end(x, p->va, p->bytes);
			if (!r && !close_off(p->va, p->bytes))
				r = CUDA_ERROR_OUT_OF_MEMORY;
			if (r)
				result = r;
			else
				s->maps -= p->maps;
			if (!r && x->ch.kind == VG_ASSIGN_VFIO_USER)
				vg_pages_unmapped(&x->ch, p->token);
		}
		if (r)
			l->piece[kept++] = *p;
	}
	l->count = kept;
	pthread_rwlock_unlock(&s->lock);
	return result;
}
