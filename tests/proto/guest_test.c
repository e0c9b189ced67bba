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

/* Two reasons for which an address cannot be had, and one answer. */
static void share_tells_nothing(void **state)
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

	*graph = p.graph;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unshare_ends_registration),
		cmocka_unit_test(address_stays_the_guests),
		cmocka_unit_test(share_tells_nothing),
		cmocka_unit_test(capture_keeps_no_pageable_address),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
