// SPDX-License-Identifier: Apache-2.0
/*
 * What a hostile program can do with the calls themselves: each record here is well
 * formed, and together they try to reach what the executor has for itself.  Needs a
 * mediator at VGPU_TRANSPORT=unix:PATH, whose executors load softgpu.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>

#include "common/ops_internal.h"
#include "executor/budget.h"
#include "executor/handles.h"
#include "peer.h"
#include "vg_wire.h"

#define CTX	1u
#define VA	0x7d0000000000ull
#define BYTES	65536u

static struct channel open_with_context(void)
{
	struct channel ch = channel_open();
	struct vg_rq_vgpu_primary_retain q = { .dev = 0, .id = CTX };

	assert_int_equal(call(&ch, VG_OP_vgpu_primary_retain, &q, sizeof(q)), CUDA_SUCCESS);
	return ch;
}

static void share_at(struct channel *ch, uint64_t va, uint32_t token, int32_t result)
{
	struct vg_share_map map = { .va = va, .bytes = BYTES, .token = token };

	send_memfd(ch, token, BYTES);
	assert_int_equal(call(ch, VG_OP_SHARE, &map, sizeof(map)), result);
}

static int32_t unshare(struct channel *ch, uint64_t va, uint64_t bytes)
{
	struct vg_share_unmap unmap = { .va = va, .bytes = bytes };

	return call_in(ch, VG_OP_UNSHARE, CTX, &unmap, sizeof(unmap), NULL, 0);
}

static int32_t host_register(struct channel *ch, uint64_t va, uint64_t bytes)
{
	struct vg_rq_vgpu_host_register q = { .va = va, .bytes = bytes };

	return call_in(ch, VG_OP_vgpu_host_register, CTX, &q, sizeof(q), NULL, 0);
}

static uint64_t device_memory(struct channel *ch, uint64_t bytes)
{
	struct vg_rq_cuMemAlloc_v2 q = { .bytesize = bytes };
	struct vg_rp_cuMemAlloc_v2 p;

	assert_int_equal(call_in(ch, VG_OP_cuMemAlloc_v2, CTX, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	return p.dptr;
}

static int32_t device_copy(struct channel *ch, uint64_t dst, uint64_t src)
{
	struct vg_rq_cuMemcpyDtoDAsync_v2 q = {
		.dstDevice = dst, .srcDevice = src, .ByteCount = 4096,
	};

	return call_in(ch, VG_OP_cuMemcpyDtoDAsync_v2, CTX, &q, sizeof(q), NULL, 0);
}

/* The driver lets go of memory before it is unmapped, whoever forgets to tell it. */
static void unshare_ends_registration(void **state)
{
	struct channel ch = open_with_context();
	uint64_t dev = device_memory(&ch, 4096);

	(void)state;
	share_at(&ch, VA, 1, CUDA_SUCCESS);
	share_at(&ch, VA + BYTES, 2, CUDA_SUCCESS);
	/* Over both pieces; either of them takes the whole registration along. */
	assert_int_equal(host_register(&ch, VA, 2 * BYTES), CUDA_SUCCESS);
	assert_int_equal(device_copy(&ch, dev, VA), CUDA_SUCCESS);
	assert_int_equal(unshare(&ch, VA + BYTES, BYTES), CUDA_SUCCESS);
	assert_int_equal(device_copy(&ch, dev, VA), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(device_copy(&ch, dev, VA + BYTES), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(host_register(&ch, VA, BYTES), CUDA_SUCCESS);
	assert_int_equal(unshare(&ch, VA, BYTES), CUDA_SUCCESS);
	assert_int_equal(device_copy(&ch, VA, dev), CUDA_ERROR_INVALID_VALUE);
	/* What is unmapped is not registered either. */
	assert_int_equal(host_register(&ch, VA, BYTES), CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

/* The process but this one that has the channel's memory mapped; 0: not to be seen. */
static pid_t executor_of(struct channel *ch)
{
	char name[300], line[512];
	DIR *all = opendir("/proc");
	struct dirent *entry;
	unsigned long inode;
	struct stat own;
	pid_t found = 0;

	assert_int_equal(fstat(ch->memory, &own), 0);
	while (!found && (entry = readdir(all))) {
		pid_t pid = atoi(entry->d_name);
		FILE *maps;

		snprintf(name, sizeof(name), "/proc/%d/maps", pid);
		maps = pid && pid != getpid() ? fopen(name, "r") : NULL;
		while (maps && fgets(line, sizeof(line), maps))
			if (sscanf(line, "%*s %*s %*s %*s %lu", &inode) == 1 &&
			    inode == own.st_ino && strstr(line, "memfd:"))
				found = pid;
		if (maps)
			fclose(maps);
	}
	closedir(all);
	return found;
}

/* The line of /proc/PID/maps that holds an address; false: nothing does. */
static bool mapping_at(pid_t pid, uint64_t va, char *access)
{
	char name[64], line[512];
	bool found = false;
	FILE *maps;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "r");
	assert_non_null(maps);
	while (!found && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;

		found = sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3 && from <= va &&
			va < to;
	}
	fclose(maps);
	return found;
}

/* Where a guest has shared memory the executor never has its own. */
static void address_stays_the_guests(void **state)
{
	struct channel ch = open_with_context();
	pid_t pid = executor_of(&ch);
	char access[8];

	(void)state;
	if (!pid)
		skip();		/* only root may look */
	share_at(&ch, VA, 1, CUDA_SUCCESS);
	assert_true(mapping_at(pid, VA, access));
	assert_string_equal(access, "rw-s");
	assert_int_equal(unshare(&ch, VA, BYTES), CUDA_SUCCESS);
	assert_true(mapping_at(pid, VA, access));
	assert_string_equal(access, "---p");
	/* The guest may come back, also with more than it had, and beside it. */
	share_at(&ch, VA, 2, CUDA_SUCCESS);
	share_at(&ch, VA + BYTES, 3, CUDA_SUCCESS);
	share_at(&ch, VA - BYTES, 4, CUDA_SUCCESS);
	assert_int_equal(unshare(&ch, VA - BYTES, 3 * BYTES), CUDA_SUCCESS);
	for (uint64_t va = VA - BYTES; va < VA + 2 * BYTES; va += 4096) {
		assert_true(mapping_at(pid, va, access));
		assert_string_equal(access, "---p");
	}
	channel_close(&ch);
}

/*
 * The executor maps memory of the guest neither over other memory of the guest nor over its
 * own, here its stack.
 */
static void share_over_a_mapping_is_refused(void **state)
{
	struct channel ch = open_with_context();
	pid_t pid = executor_of(&ch);
	char name[64], line[512];
	unsigned long from = 0;
	FILE *maps;

	(void)state;
	if (!pid)
		skip();
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[stack]"))
			sscanf(line, "%lx", &from);
	fclose(maps);
	assert_int_not_equal(from, 0);
	share_at(&ch, VA, 1, CUDA_SUCCESS);
	share_at(&ch, VA, 2, CUDA_ERROR_MAP_FAILED);
	share_at(&ch, from, 3, CUDA_ERROR_MAP_FAILED);
	channel_close(&ch);
}

static void stream(struct channel *ch, uint32_t id)
{
	struct vg_rq_cuStreamCreate q = { .phStream = id, .Flags = 1 };

	assert_int_equal(call_in(ch, VG_OP_cuStreamCreate, CTX, &q, sizeof(q), NULL, 0),
			 CUDA_SUCCESS);
}

static int32_t capture_begin(struct channel *ch, uint32_t s)
{
	struct vg_rq_cuStreamBeginCapture_v2 q = { .hStream = s };

	return call_in(ch, VG_OP_cuStreamBeginCapture_v2, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t capture_end(struct channel *ch, uint32_t s, uint32_t *graph)
{
	struct vg_rq_vgpu_capture_end q = { .stream = s };
	struct vg_rp_vgpu_capture_end p = { 0 };
	int32_t r = call_in(ch, VG_OP_vgpu_capture_end, CTX, &q, sizeof(q), &p, sizeof(p));

	*graph = VG_TOLD_ID(p.graph);
	return r;
}

/* Of each copy between the device and the host, on stream 2; its status. */
static int32_t copy(struct channel *ch, uint16_t op, uint64_t va, uint64_t dev)
{
	struct vg_rq_vgpu_copy_in in = { .dst = dev, .va = va, .bytes = 4096, .stream = 2 };
	struct vg_rq_vgpu_copy_out out = { .src = dev, .va = va, .bytes = 4096, .stream = 2 };
	struct vg_rq_vgpu_write_arena write = { .dst = dev, .stream = 2, .block_bytes = 4096 };
	struct vg_rq_vgpu_read_arena read = { .src = dev, .stream = 2, .block_bytes = 4096 };
	struct vg_rq_vgpu_write3d write3d = {
		.copy = { .dst = dev, .width = 64, .height = 2, .depth = 2, .dst_pitch = 64,
			  .dst_height = 2 },
		.stream = 2, .block_bytes = 256,
	};
	struct vg_rq_vgpu_read3d read3d = {
		.copy = { .src = dev, .width = 64, .height = 2, .depth = 2, .src_pitch = 64,
			  .src_height = 2 },
		.stream = 2, .block_bytes = 256,
	};

	switch (op) {
	case VG_OP_vgpu_copy_in:
	case VG_OP_vgpu_stage_in:
		return call_in(ch, op, CTX, &in, sizeof(in), NULL, 0);
	case VG_OP_vgpu_copy_out:
	case VG_OP_vgpu_stage_out:
		return call_in(ch, op, CTX, &out, sizeof(out), NULL, 0);
	case VG_OP_vgpu_write_arena:
		return call_in(ch, op, CTX, &write, sizeof(write), NULL, 0);
	case VG_OP_vgpu_read_arena:
		return call_in(ch, op, CTX, &read, sizeof(read), NULL, 0);
	case VG_OP_vgpu_write3d:
		return call_in(ch, op, CTX, &write3d, sizeof(write3d), NULL, 0);
	default:
		return call_in(ch, op, CTX, &read3d, sizeof(read3d), NULL, 0);
	}
}

/*
 * A graph keeps the address of pageable memory, and whatever lies there later is what its
 * launches copy.  So such a copy is refused; of registered memory the driver knows better.
 */
static void capture_keeps_no_pageable_address(void **state)
{
	static const uint16_t ops[] = {
		VG_OP_vgpu_copy_in, VG_OP_vgpu_copy_out, VG_OP_vgpu_stage_in,
		VG_OP_vgpu_stage_out, VG_OP_vgpu_write_arena, VG_OP_vgpu_read_arena,
		VG_OP_vgpu_write3d, VG_OP_vgpu_read3d,
	};
	struct channel ch = open_with_context();
	uint64_t dev = device_memory(&ch, 4096);
	uint32_t graph;

	(void)state;
	stream(&ch, 2);
	share_at(&ch, VA, 1, CUDA_SUCCESS);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		assert_int_equal(copy(&ch, ops[i], VA, dev), CUDA_SUCCESS);
		assert_int_equal(capture_begin(&ch, 2), CUDA_SUCCESS);
		assert_int_equal(copy(&ch, ops[i], VA, dev), CUDA_ERROR_NOT_SUPPORTED);
		assert_int_equal(capture_end(&ch, 2, &graph), CUDA_SUCCESS);
	}
	assert_int_equal(host_register(&ch, VA, BYTES), CUDA_SUCCESS);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(capture_begin(&ch, 2), CUDA_SUCCESS);
		assert_int_equal(copy(&ch, ops[i], VA, dev), CUDA_SUCCESS);
		assert_int_equal(capture_end(&ch, 2, &graph), CUDA_SUCCESS);
	}
	channel_close(&ch);
}

static int32_t graph_nodes(struct channel *ch, uint32_t graph)
{
	struct vg_rq_vgpu_graph_nodes q = { .graph = graph, .room = 4 };

	return call_in(ch, VG_OP_vgpu_graph_nodes, CTX, &q, sizeof(q), NULL, 0);
}

static uint32_t graph_under_capture(struct channel *ch, uint32_t s)
{
	struct vg_rq_vgpu_capture_info q = { .stream = s };
	struct vg_rp_vgpu_capture_info p;

	assert_int_equal(call_in(ch, VG_OP_vgpu_capture_info, CTX, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	assert_int_equal(graph_nodes(ch, VG_TOLD_ID(p.info.graph)), CUDA_SUCCESS);
	return VG_TOLD_ID(p.info.graph);
}

static int32_t create_allocation(struct channel *ch, uint32_t id, uint64_t bytes)
{
	struct vg_rq_vgpu_mem_create q = { .handle = id, .bytes = bytes };

	return call_in(ch, VG_OP_vgpu_mem_create, CTX, &q, sizeof(q), NULL, 0);
}

/* Memory whose id cannot be had is not made, and not charged: the limit is 1 GiB. */
static void allocation_without_an_id(void **state)
{
	struct channel ch = open_with_context();
	uint64_t bytes = 400ull << 20;

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(create_allocation(&ch, CTX, bytes), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(create_allocation(&ch, 2, bytes), CUDA_SUCCESS);
	assert_int_equal(create_allocation(&ch, 3, bytes), CUDA_SUCCESS);
	assert_int_equal(create_allocation(&ch, 4, bytes), CUDA_ERROR_OUT_OF_MEMORY);
	channel_close(&ch);
}

/* Processes of this vGPU with a context on the device, as our NVML would show them. */
static unsigned int processes(struct channel *ch)
{
	struct vg_rq_vgpu_processes q = { .ordinal = 0 };
	struct vg_rp_vgpu_processes p;

	assert_int_equal(call_in(ch, VG_OP_vgpu_processes, 0, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	return p.list.count;
}

/* A context whose id cannot be had is not made, and does not count. */
static void context_without_an_id(void **state)
{
	struct channel ch = channel_open();
	struct vg_rq_cuGraphCreate graph = { .phGraph = CTX };
	struct vg_rq_vgpu_context_create create = { .ctx = CTX, .dev = 0 };

	(void)state;
	/* Executors of the tests before this one may still be ending. */
	for (int i = 0; processes(&ch); i++) {
		assert_in_range(i, 0, 2000);
		usleep(10000);
	}
	assert_int_equal(call(&ch, VG_OP_cuGraphCreate, &graph, sizeof(graph)), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_context_create, &create, sizeof(create)),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(processes(&ch), 0);
	create.ctx = CTX + 1;
	assert_int_equal(call(&ch, VG_OP_vgpu_context_create, &create, sizeof(create)),
			 CUDA_SUCCESS);
	assert_int_equal(processes(&ch), 1);
	channel_close(&ch);
}

static int32_t with_stream(struct channel *ch, uint16_t op, uint32_t s)
{
	struct vg_rq_cuStreamSynchronize q = { .hStream = s };	/* as all that take a stream alone */

	return call_in(ch, op, CTX, &q, sizeof(q), NULL, 0);
}

/* The driver frees the graph of a capture that fails; its id leads nowhere then. */
static void failed_capture_leaves_no_graph(void **state)
{
	struct channel ch = open_with_context();
	uint32_t id, graph;

	(void)state;
	stream(&ch, 2);
	assert_int_equal(capture_begin(&ch, 2), CUDA_SUCCESS);
	id = graph_under_capture(&ch, 2);
	assert_int_equal(with_stream(&ch, VG_OP_cuStreamSynchronize, 2),
			 CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_not_equal(capture_end(&ch, 2, &graph), CUDA_SUCCESS);
	assert_int_equal(graph_nodes(&ch, id), CUDA_ERROR_INVALID_VALUE);
	/* Nor when the stream goes in the middle of it. */
	assert_int_equal(capture_begin(&ch, 2), CUDA_SUCCESS);
	id = graph_under_capture(&ch, 2);
	with_stream(&ch, VG_OP_cuStreamDestroy_v2, 2);
	assert_int_equal(graph_nodes(&ch, id), CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

/* While a graph is under capture nobody may free it, or read it on another thread. */
static void graph_under_capture_stays(void **state)
{
	struct channel ch = open_with_context();
	struct vg_rq_cuGraphInstantiateWithFlags inst = { .phGraphExec = 9 };
	struct vg_rq_cuGraphDestroy destroy = { 0 };
	uint32_t graph;

	(void)state;
	stream(&ch, 2);
	assert_int_equal(capture_begin(&ch, 2), CUDA_SUCCESS);
	destroy.hGraph = inst.hGraph = graph_under_capture(&ch, 2);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroy, CTX, &destroy, sizeof(destroy), NULL,
				 0), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphInstantiateWithFlags, CTX, &inst, sizeof(inst),
				 NULL, 0), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(capture_end(&ch, 2, &graph), CUDA_SUCCESS);
	assert_int_equal(graph, destroy.hGraph);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphInstantiateWithFlags, CTX, &inst, sizeof(inst),
				 NULL, 0), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroy, CTX, &destroy, sizeof(destroy), NULL,
				 0), CUDA_SUCCESS);
	channel_close(&ch);
}

/* A child graph is its node's to free. */
static void child_graph_stays_with_its_node(void **state)
{
	struct channel ch = open_with_context();
	struct vg_rq_cuGraphCreate child = { .phGraph = 50 }, parent = { .phGraph = 51 };
	struct vg_rq_cuGraphAddChildGraphNode add = {
		.phGraphNode = 52, .hGraph = 51, .childGraph = 50,
	};
	struct vg_rq_vgpu_graph_child inner = { .node = 52 };
	struct vg_rp_vgpu_graph_child id = { 0 };
	struct vg_rq_cuGraphDestroy destroy = { 0 };

	(void)state;
	assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &child, sizeof(child), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &parent, sizeof(parent), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphAddChildGraphNode, CTX, &add, sizeof(add), NULL,
				 0), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_graph_child, CTX, &inner, sizeof(inner), &id,
				 sizeof(id)), CUDA_SUCCESS);
	id.graph = VG_TOLD_ID(id.graph);
	destroy.hGraph = id.graph;
	assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroy, CTX, &destroy, sizeof(destroy), NULL,
				 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(graph_nodes(&ch, id.graph), CUDA_SUCCESS);
	destroy.hGraph = 51;
	assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroy, CTX, &destroy, sizeof(destroy), NULL,
				 0), CUDA_SUCCESS);
	assert_int_equal(graph_nodes(&ch, id.graph), CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

/* Objects are known by the id of their context, so a primary context has one. */
static void primary_context_has_one_id(void **state)
{
	struct channel ch = open_with_context();
	struct vg_rq_vgpu_primary_retain again = { .dev = 0, .id = 5 };
	struct vg_rq_vgpu_primary_reset reset = { .dev = 0, .id = CTX };
	struct vg_rq_vgpu_primary_release other = { .dev = 1, .id = CTX };
	struct vg_rq_vgpu_context_destroy destroy = { .ctx = CTX };

	(void)state;
	stream(&ch, 2);
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_retain, &again, sizeof(again)),
			 CUDA_ERROR_INVALID_CONTEXT);
	/* Neither by another device's name nor as a context that was created. */
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_release, &other, sizeof(other)),
			 CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(call(&ch, VG_OP_vgpu_context_destroy, &destroy, sizeof(destroy)),
			 CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(with_stream(&ch, VG_OP_cuStreamQuery, 2), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_reset, &reset, sizeof(reset)), CUDA_SUCCESS);
	assert_int_equal(call(&ch, VG_OP_vgpu_primary_retain, &again, sizeof(again)),
			 CUDA_SUCCESS);
	assert_int_equal(with_stream(&ch, VG_OP_cuStreamQuery, 2),
			 CUDA_ERROR_CONTEXT_IS_DESTROYED);
	channel_close(&ch);
}

/* A host function that waits in stream 2 until host_function_returns(). */
static vgpu_mailbox *host_function_waits(struct channel *ch)
{
	vgpu_mailbox *mailbox = (vgpu_mailbox *)(ch->base + ch->layout.arena_off);
	struct vg_rq_vgpu_callbacks box = { .mailbox_bytes = sizeof(*mailbox) };
	struct vg_rq_vgpu_callback callback = { .stream = 2, .cookie = 1 };

	assert_int_equal(call(ch, VG_OP_vgpu_callbacks, &box, sizeof(box)), CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_vgpu_callback, CTX, &callback, sizeof(callback), NULL,
				 0), CUDA_SUCCESS);
	return mailbox;
}

/* Not before the executor has asked for it, which a busy machine may do late. */
static void host_function_returns(vgpu_mailbox *mailbox)
{
	for (int i = 0; vg_load_acquire(&mailbox->due) == mailbox->done; i++) {
		assert_in_range(i, 0, 20000);
		usleep(1000);
	}
	vg_store_release(&mailbox->done, vg_load_acquire(&mailbox->due));
}

/*
 * A call that waits in stream 2 until the program's host function returns, and then a
 * record that ends what it works with: the driver hears of that when the call is over.
 */
static void destroy_waits_for_call(void **state)
{
	struct vg_rq_cuStreamDestroy_v2 stream_gone = { .hStream = 2 };
	struct vg_rq_vgpu_primary_release released = { .dev = 0, .id = CTX };
	const struct {
		uint16_t op;
		const void *payload;
		uint32_t bytes;
	} end[] = {
		{ VG_OP_cuStreamDestroy_v2, &stream_gone, sizeof(stream_gone) },
		{ VG_OP_vgpu_primary_release, &released, sizeof(released) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(end) / sizeof(end[0]); i++) {
		struct channel ch = open_with_context();
		struct vg_rq_cuStreamSynchronize sync = { .hStream = 2 };
		vgpu_mailbox *mailbox;
		uint32_t was[2];

		stream(&ch, 2);
		mailbox = host_function_waits(&ch);
		was[0] = slot_of(&ch, 0)->done;
		was[1] = slot_of(&ch, 1)->done;
		put(&ch, VG_OP_cuStreamSynchronize, CTX, 1, &sync, sizeof(sync));
		put(&ch, end[i].op, CTX, 0, end[i].payload, end[i].bytes);
		usleep(100000);
		assert_int_equal(vg_load_acquire(&slot_of(&ch, 0)->done), was[0]);
		assert_int_equal(vg_load_acquire(&slot_of(&ch, 1)->done), was[1]);
		host_function_returns(mailbox);
		assert_int_equal(await(&ch, 1, was[1]), CUDA_SUCCESS);
		assert_int_equal(await(&ch, 0, was[0]), CUDA_SUCCESS);
		channel_close(&ch);
	}
}

/*
 * A read has seen that stream 2 is not under capture, and waits in the driver.  A record that
 * brings the stream under capture waits until the read is over, because the graph would keep
 * the address.
 */
static void capture_waits_for_read(void **state)
{
	struct vg_rq_cuStreamBeginCapture_v2 begin = { .hStream = 2 };
	struct vg_rq_cuStreamBeginCaptureToGraph to_graph = { .hStream = 2, .hGraph = 4 };
	struct vg_rq_cuStreamWaitEvent join = { .hStream = 2, .hEvent = 5 };
	const struct {
		uint16_t op;
		const void *payload;
		uint32_t bytes;
	} bring[] = {
		{ VG_OP_cuStreamBeginCapture_v2, &begin, sizeof(begin) },
		{ VG_OP_cuStreamBeginCaptureToGraph, &to_graph, sizeof(to_graph) },
		{ VG_OP_cuStreamWaitEvent, &join, sizeof(join) },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(bring) / sizeof(bring[0]); i++) {
		struct channel ch = open_with_context();
		uint64_t dev = device_memory(&ch, 4096);
		struct vg_rq_vgpu_read inline_read = { .src = dev, .stream = 2, .bytes = 64 };
		struct vg_rq_vgpu_read_arena read = {
			.src = dev, .stream = 2, .block_off = 8192, .block_bytes = 4096,
		};
		struct vg_rq_cuGraphCreate graph = { .phGraph = 4 };
		struct vg_rq_cuEventCreate event = { .phEvent = 5 };
		struct vg_rq_cuEventRecord record = { .hEvent = 5, .hStream = 3 };
		vgpu_mailbox *mailbox;
		uint32_t was[2];

		stream(&ch, 2);
		stream(&ch, 3);
		assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &graph, sizeof(graph), NULL,
					 0), CUDA_SUCCESS);
		assert_int_equal(call_in(&ch, VG_OP_cuEventCreate, CTX, &event, sizeof(event), NULL,
					 0), CUDA_SUCCESS);
		assert_int_equal(capture_begin(&ch, 3), CUDA_SUCCESS);
		assert_int_equal(call_in(&ch, VG_OP_cuEventRecord, CTX, &record, sizeof(record),
					 NULL, 0), CUDA_SUCCESS);
		mailbox = host_function_waits(&ch);
		was[0] = slot_of(&ch, 0)->done;
		was[1] = slot_of(&ch, 1)->done;
		if (i % 2)
			put(&ch, VG_OP_vgpu_read, CTX, 1, &inline_read, sizeof(inline_read));
		else
			put(&ch, VG_OP_vgpu_read_arena, CTX, 1, &read, sizeof(read));
		put(&ch, bring[i / 2].op, CTX, 0, bring[i / 2].payload, bring[i / 2].bytes);
		usleep(100000);
		assert_int_equal(vg_load_acquire(&slot_of(&ch, 0)->done), was[0]);
		assert_int_equal(vg_load_acquire(&slot_of(&ch, 1)->done), was[1]);
		host_function_returns(mailbox);
		assert_int_equal(await(&ch, 1, was[1]), CUDA_SUCCESS);
		assert_int_equal(await(&ch, 0, was[0]), CUDA_SUCCESS);
		channel_close(&ch);
	}
}

/* A launch into a capture changes the graph around it, which another thread would read. */
static void graph_around_capture_stays(void **state)
{
	struct channel ch = open_with_context();
	struct vg_rq_cuGraphCreate child = { .phGraph = 50 }, parent = { .phGraph = 51 };
	struct vg_rq_cuGraphAddChildGraphNode add = {
		.phGraphNode = 52, .hGraph = 51, .childGraph = 50,
	};
	struct vg_rq_vgpu_graph_child inner = { .node = 52 };
	struct vg_rp_vgpu_graph_child id = { 0 };
	struct vg_rq_cuStreamBeginCaptureToGraph begin = { .hStream = 2 };
	struct vg_rq_cuGraphInstantiateWithFlags inst = { .phGraphExec = 9, .hGraph = 51 };
	uint32_t graph;

	(void)state;
	stream(&ch, 2);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &child, sizeof(child), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &parent, sizeof(parent), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphAddChildGraphNode, CTX, &add, sizeof(add), NULL,
				 0), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_graph_child, CTX, &inner, sizeof(inner), &id,
				 sizeof(id)), CUDA_SUCCESS);
	begin.hGraph = VG_TOLD_ID(id.graph);
	assert_int_equal(call_in(&ch, VG_OP_cuStreamBeginCaptureToGraph, CTX, &begin, sizeof(begin),
				 NULL, 0), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphInstantiateWithFlags, CTX, &inst, sizeof(inst),
				 NULL, 0), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(capture_end(&ch, 2, &graph), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphInstantiateWithFlags, CTX, &inst, sizeof(inst),
				 NULL, 0), CUDA_SUCCESS);
	channel_close(&ch);
}

/* CUDA does not guard graphs against two threads, so a record that changes one waits. */
static void graph_changes_while_instantiated(void **state)
{
	struct channel ch = open_with_context();
	uint32_t node = 1000;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct vg_rq_cuGraphCreate create = { .phGraph = 50 + i };
		struct vg_rq_cuGraphInstantiateWithFlags inst = { 0 };
		struct vg_rq_cuGraphAddEmptyNode more = { .hGraph = 50 + i };
		struct vg_rq_cuGraphDestroy destroy = { .hGraph = 50 + i };
		uint32_t was;

		assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &create, sizeof(create),
					 NULL, 0), CUDA_SUCCESS);
		for (int k = 0; k < 3000; k++) {
			more.phGraphNode = node++;
			put(&ch, VG_OP_cuGraphAddEmptyNode, CTX, -1, &more, sizeof(more));
		}
		assert_int_equal(graph_nodes(&ch, 50 + i), CUDA_SUCCESS);
		was = slot_of(&ch, 1)->done;
		inst.phGraphExec = 500 + i;
		inst.hGraph = 50 + i;
		put(&ch, VG_OP_cuGraphInstantiateWithFlags, CTX, 1, &inst, sizeof(inst));
		usleep(150 * i);
		more.phGraphNode = node++;
		put(&ch, VG_OP_cuGraphAddEmptyNode, CTX, -1, &more, sizeof(more));
		put(&ch, VG_OP_cuGraphDestroy, CTX, -1, &destroy, sizeof(destroy));
		assert_int_equal(await(&ch, 1, was), CUDA_SUCCESS);
	}
	channel_close(&ch);
}

/* A graph takes memory by its nodes, so clones of one do as well, and give it back. */
static void clones_are_bounded(void **state)
{
	enum { NODES = 10000 };
	struct channel ch = open_with_context();
	struct vg_rq_cuGraphCreate create = { .phGraph = 50 };
	struct vg_rq_cuGraphAddEmptyNode node = { .hGraph = 50 };
	struct vg_rq_cuGraphClone clone = { .originalGraph = 50 };
	struct vg_rq_cuGraphDestroy destroy;
	const int most = VG_OBJECTS_MAX / VG_NODE_BYTES / NODES;
	int32_t r;

	(void)state;
	assert_int_equal(call_in(&ch, VG_OP_cuGraphCreate, CTX, &create, sizeof(create), NULL, 0),
			 CUDA_SUCCESS);
	for (int i = 0; i < NODES; i++) {
		node.phGraphNode = 1000 + i;
		put(&ch, VG_OP_cuGraphAddEmptyNode, CTX, -1, &node, sizeof(node));
	}
	for (int round = 0; round < 2; round++) {
		int n = 0;

		do {
			clone.phGraphClone = 100000 + n;
			r = call_in(&ch, VG_OP_cuGraphClone, CTX, &clone, sizeof(clone), NULL, 0);
		} while (!r && ++n <= most);
		assert_int_equal(r, CUDA_ERROR_OUT_OF_MEMORY);
		assert_in_range(n, most * 9 / 10, most);
		while (n--) {
			destroy.hGraph = 100000 + n;
			assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroy, CTX, &destroy,
						 sizeof(destroy), NULL, 0), CUDA_SUCCESS);
		}
	}
	channel_close(&ch);
}

/* Host functions wait in a stream that waits for the first of them. */
static void callbacks_are_bounded(void **state)
{
	const uint32_t most = VG_CALLBACKS_MAX / VG_CALLBACK_BYTES;
	struct channel ch = open_with_context();
	vgpu_mailbox *mailbox = (vgpu_mailbox *)(ch.base + ch.layout.arena_off);
	struct vg_rq_vgpu_callbacks box = { .mailbox_bytes = sizeof(*mailbox) };
	struct vg_rq_vgpu_callback callback = { .stream = 2, .cookie = 1 };

	(void)state;
	stream(&ch, 2);
	assert_int_equal(call(&ch, VG_OP_vgpu_callbacks, &box, sizeof(box)), CUDA_SUCCESS);
	for (uint32_t i = 0; i < most; i++)
		put(&ch, VG_OP_vgpu_callback, CTX, -1, &callback, sizeof(callback));
	assert_int_equal(call(&ch, VG_OP_NOP, NULL, 0), CUDA_SUCCESS);
	assert_int_equal(slot_of(&ch, 0)->deferred, CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_callback, CTX, &callback, sizeof(callback), NULL,
				 0), CUDA_ERROR_OUT_OF_MEMORY);
	/* One that has run makes room for another. */
	while (!vg_load_acquire(&mailbox->due))
		usleep(100);
	vg_store_release(&mailbox->done, 1);
	while (vg_load_acquire(&mailbox->due) == 1)
		usleep(100);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_callback, CTX, &callback, sizeof(callback), NULL,
				 0), CUDA_SUCCESS);
	channel_close(&ch);
}

static void send_blob(struct channel *ch, uint32_t id, const void *data, uint32_t bytes)
{
	struct vg_blob_append piece = { .blob = id, .bytes = bytes, .total = bytes };

	memcpy(ch->base + ch->layout.arena_off, data, bytes);
	assert_int_equal(call(ch, VG_OP_BLOB_APPEND, &piece, sizeof(piece)), CUDA_SUCCESS);
}

#define LINE 1024	/* bytes that each thread of a kernel prints */

static void load_printer(struct channel *ch)
{
	static const char ptx[] =
		".version 6.0\n.target sm_50\n.address_size 64\n"
		".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
		".global .align 1 .b8 text[1025] = {%s0};\n"
		".visible .entry k()\n{\n.reg .b64 %%d<4>;\n\tmov.u64 %%d1, text;\n"
		"\tcvta.global.u64 %%d2, %%d1;\n\tmov.u64 %%d3, 0;\n"
		"\t{\n.param .b64 p;\n.param .b64 a;\n.param .b32 q;\n"
		"\tst.param.b64 [p], %%d2;\n\tst.param.b64 [a], %%d3;\n"
		"\tcall.uni (q), vprintf, (p, a);\n\t}\n\tret;\n}\n";
	struct vg_rq_vgpu_module_load load = { .module = 100, .image = 7 };
	struct {
		struct vg_rq_cuModuleGetFunction q;
		char name[8];
	} get = { .q = { .hmod = 100, .hfunc = 101, .name_len = 2 }, .name = "k" };
	static char list[3 * LINE + 1], whole[sizeof(ptx) + sizeof(list)];

	for (int i = 0; i < LINE; i++)
		memcpy(list + 3 * i, "88,", 3);
	send_blob(ch, 7, whole, snprintf(whole, sizeof(whole), ptx, list) + 1);
	assert_int_equal(call_in(ch, VG_OP_vgpu_module_load, CTX, &load, sizeof(load), NULL, 0),
			 CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_cuModuleGetFunction, CTX, &get, sizeof(get), NULL, 0),
			 CUDA_SUCCESS);
}

/* So many threads print; with an answer or without, as nobody would look for the output. */
static void print_lines(struct channel *ch, uint32_t blocks, bool answer)
{
	struct vg_rq_vgpu_launch launch = {
		.f = 101, .gx = blocks, .gy = 1, .gz = 1, .bx = 64, .by = 1, .bz = 1,
	};

	put(ch, VG_OP_vgpu_launch, CTX, -1, &launch, sizeof(launch));
	if (answer)
		assert_int_equal(call_in(ch, VG_OP_cuCtxSynchronize, CTX, NULL, 0, NULL, 0),
				 CUDA_SUCCESS);
	else
		put(ch, VG_OP_cuCtxSynchronize, CTX, -1, NULL, 0);
}

static uint64_t fetch_all(struct channel *ch)
{
	struct vg_output_take take = { .which = 0 };
	uint64_t sum = 0;

	do {
		assert_int_equal(call(ch, VG_OP_OUTPUT, &take, sizeof(take)), CUDA_SUCCESS);
		for (uint32_t i = 0; i < slot_of(ch, 0)->len; i++)
			assert_int_equal(slot_of(ch, 0)->payload[i], 88);
		sum += slot_of(ch, 0)->len;
	} while (slot_of(ch, 0)->len);
	return sum;
}

/* What kernels print is kept up to a bound, and goes on when it has been fetched. */
static void output_is_bounded(void **state)
{
	struct channel ch = open_with_context();
	const uint64_t one = 64 * LINE;
	uint64_t got;

	(void)state;
	load_printer(&ch);
	print_lines(&ch, 1, true);
	assert_int_equal(fetch_all(&ch), one);
	/* Nobody waits for an answer, so nobody is told, and nobody fetches. */
	for (uint64_t sent = 0; sent < VG_OUTPUT_MAX + 256 * one; sent += 256 * one)
		print_lines(&ch, 256, false);
	got = fetch_all(&ch);
	assert_in_range(got, VG_OUTPUT_MAX / 4, VG_OUTPUT_MAX);
	for (int i = 0; i < 4; i++) {
		print_lines(&ch, 200, true);
		assert_int_equal(slot_of(&ch, 0)->notice & VG_NOTICE_OUTPUT, VG_NOTICE_OUTPUT);
		assert_int_equal(fetch_all(&ch), 200 * one);
	}
	channel_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unshare_ends_registration),
		cmocka_unit_test(address_stays_the_guests),
		cmocka_unit_test(share_over_a_mapping_is_refused),
		cmocka_unit_test(capture_keeps_no_pageable_address),
		cmocka_unit_test(failed_capture_leaves_no_graph),
		cmocka_unit_test(graph_under_capture_stays),
		cmocka_unit_test(child_graph_stays_with_its_node),
		cmocka_unit_test(allocation_without_an_id),
		cmocka_unit_test(context_without_an_id),
		cmocka_unit_test(primary_context_has_one_id),
		cmocka_unit_test(destroy_waits_for_call),
		cmocka_unit_test(capture_waits_for_read),
		cmocka_unit_test(graph_around_capture_stays),
		cmocka_unit_test(graph_changes_while_instantiated),
		cmocka_unit_test(clones_are_bounded),
		cmocka_unit_test(callbacks_are_bounded),
		cmocka_unit_test(output_is_bounded),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
