// SPDX-License-Identifier: Apache-2.0
/* The executor's tables (handles, blobs, the account), and what it may not do. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "budget.h"
#include "calls.h"
#include "common/bundle.h"
#include "exec_internal.h"

static void handles_by_kind(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t v = 0;

	(void)state;
	assert_true(vg_handle_put(h, 5, VG_STREAM, 0xabc));
	assert_true(vg_handle_get(h, 5, VG_STREAM, &v));
	assert_int_equal(v, 0xabc);
	assert_false(vg_handle_get(h, 5, VG_EVENT, &v));
	assert_false(vg_handle_get(h, 6, VG_STREAM, &v));
	assert_false(vg_handle_take(h, 5, VG_EVENT, &v));
	assert_false(vg_handle_put(h, 5, VG_EVENT, 1));
	assert_true(vg_handle_take(h, 5, VG_STREAM, &v));
	assert_false(vg_handle_take(h, 5, VG_STREAM, &v));
	assert_true(vg_handle_put(h, 5, VG_EVENT, 1));
}

static void handles_out_of_range(void **state)
{
	struct vg_handles *h = vg_handles_new();
	static const uint32_t ids[] = { 0, VG_HANDLE_MAX, VG_HANDLE_MAX + 1, ~0u };
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_false(vg_handle_put(h, ids[i], VG_STREAM, 1));
		assert_false(vg_handle_get(h, ids[i], VG_STREAM, &v));
		assert_false(vg_handle_take(h, ids[i], VG_STREAM, &v));
		/* Nothing is "of no kind", also where nothing is. */
		assert_false(vg_handle_get(h, ids[i], VG_NONE, &v));
	}
	assert_false(vg_handle_put(h, 1, VG_NONE, 1));
	assert_true(vg_handle_put(h, VG_HANDLE_MAX - 1, VG_STREAM, 1));
}

/* An id that is reserved leads nowhere, is nobody else's, and counts. */
static void handles_reserved(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t before, first, second, none, v;

	(void)state;
	assert_true(vg_handle_put(h, 1, VG_EVENT, 1));
	before = vg_budget_held(VG_BUDGET_OBJECTS);
	assert_int_equal(vg_handle_reserve(h, 9, VG_GRAPH, 0, 0, 100, &first), VG_RESERVED_OK);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), before + VG_OBJECT_BYTES + 100);
	assert_false(vg_handle_get(h, 9, VG_GRAPH, &v));
	assert_false(vg_handle_get(h, 9, VG_RESERVED, &v));
	assert_false(vg_handle_take(h, 9, VG_RESERVED, &v));
	assert_int_equal(vg_handle_reserve(h, 9, VG_GRAPH, 0, 0, 0, &none), VG_RESERVED_NOT);
	assert_false(vg_handle_bind(h, 9, first, VG_EVENT, 5));
	vg_handle_give_up(h, 9, first);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), before);
	assert_false(vg_handle_bind(h, 9, first, VG_GRAPH, 5));
	assert_int_equal(vg_handle_reserve(h, 9, VG_GRAPH, 0, 0, 100, &second), VG_RESERVED_OK);
	/* Who was late with the first has no part in the second. */
	assert_int_not_equal(first, second);
	assert_false(vg_handle_bind(h, 9, first, VG_GRAPH, 5));
	vg_handle_give_up(h, 9, first);
	assert_true(vg_handle_bind(h, 9, second, VG_GRAPH, 5));
	assert_true(vg_handle_get(h, 9, VG_GRAPH, &v));
	assert_int_equal(v, 5);
	vg_handle_give_up(h, 9, second);	/* too late */
	assert_true(vg_handle_take(h, 9, VG_GRAPH, &v));
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), before);
}

/* What the driver may have destroyed or not leads nowhere, counts, and is nobody else's. */
static void handles_lost(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t before, serial, v;
	struct vg_orphan o;
	uint32_t id;

	(void)state;
	assert_true(vg_handle_put(h, 1, VG_CONTEXT, 1));
	before = vg_budget_held(VG_BUDGET_OBJECTS);
	assert_int_equal(vg_handle_reserve(h, 2, VG_GRAPH, 0, 1, 50, &serial), VG_RESERVED_OK);
	assert_true(vg_handle_bind(h, 2, serial, VG_GRAPH, 77));
	assert_int_equal(vg_handle_reserve(h, 3, VG_GRAPH_NODE, 2, 0, 5, &v), VG_RESERVED_OK);
	assert_true(vg_handle_bind(h, 3, v, VG_GRAPH_NODE, 78));
	assert_false(vg_handle_lose(h, 2, VG_EVENT));
	assert_true(vg_handle_lose(h, 2, VG_GRAPH));
	assert_true(vg_handle_orphan(h, 2, &o));
	assert_false(vg_handle_orphan(h, 2, &o));
	assert_false(vg_handle_get(h, 2, VG_GRAPH, &v));
	assert_false(vg_handle_get(h, 3, VG_GRAPH_NODE, &v));
	assert_false(vg_handle_id_of(h, VG_GRAPH, 77, &id));
	assert_false(vg_handle_bind(h, 2, serial, VG_GRAPH, 77));
	vg_handle_give_up(h, 2, serial);
	assert_false(vg_handle_put(h, 2, VG_GRAPH, 77));
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS),
			 before + VG_OBJECT_BYTES + VG_NODE_BYTES + 55);
	assert_true(vg_handle_take(h, 1, VG_CONTEXT, &v));
	assert_true(vg_handle_orphan(h, 1, &o));
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), before - VG_CONTEXT_BYTES);
	assert_true(vg_handle_put(h, 2, VG_GRAPH, 77));
}

static void bind_made_in(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t ctx,
			 uint64_t more)
{
	uint64_t serial;

	assert_int_equal(vg_handle_reserve(h, id, kind, 0, ctx, more, &serial), VG_RESERVED_OK);
	assert_true(vg_handle_bind(h, id, serial, kind, 0x2000 + id));
}

/* If nobody knows whether a context has gone, all that was made in it goes on to count. */
static void lost_context_counts(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t objects, images, none = vg_budget_held(VG_BUDGET_OBJECTS);
	struct vg_orphan o;

	(void)state;
	assert_true(vg_handle_put(h, 1, VG_CONTEXT, 1));
	bind_made_in(h, 2, VG_MODULE, 1, 5000);
	bind_made_in(h, 3, VG_STREAM, 1, 0);
	bind_made_in(h, 4, VG_STREAM, 1, 70);
	objects = vg_budget_held(VG_BUDGET_OBJECTS);
	images = vg_budget_held(VG_BUDGET_IMAGES);
	assert_true(vg_handle_lose(h, 1, VG_CONTEXT));
	while (vg_handle_orphan(h, 1, &o))
		;
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), objects);
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), images);
	/* For the other tests. */
	vg_budget_give(VG_BUDGET_OBJECTS, objects - none);
	vg_budget_give(VG_BUDGET_IMAGES, 5000);
}

static void bind_part(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t owner,
		      uint32_t ctx, uint64_t more)
{
	uint64_t serial;

	assert_int_equal(vg_handle_reserve(h, id, kind, owner, ctx, more, &serial),
			 VG_RESERVED_OK);
	assert_true(vg_handle_bind(h, id, serial, kind, 0x1000 + id));
}

/* What goes with an object has an owner that is there, and never outlives it. */
static void handles_of_owners(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint32_t owner = 1, ctx = 1, gone = 0;
	struct vg_orphan o;
	uint64_t none, v;

	(void)state;
	assert_int_equal(vg_handle_reserve(h, 9, VG_EVENT, 7, 0, 0, &none), VG_RESERVED_ALONE);
	assert_int_equal(vg_handle_reserve(h, 9, VG_EVENT, 9, 0, 0, &none), VG_RESERVED_ALONE);
	assert_int_equal(vg_handle_reserve(h, 9, VG_EVENT, VG_HANDLE_MAX, 0, 0, &none),
			 VG_RESERVED_ALONE);
	assert_true(vg_handle_put(h, 7, VG_GRAPH, 1));
	assert_int_equal(vg_handle_reserve(h, 9, VG_EVENT, 0, 7, 0, &none), VG_RESERVED_ALONE);
	assert_true(vg_handle_put(h, 8, VG_CONTEXT, 1));
	bind_part(h, 9, VG_EVENT, 7, 8, 0);
	assert_true(vg_handle_get_owner(h, 9, VG_EVENT, &owner));
	assert_true(vg_handle_get_context(h, 9, VG_EVENT, &ctx));
	assert_int_equal(owner, 7);
	assert_int_equal(ctx, 8);
	/* Whoever has the id next has neither. */
	assert_true(vg_handle_take(h, 9, VG_EVENT, &v));
	assert_true(vg_handle_put(h, 9, VG_EVENT, 1));
	assert_true(vg_handle_get_owner(h, 9, VG_EVENT, &owner));
	assert_true(vg_handle_get_context(h, 9, VG_EVENT, &ctx));
	assert_int_equal(owner, 0);
	assert_int_equal(ctx, 0);

	/* Parts of parts go, too, and what was made in the context. */
	for (uint32_t id = 20; id < 30; id++)
		bind_part(h, id, VG_GRAPH_NODE, id == 20 ? 7 : id - 1, id % 2 ? 8 : 0, 0);
	bind_part(h, 30, VG_GRAPH_NODE, 25, 8, 0);
	assert_true(vg_handle_take(h, 7, VG_GRAPH, &v));
	assert_int_equal(vg_handle_reserve(h, 7, VG_GRAPH, 0, 0, 0, &none), VG_RESERVED_NOT);
	while (vg_handle_orphan(h, 7, &o)) {
		assert_int_equal(o.kind, VG_GRAPH_NODE);
		assert_int_equal(o.value, 0x1000 + o.id);
		assert_false(vg_handle_get(h, o.id, VG_GRAPH_NODE, &v));
		gone++;
	}
	assert_int_equal(gone, 11);
	assert_true(vg_handle_put(h, 7, VG_GRAPH, 1));
	assert_true(vg_handle_take(h, 8, VG_CONTEXT, &v));
	assert_false(vg_handle_orphan(h, 8, &o));
}

/* Nothing becomes a part of its own part, and a part can be handed on. */
static void handles_change_owner(void **state)
{
	struct vg_handles *h = vg_handles_new();
	struct vg_orphan o;
	uint32_t owner = 9;
	uint64_t v;

	(void)state;
	assert_true(vg_handle_put(h, 1, VG_GRAPH, 1));
	assert_true(vg_handle_put(h, 4, VG_GRAPH, 4));
	bind_part(h, 2, VG_GRAPH_NODE, 1, 0, 0);
	bind_part(h, 3, VG_GRAPH, 2, 0, 0);
	assert_false(vg_handle_set_owner(h, 1, VG_GRAPH, 3));
	assert_false(vg_handle_set_owner(h, 1, VG_GRAPH, 1));
	assert_false(vg_handle_set_owner(h, 4, VG_GRAPH, 5));
	assert_true(vg_handle_set_owner(h, 4, VG_GRAPH, 2));
	assert_true(vg_handle_set_owner(h, 3, VG_GRAPH, 0));
	assert_true(vg_handle_get_owner(h, 3, VG_GRAPH, &owner));
	assert_int_equal(owner, 0);
	assert_true(vg_handle_take(h, 2, VG_GRAPH_NODE, &v));
	assert_true(vg_handle_orphan(h, 2, &o));
	assert_int_equal(o.id, 4);
	assert_false(vg_handle_orphan(h, 2, &o));
	assert_true(vg_handle_get(h, 3, VG_GRAPH, &v));
}

/* A copy of a graph takes what all that is in it takes, at whatever depth. */
static void handles_weigh_their_parts(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t sum = 5;

	(void)state;
	assert_int_equal(vg_handle_weight(h, 1), 0);
	assert_true(vg_handle_put(h, 1, VG_GRAPH, 1));
	assert_int_equal(vg_handle_weight(h, 1), 0);
	assert_true(vg_handle_weigh(h, 1, VG_GRAPH, 5));
	for (uint32_t id = 2; id < 2000; id++) {
		bind_part(h, id, id % 2 ? VG_GRAPH : VG_GRAPH_NODE, id % 3 ? id - 1 : id / 3, 0, id);
		sum += id + (id % 2 ? VG_OBJECT_BYTES : VG_NODE_BYTES);
		assert_int_equal(vg_handle_weight(h, 1), sum);
	}
	assert_true(vg_handle_weigh_at_least(h, 1, VG_GRAPH, 4));
	assert_int_equal(vg_handle_weight(h, 1), sum);
	assert_true(vg_handle_weigh_at_least(h, 1, VG_GRAPH, 15));
	assert_int_equal(vg_handle_weight(h, 1), sum + 10);
	vg_handle_lighten(h, 1, VG_GRAPH, 10);
	assert_int_equal(vg_handle_weight(h, 1), sum);
}

/* The id that was bound first, if several lead to the same. */
static void handles_by_value(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint32_t id;
	uint64_t v;

	(void)state;
	assert_false(vg_handle_id_of(h, VG_EVENT, 77, &id));
	for (uint32_t i = 1; i < 10000; i++)
		assert_true(vg_handle_put(h, i, i % 2 ? VG_EVENT : VG_GRAPH, 77 + i / 4));
	for (uint32_t i = 1; i < 10000; i++) {
		assert_true(vg_handle_id_of(h, i % 2 ? VG_EVENT : VG_GRAPH, 77 + i / 4, &id));
		assert_in_range(id, i < 3 ? 1 : i - 2, i);
	}
	assert_true(vg_handle_take(h, 4, VG_GRAPH, &v));
	assert_true(vg_handle_id_of(h, VG_GRAPH, 78, &id));
	assert_int_equal(id, 6);
	assert_true(vg_handle_take(h, 6, VG_GRAPH, &v));
	assert_false(vg_handle_id_of(h, VG_GRAPH, 78, &id));
	for (id = 1; id < 10000; id++)
		vg_handle_take(h, id, id % 2 ? VG_EVENT : VG_GRAPH, &v);
}

/* An id that is bound anew is not what it was. */
static void handles_serial(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t first, second, v;

	(void)state;
	assert_false(vg_handle_serial(h, 9, VG_GRAPH, &first));
	assert_true(vg_handle_put(h, 9, VG_GRAPH, 1));
	assert_true(vg_handle_serial(h, 9, VG_GRAPH, &first));
	assert_false(vg_handle_serial(h, 9, VG_EVENT, &second));
	assert_true(vg_handle_take(h, 9, VG_GRAPH, &v));
	assert_false(vg_handle_serial(h, 9, VG_GRAPH, &second));
	assert_true(vg_handle_put(h, 9, VG_GRAPH, 1));
	assert_true(vg_handle_serial(h, 9, VG_GRAPH, &second));
	assert_int_not_equal(first, second);
}

static void blob_in_pieces(void **state)
{
	struct vg_exec x = { .blobs = vg_blobs_new() };
	struct vg_blob_append piece = { .blob = 3, .bytes = 4, .total = 10 };
	const char *data;
	size_t bytes = 0;

	(void)state;
	assert_int_equal(vg_blobs_append(x.blobs, &piece, "abcd"), CUDA_SUCCESS);
	/* Not before it is whole. */
	assert_null(vg_exec_blob_take(&x, 3, &bytes));
	piece.at = 4;
	piece.bytes = 6;
	assert_int_equal(vg_blobs_append(x.blobs, &piece, "efghij"), CUDA_SUCCESS);
	data = vg_exec_blob_take(&x, 3, &bytes);
	assert_non_null(data);
	assert_int_equal(bytes, 10);
	assert_memory_equal(data, "abcdefghij", 10);
	vg_exec_blob_free(&x, data, bytes);
	assert_null(vg_exec_blob_take(&x, 3, &bytes));
	assert_null(vg_exec_blob_take(&x, 0, &bytes));
}

/* While a call reads a blob, nothing that the guest sends changes or ends it. */
static void blob_in_use(void **state)
{
	struct vg_exec x = { .blobs = vg_blobs_new() };
	struct vg_blob_append piece = { .blob = 3, .bytes = 4, .total = 4 }, bad = piece;
	const char *data, *other;
	size_t bytes = 0, n;

	(void)state;
	assert_int_equal(vg_blobs_append(x.blobs, &piece, "abcd"), CUDA_SUCCESS);
	data = vg_exec_blob_take(&x, 3, &bytes);
	assert_non_null(data);
	assert_null(vg_exec_blob_take(&x, 3, &n));
	bad.at = 1;		/* gives up the blob of this id, if there is one */
	assert_int_equal(vg_blobs_append(x.blobs, &bad, "x"), CUDA_ERROR_INVALID_VALUE);
	assert_memory_equal(data, "abcd", 4);
	/* The id is free, for another. */
	assert_int_equal(vg_blobs_append(x.blobs, &piece, "efgh"), CUDA_SUCCESS);
	other = vg_exec_blob_take(&x, 3, &n);
	assert_memory_equal(data, "abcd", 4);
	assert_memory_equal(other, "efgh", 4);
	vg_exec_blob_free(&x, other, n);
	vg_exec_blob_free(&x, data, bytes);
}

static void blob_bounds(void **state)
{
	struct vg_blobs *b = vg_blobs_new();
	static const struct vg_blob_append bad[] = {
		{ .blob = 0, .bytes = 1, .total = 1 },
		{ .blob = 1, .bytes = 1, .total = 0 },
		{ .blob = 1, .bytes = 2, .total = 1 },
		{ .blob = 1, .bytes = 1, .total = ~0ull },
		{ .blob = 1, .bytes = 1, .at = 1, .total = 2 },	/* no first piece */
		{ .blob = 1, .bytes = 1, .at = ~0ull, .total = 2 },
	};
	struct vg_blob_append piece = { .blob = 2, .bytes = 1, .total = 4 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(vg_blobs_append(b, &bad[i], "x"), CUDA_SUCCESS);
	assert_int_equal(vg_blobs_append(b, &piece, "x"), CUDA_SUCCESS);
	assert_int_equal(vg_blobs_append(b, &piece, "x"), CUDA_ERROR_INVALID_HANDLE);
	piece.at = 2;	/* a gap: the blob is given up */
	assert_int_equal(vg_blobs_append(b, &piece, "x"), CUDA_ERROR_INVALID_VALUE);
	piece.at = 1;
	assert_int_equal(vg_blobs_append(b, &piece, "x"), CUDA_ERROR_INVALID_VALUE);
}

/* However many a guest begins, what it can make us hold is bounded. */
static void blob_flood(void **state)
{
	struct vg_blobs *b = vg_blobs_new();
	struct vg_blob_append piece = { .bytes = 1, .total = 1 << 20 };
	unsigned int ok = 0;

	(void)state;
	for (piece.blob = 1; piece.blob < 5000; piece.blob++)
		ok += vg_blobs_append(b, &piece, "x") == CUDA_SUCCESS;
	assert_in_range(ok, 1, 1024);
}

/* What is sent ahead of calls is bounded in bytes, also while calls use it. */
static void blob_bytes(void **state)
{
	struct vg_exec x = { .blobs = vg_blobs_new() };
	struct vg_blob_append piece = { .bytes = 1, .total = VG_BLOBS_MAX / 4 };
	uint64_t before = vg_budget_held(VG_BUDGET_BLOBS);
	struct vg_blob_append bad;

	(void)state;
	vg_budget_give(VG_BUDGET_BLOBS, before);
	for (piece.blob = 1; piece.blob <= 4; piece.blob++)
		assert_int_equal(vg_blobs_append(x.blobs, &piece, "x"), CUDA_SUCCESS);
	piece.total = 1;
	assert_int_equal(vg_blobs_append(x.blobs, &piece, "x"), CUDA_ERROR_OUT_OF_MEMORY);
	/* A blob that is given up makes room. */
	bad = (struct vg_blob_append){ .blob = 2, .bytes = 1, .at = 7, .total = 1 };
	assert_int_equal(vg_blobs_append(x.blobs, &bad, "x"), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vg_blobs_append(x.blobs, &piece, "x"), CUDA_SUCCESS);
	for (bad.blob = 1; bad.blob <= 5; bad.blob++)
		vg_blobs_append(x.blobs, &bad, "x");
	assert_int_equal(vg_budget_held(VG_BUDGET_BLOBS), 0);
	vg_budget_take(VG_BUDGET_BLOBS, before);
}

/* Each object takes of one budget until its id is free again. */
static void handles_are_bounded(void **state)
{
	struct vg_handles *h = vg_handles_new();
	uint64_t empty = vg_budget_held(VG_BUDGET_OBJECTS), before, v;
	uint32_t n = 0;

	(void)state;
	/* So do the tables of ids, which stay. */
	for (uint32_t id = 1; id <= VG_OBJECTS_MAX / VG_STREAM_BYTES; id += 1000) {
		assert_true(vg_handle_put(h, id, VG_STREAM, 1));
		assert_true(vg_handle_take(h, id, VG_STREAM, &v));
	}
	before = vg_budget_held(VG_BUDGET_OBJECTS);
	assert_true(before > empty);
	while (n < 2 * VG_OBJECTS_MAX / VG_STREAM_BYTES && vg_handle_put(h, n + 1, VG_STREAM, 1))
		n++;
	assert_in_range(n, 1, VG_OBJECTS_MAX / VG_STREAM_BYTES);
	assert_false(vg_handle_weigh(h, 1, VG_STREAM, VG_STREAM_BYTES));
	assert_true(vg_handle_take(h, n, VG_STREAM, &v));
	assert_true(vg_handle_weigh(h, 1, VG_STREAM, VG_STREAM_BYTES));
	assert_false(vg_handle_put(h, n, VG_STREAM, 1));
	assert_true(vg_handle_take(h, 1, VG_STREAM, &v));
	assert_true(vg_handle_put(h, n, VG_STREAM, 1));
	assert_true(vg_handle_put(h, 1, VG_STREAM, 1));
	for (uint32_t id = 1; id <= n; id++)
		assert_true(vg_handle_take(h, id, VG_STREAM, &v));
	/* Images have a budget of their own, and give it back, too. */
	assert_true(vg_handle_put(h, 1, VG_MODULE, 1));
	assert_true(vg_handle_weigh(h, 1, VG_MODULE, VG_IMAGES_MAX));
	assert_false(vg_handle_weigh(h, 1, VG_MODULE, 1));
	assert_true(vg_handle_take(h, 1, VG_MODULE, &v));
	assert_int_equal(vg_budget_held(VG_BUDGET_IMAGES), 0);
	assert_int_equal(vg_budget_held(VG_BUDGET_OBJECTS), before);
}

static struct vg_account account;

static void account_limit(void **state)
{
	struct vg_exec a = { .account = &account, .entry = &account.entry[0] };
	struct vg_exec b = { .account = &account, .entry = &account.entry[200] };
	uint64_t used, limit;

	(void)state;
	memset(&account, 0, sizeof(account));
	atomic_store(&account.entries, VG_ACCOUNT_ENTRIES);
	account.limit = 1000;
	assert_true(vg_exec_charge(&a, 600));
	assert_false(vg_exec_charge(&b, 401));
	assert_true(vg_exec_charge(&b, 400));
	assert_false(vg_exec_charge(&a, 1));
	assert_false(vg_exec_charge(&a, ~0ull));
	vg_exec_memory(&a, &used, &limit);
	assert_int_equal(used, 1000);
	assert_int_equal(limit, 1000);
	vg_exec_uncharge(&b, 400);
	assert_true(vg_exec_charge(&a, 400));
	/* An executor that dies is cleared by the mediator. */
	memset((void *)&account.entry[0], 0, sizeof(account.entry[0]));
	assert_true(vg_exec_charge(&b, 1000));
}

static uint64_t now_us(void);

static void bucket_set(uint64_t rate, uint64_t burst)
{
	account.bucket[VG_BUCKET_CALLS].rate = rate;
	account.bucket[VG_BUCKET_CALLS].burst = burst;
	account.bucket[VG_BUCKET_CALLS].earned_ns = 0;
	account.bucket[VG_BUCKET_CALLS].change++;
}

/* No more at once than the burst, and no more in a time than the rate, whoever takes it. */
static void buckets(void **state)
{
	struct vg_exec a = { .account = &account, .entry = &account.entry[0] };
	struct vg_exec b = { .account = &account, .entry = &account.entry[200] };
	struct vg_account_waits *of_a = &account.waits[0], *of_b = &account.waits[200];
	uint64_t began;

	(void)state;
	memset(&account, 0, sizeof(account));
	atomic_store(&account.entries, VG_ACCOUNT_ENTRIES);
	for (int i = 0; i < 100000; i++)
		vg_exec_spend(&a, VG_BUCKET_CALLS, 1u << 30);
	assert_int_equal(of_a->waits[VG_BUCKET_CALLS], 0);
	/* One in a second: none is earned that counts while this runs. */
	bucket_set(1, 100);
	vg_bucket_spend(&a, VG_BUCKET_CALLS, 60);
	vg_bucket_spend(&b, VG_BUCKET_CALLS, 40);
	assert_int_equal(of_a->waits[VG_BUCKET_CALLS] + of_b->waits[VG_BUCKET_CALLS], 0);
	bucket_set(1000, 10);
	began = now_us();
	for (int i = 0; i < 60; i++)
		vg_bucket_spend(i % 2 ? &a : &b, VG_BUCKET_CALLS, 1);
	assert_true(now_us() - began >= 49000);
	assert_true(of_a->waits[VG_BUCKET_CALLS] > 0 && of_b->waits[VG_BUCKET_CALLS] > 0);
	assert_true(of_a->waited_us[VG_BUCKET_CALLS] > 0);
	assert_int_equal(of_a->waits[VG_BUCKET_BYTES], 0);
	/* More than the burst at once is paid before it goes on. */
	began = now_us();
	vg_bucket_spend(&a, VG_BUCKET_CALLS, 60);
	assert_true(now_us() - began >= 49000);
	/* Nonsense in the page does not wrap around, and the largest numbers wait. */
	bucket_set(UINT64_MAX, UINT64_MAX);
	vg_bucket_spend(&a, VG_BUCKET_CALLS, UINT64_MAX);
}

static void *spend_much(void *x)
{
	vg_bucket_spend(x, VG_BUCKET_CALLS, 1u << 30);
	return NULL;
}

/* Whoever waits for an hour goes on when the operator has changed the rate. */
static void bucket_changes(void **state)
{
	struct vg_exec x = { .account = &account, .entry = &account.entry[0] };
	pthread_t thread;

	(void)state;
	memset(&account, 0, sizeof(account));
	atomic_store(&account.entries, VG_ACCOUNT_ENTRIES);
	bucket_set(1, 1);
	assert_int_equal(pthread_create(&thread, NULL, spend_much, &x), 0);
	while (!account.bucket[VG_BUCKET_CALLS].earned_ns)
		usleep(1000);
	usleep(30000);
	assert_int_equal(account.waits[0].waits[VG_BUCKET_CALLS], 0);
	bucket_set(0, 0);
	pthread_join(thread, NULL);
	assert_int_equal(account.waits[0].waits[VG_BUCKET_CALLS], 1);
}

static void *clear_entry(void *entry)
{
	usleep(20000);
	memset(entry, 0, sizeof(struct vg_account_entry));
	return NULL;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

/* What a program that has gone held is free for the next one. */
static void account_waits_for_the_ending(void **state)
{
	struct vg_exec x = { .account = &account, .entry = &account.entry[1] };
	struct vg_account_entry *gone = &account.entry[7];
	uint64_t used, limit;
	pthread_t thread;

	(void)state;
	memset(&account, 0, sizeof(account));
	atomic_store(&account.entries, VG_ACCOUNT_ENTRIES);
	account.limit = 1000;
	for (int i = 0; i < 2; i++) {
		gone->memory = 900;
		gone->gone_us = now_us();
		assert_int_equal(pthread_create(&thread, NULL, clear_entry, gone), 0);
		if (i) {
			assert_true(vg_exec_charge(&x, 500));
		} else {
			assert_true(vg_exec_wait_for_ending(&x));
			vg_exec_memory(&x, &used, &limit);
			assert_int_equal(used, 0);
		}
		pthread_join(thread, NULL);
	}
	/* Others that are there keep theirs. */
	gone->memory = 400;
	assert_false(vg_exec_charge(&x, 200));
	/* So do those that went long ago, and cannot end; and who goes later is not waited for. */
	gone->gone_us = now_us() - 4000000;
	assert_false(vg_exec_wait_for_ending(&x));
	gone->gone_us = now_us() + 60000000;
	assert_false(vg_exec_wait_for_ending(&x));
	assert_false(vg_exec_charge(&x, 200));
}

#define RACERS 8

static void *race(void *arg)
{
	struct vg_exec x = { .account = &account, .entry = &account.entry[(long)arg] };
	uint64_t used, limit;

	for (int i = 0; i < 20000; i++) {
		if (!vg_exec_charge(&x, 300))
			continue;
		vg_exec_memory(&x, &used, &limit);
		vg_exec_uncharge(&x, 300);
	}
	return NULL;
}

/* After a race all that was charged is uncharged. */
static void account_race(void **state)
{
	pthread_t thread[RACERS];
	struct vg_exec x = { .account = &account };
	uint64_t used, limit;

	(void)state;
	memset(&account, 0, sizeof(account));
	atomic_store(&account.entries, VG_ACCOUNT_ENTRIES);
	account.limit = 1000;
	for (long i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race, (void *)i), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(thread[i], NULL);
	vg_exec_memory(&x, &used, &limit);
	assert_int_equal(used, 0);
}

/* Which of a vGPU's processes use a device, as their contexts come and go. */
static void account_processes(void **state)
{
	struct vg_exec a = { .account = &account, .entry = &account.entry[3],
			     .context_lock = PTHREAD_MUTEX_INITIALIZER };
	struct vg_exec b = { .account = &account, .entry = &account.entry[7],
			     .context_lock = PTHREAD_MUTEX_INITIALIZER };
	uint64_t memory[4];
	uint32_t pid[4];

	(void)state;
	memset(&account, 0, sizeof(account));
	atomic_store(&account.entries, VG_ACCOUNT_ENTRIES);
	account.limit = 1000;
	account.entry[3].pid = 30;
	account.entry[7].pid = 70;
	assert_int_equal(vg_exec_processes(&a, 0, pid, memory, 4), 0);
	vg_exec_context(&a, 0, 1);
	vg_exec_context(&a, 0, 1);
	vg_exec_context(&b, 1, 1);
	assert_true(vg_exec_charge(&a, 300));
	assert_int_equal(vg_exec_processes(&b, 0, pid, memory, 4), 1);
	assert_int_equal(pid[0], 30);
	assert_int_equal(memory[0], 300);
	/* On two devices it is not known what it holds of which. */
	vg_exec_context(&b, 0, 1);
	assert_int_equal(vg_exec_processes(&a, 0, pid, memory, 4), 2);
	assert_int_equal(pid[1], 70);
	assert_true(memory[1] == UINT64_MAX);
	assert_int_equal(vg_exec_processes(&a, 0, pid, memory, 1), 1);
	assert_int_equal(vg_exec_processes(&a, 1, pid, memory, 4), 1);
	vg_exec_context(&a, 0, -1);
	assert_int_equal(vg_exec_processes(&a, 0, pid, memory, 4), 2);
	vg_exec_context(&a, 0, -1);
	vg_exec_context(&a, 0, -1);	/* one too many */
	assert_int_equal(vg_exec_processes(&a, 0, pid, memory, 4), 1);
	vg_exec_context(&a, 0, 1);
	assert_int_equal(vg_exec_processes(&a, 0, pid, memory, 4), 2);
	vg_exec_context(&a, -1, 1);
	vg_exec_context(&a, 64, 1);
	assert_int_equal(vg_exec_processes(&a, -1, pid, memory, 4), 0);
	assert_int_equal(vg_exec_processes(&a, 64, pid, memory, 4), 0);
}

static void arena_window(void **state)
{
	static uint8_t memory[8192];
	struct vg_exec x = { .ch = { .arena = memory, .layout = { .arena_bytes = 8192 } } };

	(void)state;
	assert_ptr_equal(vg_exec_arena(&x, 0, 8192), memory);
	assert_ptr_equal(vg_exec_arena(&x, 8192, 0), memory + 8192);
	assert_null(vg_exec_arena(&x, 0, 8193));
	assert_null(vg_exec_arena(&x, 8193, 0));
	assert_null(vg_exec_arena(&x, 1, 8192));
	assert_null(vg_exec_arena(&x, ~0u, 1));
	assert_null(vg_exec_arena(&x, 1, ~0ull));
}

/* Whatever is opened before the channel comes has a higher number than the channel. */
static int channel_is_lowest(void)
{
	int before, channel;

	dup2(STDERR_FILENO, VG_CONTROL_FD);
	close_range(VG_CHANNEL_FD, ~0u, 0);
	if (vg_channel_reserve())
		return 1;
	before = open("/dev/null", O_RDONLY);
	channel = memfd_create("channel", MFD_CLOEXEC);
	if (write(channel, "x", 1) != 1 || vg_channel_keep(channel) != VG_CHANNEL_FD)
		return 2;
	if (before <= VG_CHANNEL_FD || lseek(VG_CHANNEL_FD, 0, SEEK_END) != 1)
		return 3;
	return fcntl(channel, F_GETFD) < 0 && fcntl(VG_CHANNEL_FD, F_GETFD) == FD_CLOEXEC ? 0 : 4;
}

static void channel_descriptor(void **state)
{
	int status;
	pid_t child = syscall(SYS_fork);

	(void)state;
	if (!child)
		_exit(channel_is_lowest());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void *nothing(void *arg)
{
	return arg;
}

/* What no executor may do; each is refused with EPERM. */
#define REFUSED(call)                                                                       \
	do {                                                                                \
		errno = 0;                                                                  \
		if ((long)(call) >= 0 || errno != EPERM)                                    \
			return __LINE__;                                                    \
	} while (0)
#define ALLOWED(call)                                                                       \
	do {                                                                                \
		if ((long)(call) < 0)                                                       \
			return __LINE__;                                                    \
	} while (0)

static int others_are_out_of_reach(pid_t other)
{
	struct f_owner_ex owner = { F_OWNER_PID, other };
	struct sched_param param = { 0 };
	struct rlimit limit;
	cpu_set_t cpus;
	int pair[2], on = 1;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	ALLOWED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	REFUSED(kill(other, 0));
	REFUSED(syscall(SYS_tkill, other, 0));
	REFUSED(syscall(SYS_tgkill, other, other, 0));
	REFUSED(syscall(SYS_rt_sigqueueinfo, other, 0, NULL));
	REFUSED(syscall(SYS_pidfd_open, other, 0));
	REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	REFUSED(syscall(SYS_process_vm_readv, other, NULL, 0, NULL, 0, 0));
	/* A signal by way of a descriptor's owner. */
	REFUSED(fcntl(pair[0], F_SETOWN, other));
	REFUSED(fcntl(pair[0], F_SETOWN_EX, &owner));
	REFUSED(fcntl(pair[0], F_SETSIG, SIGKILL));
	REFUSED(fcntl(pair[0], F_SETFL, O_ASYNC));
	REFUSED(fcntl(pair[0], F_NOTIFY, 1));
	REFUSED(ioctl(pair[0], FIOSETOWN, &other));
	REFUSED(ioctl(pair[0], SIOCSPGRP, &other));
	REFUSED(ioctl(pair[0], FIOASYNC, &on));
	REFUSED(ioctl(pair[0], TIOCSTI, "x"));
	/* Limits, processors and priorities. */
	REFUSED(prlimit(other, RLIMIT_NOFILE, NULL, &limit));
	REFUSED(sched_setaffinity(other, sizeof(cpus), &cpus));
	REFUSED(sched_setscheduler(other, SCHED_IDLE, &param));
	REFUSED(syscall(SYS_sched_setattr, other, NULL, 0));
	REFUSED(setpriority(PRIO_PROCESS, other, 19));
	REFUSED(setpriority(PRIO_USER, 0, 19));
	REFUSED(syscall(SYS_ioprio_set, 3, 0, 3 << 13));
	REFUSED(syscall(SYS_migrate_pages, other, 1, NULL, NULL));
	REFUSED(syscall(SYS_process_madvise, 0, NULL, 0, 0, 0));
	/* It dies with its mediator. */
	REFUSED(prctl(PR_SET_PDEATHSIG, 0));
	REFUSED(prctl(PR_SET_DUMPABLE, 1));
	REFUSED(prctl(PR_SET_PTRACER, -1));
	return 0;
}

static int no_programs_no_network(void)
{
	struct sockaddr_un nobody = { .sun_family = AF_UNIX, .sun_path = "/nonexistent" };
	int fd, pair[2];

	REFUSED(fork());
	REFUSED(syscall(SYS_vfork));
	REFUSED(syscall(SYS_clone, CLONE_VM | SIGCHLD, 0, 0, 0, 0));
	REFUSED(syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET, 0, 0, 0,
			0));
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
		return __LINE__;
	REFUSED(execl("/bin/true", "true", NULL));
	REFUSED(syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0));
	REFUSED(socket(AF_INET, SOCK_DGRAM, 0));
	REFUSED(socket(AF_INET6, SOCK_STREAM, 0));
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
	REFUSED(socket(AF_VSOCK, SOCK_STREAM, 0));
	REFUSED(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	REFUSED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ALLOWED(fd);
	REFUSED(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)));
	REFUSED(bind(fd, (struct sockaddr *)&nobody, sizeof(nobody)));
	REFUSED(listen(fd, 1));
	REFUSED(sendto(fd, "x", 1, 0, (struct sockaddr *)&nobody, sizeof(nobody)));
	return 0;
}

static int no_files_made_or_changed(void)
{
	REFUSED(unlink("/nonexistent"));
	REFUSED(rmdir("/nonexistent"));
	REFUSED(rename("/nonexistent", "/x"));
	REFUSED(link("/nonexistent", "/x"));
	REFUSED(symlink("/nonexistent", "/x"));
	REFUSED(mkdir("/nonexistent", 0777));
	REFUSED(mkdirat(AT_FDCWD, "/nonexistent", 0777));
	REFUSED(mknod("/nonexistent", S_IFIFO | 0666, 0));
	REFUSED(truncate("/nonexistent", 0));
	REFUSED(chmod("/nonexistent", 0777));
	REFUSED(syscall(452, AT_FDCWD, "/nonexistent", 0777, 0));	/* fchmodat2 */
	REFUSED(chown("/nonexistent", 0, 0));
	REFUSED(utimensat(AT_FDCWD, "/nonexistent", NULL, 0));
	REFUSED(syscall(SYS_setxattr, "/nonexistent", "user.x", "", 0, 0));
	return 0;
}

static int no_kernel_doors(void)
{
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	REFUSED(syscall(SYS_userfaultfd, 0));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
	REFUSED(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
	REFUSED(syscall(SYS_add_key, "user", "x", "y", 1, -3));
	REFUSED(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	REFUSED(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
	REFUSED(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	REFUSED(syscall(SYS_fsopen, "tmpfs", 0));
	REFUSED(syscall(SYS_unshare, 0));
	REFUSED(syscall(SYS_setns, -1, 0));
	REFUSED(syscall(SYS_seccomp, 0, 0, NULL));
	REFUSED(syscall(SYS_syslog, 3, NULL, 0));
	REFUSED(syscall(SYS_shmget, 0, 4096, 0));
	REFUSED(setuid(0));
	REFUSED(syscall(SYS_setresuid, 0, 0, 0));
	REFUSED(syscall(SYS_capset, NULL, NULL));
	REFUSED(syscall(SYS_memfd_create, "x", MFD_HUGETLB));
	REFUSED(syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
			-1, 0));
	REFUSED(syscall(4095));				/* one that is yet to come */
	return 0;
}

static int computing_works(void)
{
	struct rlimit limit;
	pthread_t thread;
	int fd, pair[2];

	/* What the driver needs. */
	ALLOWED(-raise(SIGCONT));
	ALLOWED(getrlimit(RLIMIT_NOFILE, &limit));
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		return __LINE__;
	if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return __LINE__;
	fd = memfd_create("x", MFD_ALLOW_SEALING);
	ALLOWED(fd);
	ALLOWED(ftruncate(fd, 4096));
	ALLOWED(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	ALLOWED(fcntl(fd, F_DUPFD_CLOEXEC, 10));
	ALLOWED(prctl(PR_SET_NAME, "x"));
	ALLOWED(open("/dev/null", O_RDWR));
	ALLOWED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	ALLOWED(fcntl(pair[0], F_SETFL, O_NONBLOCK));
	ALLOWED(send(pair[0], "x", 1, 0));
	ALLOWED(sched_yield());
	return 0;
}

static pid_t parent;

static int filter_refuses(void)
{
	int line;

	if (vg_filter_enter("", false, NULL))
		return __LINE__;
	line = computing_works();
	if (!line)
		line = others_are_out_of_reach(parent);
	if (!line)
		line = no_programs_no_network();
	if (!line)
		line = no_files_made_or_changed();
	return line ? line : no_kernel_doors();
}

static int filter_adds(void)
{
	if (vg_filter_enter("getpid,unlink,clone3,fcntl", true, NULL))
		return __LINE__;
	if (!unlink("/nonexistent") || errno != ENOENT)
		return __LINE__;
	if (!mkdir("/nonexistent/x", 0700) || errno != ENOENT)
		return __LINE__;
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != EINVAL)
		return __LINE__;
	REFUSED(rename("/nonexistent", "/x"));
	ALLOWED(fcntl(0, F_SETOWN, getpid()));
	return 0;
}

/* Where somebody has the only listener, calls are refused without one. */
static int filter_without_listener(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		    &program) < 0)
		return __LINE__;
	if (!vg_filter_enter("rmdir", false, &listener) || vg_filter_enter("rmdir", false, NULL))
		return __LINE__;
	if (!rmdir("/nonexistent") || errno != ENOENT)
		return __LINE__;
	REFUSED(truncate("/nonexistent", 0));
	return computing_works();
}

static int filter_names(void)
{
	return vg_filter_enter("getpid,no_such_call", false, NULL) == -EINVAL ? 0 : __LINE__;
}

/* In a process of its own, for there is no way out; `run` returns the line that is wrong. */
static void apart(int (*run)(void))
{
	int status, line = 0, told[2];
	pid_t child;

	parent = getpid();
	assert_int_equal(pipe(told), 0);
	child = syscall(SYS_fork);
	if (!child) {
		line = run();
		_exit(write(told[1], &line, sizeof(line)) != sizeof(line));
	}
	assert_true(child > 0);
	close(told[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(read(told[0], &line, sizeof(line)), sizeof(line));
	close(told[0]);
	if (line)
		fail_msg("line %d: %s", line, "not as it should be");
}

static void filter(void **state)
{
	(void)state;
	apart(filter_refuses);
	apart(filter_adds);
	apart(filter_names);
	apart(filter_without_listener);
}

/* -- files */

static char store[] = "/tmp/vgpu-store-XXXXXX", aside[] = "/tmp/vgpu-aside-XXXXXX";

static int opens(const char *dir, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -errno;
}

static int files_confined(void)
{
	int rules, kept = open("/etc/passwd", O_RDONLY);
	char made[64], byte;

	setenv("CUDA_CACHE_PATH", store, 1);
	rules = vg_files_prepare(NULL, NULL, NULL);
	if (rules < 0 || vg_files_confine(rules))
		return __LINE__;
	/* The driver's. */
	if (opens("/dev", "null", O_RDWR) || opens("/proc/self", "maps", O_RDONLY) ||
	    opens("/proc", "cpuinfo", O_RDONLY) ||
	    opens("/sys/devices/system/cpu", "online", O_RDONLY) ||
	    opens("/usr/lib", ".", O_RDONLY | O_DIRECTORY) ||
	    opens("/etc", "ld.so.cache", O_RDONLY))
		return __LINE__;
	/* As libcuda opens it (580.159), to name a thread. */
	snprintf(made, sizeof(made), "/proc/self/task/%d", getpid());
	if (opens(made, "comm", O_WRONLY | O_CREAT | O_TRUNC))
		return __LINE__;
	if (opens(store, "made", O_RDWR | O_CREAT | O_TRUNC))
		return __LINE__;
	snprintf(made, sizeof(made), "%s/folder", store);
	if (mkdir(made, 0700) || rmdir(made))
		return __LINE__;
	/* Nobody else's. */
	if (opens("/etc", "passwd", O_RDONLY) != -EACCES ||
	    opens(aside, "made", O_RDWR | O_CREAT) != -EACCES ||
	    opens(aside, "there", O_RDONLY) != -EACCES ||
	    opens(aside, "there", O_WRONLY | O_TRUNC) != -EACCES ||
	    opens("/usr/lib", "x", O_RDWR | O_CREAT) != -EACCES ||
	    opens("/proc/1", "cmdline", O_RDONLY) != -EACCES ||
	    opens("/dev", "tty", O_RDWR) != -EACCES || opens("/", ".", O_RDONLY) != -EACCES)
		return __LINE__;
	snprintf(made, sizeof(made), "%s/folder", aside);
	if (!mkdir(made, 0700) || errno != EACCES)
		return __LINE__;
	/* What was open stays so. */
	return read(kept, &byte, 1) == 1 ? 0 : __LINE__;
}

static int files_added(void)
{
	int rules;

	setenv("CUDA_CACHE_DISABLE", "1", 1);
	setenv("CUDA_CACHE_PATH", store, 1);
	rules = vg_files_prepare(NULL, "/nonexistent:/etc/passwd", aside);
	if (rules < 0 || vg_files_confine(rules))
		return __LINE__;
	if (opens("/etc", "passwd", O_RDONLY) || opens(aside, "made", O_RDWR | O_CREAT))
		return __LINE__;
	return opens(store, "made", O_RDONLY) == -EACCES ? 0 : __LINE__;
}

static void files(void **state)
{
	char path[64];
	int rules = vg_files_prepare(NULL, NULL, NULL);

	(void)state;
	if (rules == -ENOSYS || rules == -EOPNOTSUPP)
		skip();
	close(rules);
	assert_non_null(mkdtemp(store));
	assert_non_null(mkdtemp(aside));
	assert_int_equal(opens(aside, "there", O_WRONLY | O_CREAT), 0);
	apart(files_confined);
	apart(files_added);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", i % 2 ? store : aside,
			 i / 2 ? "made" : "there");
		unlink(path);
	}
	assert_int_equal(rmdir(store), 0);
	assert_int_equal(rmdir(aside), 0);
}

static int powerless(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];
	struct passwd *nobody = getpwnam("nobody");

	if (vg_sandbox_user("nobody", false))
		return 1;
	if (getuid() != nobody->pw_uid || geteuid() != nobody->pw_uid ||
	    getgid() != nobody->pw_gid || getegid() != nobody->pw_gid)
		return 2;
	if (getgroups(0, NULL) > 1)
		return 3;
	if (!setuid(0) || !seteuid(0))
		return 4;
	if (syscall(SYS_capget, &head, caps) || caps[0].permitted || caps[1].permitted)
		return 5;
	return strcmp(getenv("HOME"), nobody->pw_dir) ? 6 : 0;
}

/* One of the driver's, which may block all signals that it can. */
static void *deaf(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	*(_Atomic bool *)arg = true;
	for (;;)
		pause();
	return NULL;
}

/* Whether each thread has these four user ids, and these capabilities that it may have. */
static bool each_thread(uint32_t real, uint32_t saved, uint64_t permitted, uint64_t effective)
{
	unsigned long long prm, eff, id[4];
	char path[300], line[256];
	struct dirent *e;
	int threads = 0;
	DIR *tasks = opendir("/proc/self/task");

	while ((e = readdir(tasks))) {
		bool good = true;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "Uid: %llu %llu %llu %llu", id, id + 1, id + 2,
				   id + 3) == 4)
				good &= id[0] == real && id[1] == real && id[2] == saved &&
					id[3] == real;
			else if (sscanf(line, "CapPrm: %llx", &prm) == 1)
				good &= prm == permitted;
			else if (sscanf(line, "CapEff: %llx", &eff) == 1)
				good &= eff == effective;
		}
		if (!f || !good)
			return false;
		fclose(f);
		threads++;
	}
	closedir(tasks);
	return threads == 2;
}

static int becomes_later(void)
{
	struct passwd *nobody = getpwnam("nobody");
	_Atomic bool up = false;
	pthread_t thread;

	if (vg_sandbox_user("nobody", true))
		return __LINE__;
	/* As the driver starts its threads before it is known whom they serve. */
	if (pthread_create(&thread, NULL, deaf, (void *)&up))
		return __LINE__;
	while (!up)
		usleep(1000);
	if (!each_thread(nobody->pw_uid, 0, 1u << CAP_SETUID | 1u << CAP_SETGID, 0))
		return __LINE__;
	if (open("/etc/shadow", O_RDONLY) >= 0)
		return __LINE__;
	if (vg_sandbox_become(200123))
		return __LINE__;
	if (!each_thread(200123, 200123, 0, 0) || getgroups(0, NULL) || getgid() != 200123)
		return __LINE__;
	if (!seteuid(0) || !setuid(0) || !setuid(nobody->pw_uid) || !setgid(0))
		return __LINE__;
	return 0;
}

static void user_of_a_vgpu(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	apart(becomes_later);
}

static void another_user(void **state)
{
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(vg_sandbox_user("no-such-user", false), -ENOENT);
	if (geteuid())
		skip();
	child = syscall(SYS_fork);
	if (!child)
		_exit(powerless());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* -- images */

#define FATBIN_BYTES 32u
#define PIECES 3u

/* A linked fat binary and a list of two. */
static struct vg_bundle *bundle(size_t *bytes)
{
	static const uint64_t fatbin[FATBIN_BYTES / 8] = { 0x00100001ba55ed50, 16 };
	uint64_t at = vg_bundle_head(PIECES);
	struct vg_bundle *b = calloc(1, at + PIECES * FATBIN_BYTES);

	*b = (struct vg_bundle){ VG_BUNDLE_MAGIC, PIECES };
	for (unsigned int i = 0; i < PIECES; i++) {
		b->bytes[i] = FATBIN_BYTES;
		memcpy((uint8_t *)b + at + i * FATBIN_BYTES, fatbin, sizeof(fatbin));
	}
	*bytes = at + PIECES * FATBIN_BYTES;
	return b;
}

static void images_bundled(void **state)
{
	size_t bytes;
	struct vg_bundle *b = bundle(&bytes);
	const uint8_t *first = (uint8_t *)b + vg_bundle_head(PIECES);
	const struct vg_wrapper *w;
	struct vg_x_image i;

	(void)state;
	assert_int_equal(vg_x_image_take(&i, b, bytes), CUDA_SUCCESS);
	w = i.start;
	assert_int_equal(w->magic, VG_WRAPPER_MAGIC);
	assert_int_equal(w->version, 2);
	assert_ptr_equal(w->data, first);
	assert_ptr_equal(w->list[0], first + FATBIN_BYTES);
	assert_ptr_equal(w->list[1], first + 2 * FATBIN_BYTES);
	assert_null(w->list[2]);
	vg_x_image_drop(&i);
	free(b);
}

static void images_refused(void **state)
{
	static const uint64_t lengths[] = {
		0, 15, FATBIN_BYTES - 1, FATBIN_BYTES + 1, 1ull << 32, ~0ull, ~0ull - 14,
	};
	static const uint32_t counts[] = { 0, 1, PIECES + 1, VG_BUNDLE_COUNT_MAX + 1, ~0u };
	uint32_t wrapper[8] = { VG_WRAPPER_MAGIC, 2 };
	size_t bytes;
	struct vg_bundle *b = bundle(&bytes);
	struct vg_x_image i;

	(void)state;
	for (unsigned int n = 0; n < bytes; n++)
		assert_int_equal(vg_x_image_take(&i, b, n), CUDA_ERROR_INVALID_IMAGE);
	for (unsigned int piece = 0; piece < PIECES; piece++) {
		for (unsigned int k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			b->bytes[piece] = lengths[k];
			assert_int_equal(vg_x_image_take(&i, b, bytes), CUDA_ERROR_INVALID_IMAGE);
		}
		b->bytes[piece] = FATBIN_BYTES;
	}
	for (unsigned int k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		b->count = counts[k];
		assert_int_equal(vg_x_image_take(&i, b, bytes), CUDA_ERROR_INVALID_IMAGE);
	}
	b->count = PIECES;
	assert_int_equal(vg_x_image_take(&i, b, bytes), CUDA_SUCCESS);
	vg_x_image_drop(&i);
	/* A bundle in a bundle, and pointers of the guest's. */
	*(uint32_t *)((uint8_t *)b + vg_bundle_head(PIECES)) = VG_BUNDLE_MAGIC;
	assert_int_equal(vg_x_image_take(&i, b, bytes), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(vg_x_image_take(&i, wrapper, sizeof(wrapper)), CUDA_ERROR_INVALID_IMAGE);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_bundled),
		cmocka_unit_test(images_refused),
		cmocka_unit_test(handles_by_kind),
		cmocka_unit_test(handles_out_of_range),
		cmocka_unit_test(handles_reserved),
		cmocka_unit_test(handles_lost),
		cmocka_unit_test(lost_context_counts),
		cmocka_unit_test(handles_of_owners),
		cmocka_unit_test(handles_change_owner),
		cmocka_unit_test(handles_weigh_their_parts),
		cmocka_unit_test(handles_by_value),
		cmocka_unit_test(handles_serial),
		cmocka_unit_test(blob_in_pieces),
		cmocka_unit_test(blob_in_use),
		cmocka_unit_test(blob_bounds),
		cmocka_unit_test(blob_flood),
		cmocka_unit_test(blob_bytes),
		cmocka_unit_test(handles_are_bounded),
		cmocka_unit_test(account_limit),
		cmocka_unit_test(buckets),
		cmocka_unit_test(bucket_changes),
		cmocka_unit_test(account_waits_for_the_ending),
		cmocka_unit_test(account_race),
		cmocka_unit_test(account_processes),
		cmocka_unit_test(arena_window),
		cmocka_unit_test(channel_descriptor),
		cmocka_unit_test(filter),
		cmocka_unit_test(files),
		cmocka_unit_test(another_user),
		cmocka_unit_test(user_of_a_vgpu),
	};

	return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
