// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda_abi.h"
#include "heap.h"
#include "ipc.h"

#define PAGE 4096ull
#define GRAIN 512ull		/* every allocation is aligned at least so, as on a GPU */

struct sg_hole {
	struct sg_hole *next;
	uint64_t addr, size;
};

/* Guards the table, the holes and the used counters of all heaps. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct sg_range *table;	/* sorted by address */
static size_t count, capacity;
static uint64_t next_id = 1;

_Atomic uint64_t sg_range_generation = 1;
uint64_t sg_win_shared, sg_win_local, sg_win_param, sg_win_code;

bool sg_address_space_init(void)
{
	char *p = mmap(NULL, 4 * SG_WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		return false;
	sg_win_shared = (uint64_t)(uintptr_t)p;
	sg_win_local = sg_win_shared + SG_WINDOW;
	sg_win_param = sg_win_local + SG_WINDOW;
	sg_win_code = sg_win_param + SG_WINDOW;
	return true;
}

static uint64_t whole(uint64_t bytes)
{
	return (bytes + SG_PIECE - 1) & ~(SG_PIECE - 1);
}

bool sg_heap_init(struct sg_heap *h, int device, uint64_t total)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	/* twice the size: fragmentation never makes a truthful "free" figure a lie */
	uint64_t span = whole(2 * total);
	char *p = mmap(NULL, span + SG_PIECE, PROT_NONE, flags, -1, 0);

	if (p == MAP_FAILED)
		return false;
	h->fd = sg_ipc_file(span);
	h->backing = mmap(NULL, span, PROT_READ | PROT_WRITE,
			  h->fd < 0 ? flags : MAP_SHARED | MAP_NORESERVE, h->fd, 0);
	if (h->backing == MAP_FAILED) {
		munmap(p, span + SG_PIECE);
		return false;
	}
	h->device = device;
	h->base = whole((uint64_t)(uintptr_t)p);
	h->total = total;
	h->span = span;
	h->blocks = calloc(span / SG_PIECE, sizeof(*h->blocks));
	h->holes = malloc(sizeof(*h->holes));
	if (!h->holes || !h->blocks)
		return false;
	*h->holes = (struct sg_hole){ .addr = h->base, .size = span };
	return true;
}

/* Index of the first range that begins after addr. */
static size_t upper(uint64_t addr)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (table[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int add_locked(const struct sg_range *r)
{
	size_t at = upper(r->addr);

	if (at && table[at - 1].addr + table[at - 1].size > r->addr)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (at < count && r->addr + r->size > table[at].addr)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (count == capacity) {
		size_t cap = capacity ? 2 * capacity : 64;
		struct sg_range *bigger = realloc(table, cap * sizeof(*bigger));

		if (!bigger)
			return CUDA_ERROR_OUT_OF_MEMORY;
		table = bigger;
		capacity = cap;
	}
	memmove(&table[at + 1], &table[at], (count - at) * sizeof(*table));
	table[at] = *r;
	table[at].id = next_id++;
	count++;
	return 0;
}

static bool remove_locked(uint64_t addr, struct sg_range *out)
{
	size_t at = upper(addr);

	if (!at || table[at - 1].addr != addr)
		return false;
	*out = table[at - 1];
	memmove(&table[at - 1], &table[at], (count - at) * sizeof(*table));
	count--;
	atomic_fetch_add(&sg_range_generation, 1);
	return true;
}

int sg_range_add(const struct sg_range *r)
{
	int rc;

	pthread_rwlock_wrlock(&lock);
	rc = add_locked(r);
	pthread_rwlock_unlock(&lock);
	return rc;
}

bool sg_range_remove(uint64_t addr, struct sg_range *out)
{
	bool ok;

	pthread_rwlock_wrlock(&lock);
	ok = remove_locked(addr, out);
	pthread_rwlock_unlock(&lock);
	return ok;
}

bool sg_range_find(uint64_t addr, struct sg_range *out)
{
	bool ok = false;
	size_t at;

	pthread_rwlock_rdlock(&lock);
	at = upper(addr);
	if (at && addr - table[at - 1].addr < table[at - 1].size) {
		*out = table[at - 1];
		ok = true;
	}
	pthread_rwlock_unlock(&lock);
	return ok;
}

bool sg_range_of_owner(uint64_t addr, const void *owner, struct sg_range *out)
{
	bool ok = false;

	pthread_rwlock_rdlock(&lock);
	for (size_t at = addr ? upper(addr - 1) : 0; at < count && !ok; at++) {
		if (table[at].owner == owner) {
			*out = table[at];
			ok = true;
		}
	}
	pthread_rwlock_unlock(&lock);
	return ok;
}

static bool take_hole(struct sg_heap *h, uint64_t size, uint64_t align, uint64_t *addr)
{
	for (struct sg_hole **pp = &h->holes, *o; (o = *pp); pp = &o->next) {
		uint64_t at = (o->addr + align - 1) & ~(align - 1);
		uint64_t skip = at - o->addr;

		if (o->size < skip || o->size - skip < size)
			continue;
		if (skip) {
			struct sg_hole *rest = malloc(sizeof(*rest));

			if (!rest)
				return false;
			*rest = (struct sg_hole){ .next = o->next, .addr = at,
						  .size = o->size - skip };
			o->size = skip;
			o->next = rest;
			pp = &o->next;
			o = rest;
		}
		o->addr += size;
		o->size -= size;
		if (!o->size) {
			*pp = o->next;
			free(o);
		}
		*addr = at;
		return true;
	}
	return false;
}

static void give_hole(struct sg_heap *h, uint64_t addr, uint64_t size)
{
	struct sg_hole **pp = &h->holes, *prev = NULL, *o, *n;

	while (*pp && (*pp)->addr < addr) {
		prev = *pp;
		pp = &prev->next;
	}
	o = *pp;
	if (prev && prev->addr + prev->size == addr) {
		prev->size += size;
		if (o && prev->addr + prev->size == o->addr) {
			prev->size += o->size;
			prev->next = o->next;
			free(o);
		}
		return;
	}
	if (o && addr + size == o->addr) {
		o->addr = addr;
		o->size += size;
		return;
	}
	n = malloc(sizeof(*n));
	if (!n)
		return;		/* the range is lost for reuse, nothing more */
	*n = (struct sg_hole){ .next = o, .addr = addr, .size = size };
	*pp = n;
}

/* The part of the address space that a block has. */
static uint64_t footprint(uint64_t size)
{
	return size > SG_SHARED_MAX ? whole(size) : (size + GRAIN - 1) & ~(GRAIN - 1);
}

/* The first and the last piece of a block. */
static uint64_t first_piece(const struct sg_heap *h, uint64_t addr)
{
	return (addr - h->base) / SG_PIECE;
}

static uint64_t last_piece(const struct sg_heap *h, uint64_t addr, uint64_t bytes)
{
	return (addr + bytes - 1 - h->base) / SG_PIECE;
}

/* What the device hands out for a block that is new there. */
static uint64_t pieces_needed(const struct sg_heap *h, uint64_t addr, uint64_t bytes)
{
	uint64_t n = 0;

	for (uint64_t i = first_piece(h, addr); i <= last_piece(h, addr, bytes); i++)
		n += !h->blocks[i];
	return n * SG_PIECE;
}

static void pieces_taken(struct sg_heap *h, uint64_t addr, uint64_t bytes)
{
	for (uint64_t i = first_piece(h, addr); i <= last_piece(h, addr, bytes); i++)
		if (!h->blocks[i]++)
			h->used += SG_PIECE;
}

static void pieces_given_back(struct sg_heap *h, uint64_t addr, uint64_t bytes)
{
	for (uint64_t i = first_piece(h, addr); i <= last_piece(h, addr, bytes); i++)
		if (!--h->blocks[i])
			h->used -= SG_PIECE;
}

int sg_heap_alloc(struct sg_heap *h, uint64_t size, uint64_t align, enum sg_range_kind kind,
		  void *owner, uint64_t *addr)
{
	struct sg_range r = { .size = size, .kind = kind, .owner = owner, .device = h->device };
	uint64_t bytes = footprint(size);
	int rc = CUDA_ERROR_OUT_OF_MEMORY;

	if (!size || bytes < size)
		return CUDA_ERROR_INVALID_VALUE;
	if (align < GRAIN)
		align = GRAIN;
	if (size > SG_SHARED_MAX && align < SG_PIECE)
		align = SG_PIECE;
	pthread_rwlock_wrlock(&lock);
	if (bytes <= h->total && take_hole(h, bytes, align, &r.addr)) {
		r.delta = (int64_t)((uint64_t)(uintptr_t)h->backing - h->base);
		if (kind == RG_GRAPH || pieces_needed(h, r.addr, bytes) <= h->total - h->used)
			rc = add_locked(&r);
		if (rc) {
			give_hole(h, r.addr, bytes);
		} else {
			if (kind != RG_GRAPH)
				pieces_taken(h, r.addr, bytes);
			if (kind == RG_MALLOC)
				h->malloc_used += bytes;
			*addr = r.addr;
		}
	}
	pthread_rwlock_unlock(&lock);
	return rc;
}

int sg_heap_free(struct sg_heap *h, uint64_t addr)
{
	struct sg_range r;
	uint64_t bytes;
	int rc = CUDA_ERROR_INVALID_VALUE;

	pthread_rwlock_wrlock(&lock);
	if (addr - h->base < h->span && remove_locked(addr, &r)) {
		char *p = (char *)(uintptr_t)(addr + r.delta);
		uint64_t lead = -(uint64_t)(uintptr_t)p & (PAGE - 1);

		bytes = footprint(r.size);
		if (r.kind != RG_GRAPH)
			pieces_given_back(h, addr, bytes);
		if (r.kind == RG_MALLOC)
			h->malloc_used -= bytes;
		/* give whole pages back; they read as zero when they come again */
		memset(p, 0, bytes < lead + PAGE ? bytes : lead);
		if (bytes >= lead + PAGE) {
			uint64_t whole = (bytes - lead) & ~(PAGE - 1);

			madvise(p + lead, whole, h->fd < 0 ? MADV_DONTNEED : MADV_REMOVE);
			memset(p + lead + whole, 0, bytes - lead - whole);
		}
		give_hole(h, addr, bytes);
		rc = 0;
	}
	pthread_rwlock_unlock(&lock);
	return rc;
}

bool sg_heap_charge(struct sg_heap *h, uint64_t bytes)
{
	bool ok;

	pthread_rwlock_wrlock(&lock);
	ok = bytes <= h->total - h->used;
	if (ok)
		h->used += bytes;
	pthread_rwlock_unlock(&lock);
	return ok;
}

void sg_heap_uncharge(struct sg_heap *h, uint64_t bytes)
{
	pthread_rwlock_wrlock(&lock);
	h->used -= bytes;
	pthread_rwlock_unlock(&lock);
}

uint64_t sg_heap_used(struct sg_heap *h)
{
	uint64_t used;

	pthread_rwlock_rdlock(&lock);
	used = h->used;
	pthread_rwlock_unlock(&lock);
	return used;
}
