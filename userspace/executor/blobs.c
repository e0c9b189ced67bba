// SPDX-License-Identifier: Apache-2.0
/*
 * Blobs: data too long for a record, sent in pieces ahead of the call that
 * uses it.  What a guest can make us hold is bounded, whatever it sends.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "budget.h"
#include "exec_internal.h"

#define BLOBS_MAX	256

struct blob {
	uint32_t id;
	uint8_t *data;
	uint64_t total;
	uint64_t have;
};

struct vg_blobs {
	pthread_mutex_t lock;
	struct blob blob[BLOBS_MAX];
};

struct vg_blobs *vg_blobs_new(void)
{
	struct vg_blobs *b = calloc(1, sizeof(*b));

	if (b)
		pthread_mutex_init(&b->lock, NULL);
	return b;
}

static struct blob *find(struct vg_blobs *b, uint32_t id)
{
	for (unsigned int i = 0; i < BLOBS_MAX; i++)
		if (b->blob[i].id == id)
			return &b->blob[i];
	return NULL;
}

static void drop(struct blob *blob)
{
	munmap(blob->data, blob->total);
	vg_budget_give(VG_BUDGET_BLOBS, blob->total);
	*blob = (struct blob){ 0 };
}

static CUresult start(struct vg_blobs *b, const struct vg_blob_append *piece, struct blob **out)
{
	struct blob *blob = find(b, 0);

	if (find(b, piece->blob))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!piece->total)
		return CUDA_ERROR_INVALID_VALUE;
	if (!blob || !vg_budget_take(VG_BUDGET_BLOBS, piece->total))
		return CUDA_ERROR_OUT_OF_MEMORY;
	blob->data = mmap(NULL, piece->total, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (blob->data == MAP_FAILED) {
		vg_budget_give(VG_BUDGET_BLOBS, piece->total);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	madvise(blob->data, piece->total, MADV_HUGEPAGE);	/* fewer faults, if it can */
	blob->id = piece->blob;
	blob->total = piece->total;
	*out = blob;
	return CUDA_SUCCESS;
}

CUresult vg_blobs_append(struct vg_blobs *b, const struct vg_blob_append *piece, const void *data)
{
	CUresult result = CUDA_SUCCESS;
	struct blob *blob = NULL;

	if (!piece->blob)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&b->lock);
	if (!piece->at)
		result = start(b, piece, &blob);
	else
		blob = find(b, piece->blob);
	if (result)
		goto out;
	if (!blob || piece->total != blob->total || piece->at != blob->have ||
	    piece->bytes > blob->total - blob->have) {
		result = CUDA_ERROR_INVALID_VALUE;
		if (blob)
			drop(blob);
		goto out;
	}
	memcpy(blob->data + blob->have, data, piece->bytes);
	blob->have += piece->bytes;
out:
	pthread_mutex_unlock(&b->lock);
	return result;
}

/*
 * From here on it is the call's alone: no other record can find it, so none can drop it or
 * send more of it while a thread reads it without the lock.  Its bytes count until then.
 */
const void *vg_exec_blob_take(struct vg_exec *x, uint32_t id, size_t *bytes)
{
	struct vg_blobs *b = x->blobs;
	const void *data = NULL;
	struct blob *blob;

	pthread_mutex_lock(&b->lock);
	blob = id ? find(b, id) : NULL;
	if (blob && blob->have == blob->total) {
		data = blob->data;
		*bytes = blob->total;
		*blob = (struct blob){ 0 };
	}
	pthread_mutex_unlock(&b->lock);
	return data;
}

void vg_exec_blob_free(struct vg_exec *x, const void *data, size_t bytes)
{
	(void)x;
	munmap((void *)data, bytes);
	vg_budget_give(VG_BUDGET_BLOBS, bytes);
}
