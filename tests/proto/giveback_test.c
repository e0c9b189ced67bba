// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that a guest has taken back is not written by the device any more.
 *
 * Each test registers memory, lets the device write there, takes the memory back with
 * UNSHARE (and never unregisters it), fills it with a pattern as its next owner would,
 * tries all ways to the old address, and looks at the pattern again.  Runs on softgpu and
 * on a GPU: the driver is that of the mediator at VGPU_TRANSPORT=unix:PATH.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "common/ops_internal.h"
#include "executor/handles.h"
#include "peer.h"
#include "status.h"
#include "vg_wire.h"

#define CTX	1u
#define VA	0x7d0000000000ull
#define BYTES	(2u << 20)
#define POISON	0x5au
#define STREAM	3u
#define MODULE	4u
#define MARK	5u			/* the kernel's handle */

/* Writes `value` to the first word of each 64 bytes, `rounds` times over. */
static const char kernel[] =
	".version 6.3\n.target sm_70\n.address_size 64\n"
	".visible .entry mark(.param .u64 at, .param .u64 bytes, .param .u32 value,\n"
	"                     .param .u32 rounds)\n{\n"
	".reg .u64 %a, %b, %e, %p;\n.reg .u32 %v, %n;\n.reg .pred %q;\n"
	"ld.param.u64 %a, [at];\nld.param.u64 %b, [bytes];\nld.param.u32 %v, [value];\n"
	"ld.param.u32 %n, [rounds];\nadd.u64 %e, %a, %b;\n"
	"again:\nmov.u64 %p, %a;\n"
	"next:\nst.volatile.global.u32 [%p], %v;\nadd.u64 %p, %p, 64;\n"
	"setp.lt.u64 %q, %p, %e;\n@%q bra next;\n"
	"sub.u32 %n, %n, 1;\nsetp.ne.u32 %q, %n, 0;\n@%q bra again;\nret;\n}\n";

struct params {
	uint64_t at, bytes;
	uint32_t value, rounds;
};

struct program {
	struct channel ch;
	uint8_t *memory;		/* what the guest sees of the shared pages */
};

static int32_t ask(struct program *p, uint16_t op, const void *q, uint32_t bytes)
{
	return call_in(&p->ch, op, CTX, q, bytes, NULL, 0);
}

static void load_kernel(struct program *p)
{
	struct vg_blob_append blob = { .blob = 1, .bytes = sizeof(kernel), .total = sizeof(kernel) };
	struct vg_rq_vgpu_module_load load = { .module = MODULE, .image = 1 };
	struct {
		struct vg_rq_cuModuleGetFunction q;
		char name[8];
	} function = { { .hfunc = MARK, .hmod = MODULE, .name_len = 5 }, "mark" };

	memcpy(p->ch.base + p->ch.layout.arena_off, kernel, sizeof(kernel));
	assert_int_equal(ask(p, VG_OP_BLOB_APPEND, &blob, sizeof(blob)), CUDA_SUCCESS);
	assert_int_equal(ask(p, VG_OP_vgpu_module_load, &load, sizeof(load)), CUDA_SUCCESS);
	assert_int_equal(ask(p, VG_OP_cuModuleGetFunction, &function, sizeof(function)),
			 CUDA_SUCCESS);
}

static int32_t synchronise(struct program *p)
{
	return ask(p, VG_OP_cuCtxSynchronize, NULL, 0);
}

/* Without an answer, as launches are. */
static void launch(struct program *p, uint64_t bytes, uint32_t value, uint32_t rounds)
{
	struct {
		struct vg_rq_vgpu_launch q;
		struct params params;
	} rec = {
		{ .f = MARK, .stream = STREAM, .gx = 1, .gy = 1, .gz = 1, .bx = 1, .by = 1, .bz = 1,
		  .nparams = sizeof(struct params) },
		{ VA, bytes, value, rounds },
	};

	put(&p->ch, VG_OP_vgpu_launch, CTX, -1, &rec, sizeof(rec));
}

static int32_t unshare(struct program *p)
{
	struct vg_share_unmap unmap = { .va = VA, .bytes = BYTES };

	return ask(p, VG_OP_UNSHARE, &unmap, sizeof(unmap));
}

static int32_t unregister(struct program *p)
{
	struct vg_rq_vgpu_host_unregister q = { .va = VA };

	return ask(p, VG_OP_vgpu_host_unregister, &q, sizeof(q));
}

static int32_t copy_to_va(struct program *p, uint64_t from)
{
	struct vg_rq_cuMemcpyDtoDAsync_v2 q = {
		.dstDevice = VA, .srcDevice = from, .ByteCount = 4096, .hStream = STREAM,
	};

	return ask(p, VG_OP_cuMemcpyDtoDAsync_v2, &q, sizeof(q));
}

/* A program with a context, a stream, the kernel, and registered memory at VA. */
static struct program begin(void)
{
	struct program p = { .ch = channel_open() };
	struct vg_rq_vgpu_primary_retain retain = { .dev = 0, .id = CTX };
	struct vg_rq_cuStreamCreate stream = { .phStream = STREAM, .Flags = 1 };
	struct vg_sock_share msg = { .size = sizeof(msg), .token = 1 };
	struct vg_share_map map = { .va = VA, .bytes = BYTES, .token = 1 };
	struct vg_rq_vgpu_host_register reg = { .va = VA, .bytes = BYTES };
	int fd = memfd_create("given back", MFD_CLOEXEC);

	assert_int_equal(ask(&p, VG_OP_vgpu_primary_retain, &retain, sizeof(retain)), CUDA_SUCCESS);
	assert_int_equal(ask(&p, VG_OP_cuStreamCreate, &stream, sizeof(stream)), CUDA_SUCCESS);
	load_kernel(&p);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	p.memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p.memory, MAP_FAILED);
	assert_int_equal(vg_send_fds(p.ch.shares, &msg, sizeof(msg), &fd, 1), 0);
	close(fd);
	assert_int_equal(ask(&p, VG_OP_SHARE, &map, sizeof(map)), CUDA_SUCCESS);
	assert_int_equal(ask(&p, VG_OP_vgpu_host_register, &reg, sizeof(reg)), CUDA_SUCCESS);

	/* The kernel does write there, as long as it may. */
	launch(&p, BYTES, 0x11111111, 1);
	assert_int_equal(synchronise(&p), CUDA_SUCCESS);
	for (unsigned int at = 0; at < BYTES; at += 64)
		assert_int_equal(*(uint32_t *)(p.memory + at), 0x11111111);
	return p;
}

static void end(struct program *p)
{
	munmap(p->memory, BYTES);
	channel_close(&p->ch);
}

static void poison(struct program *p)
{
	memset(p->memory, POISON, BYTES);
}

static void assert_poisoned(struct program *p)
{
	for (unsigned int at = 0; at < BYTES; at++)
		if (p->memory[at] != POISON)
			fail_msg("byte %u is 0x%02x, which the device wrote", at, p->memory[at]);
}

static void kernel_after_unshare(void **state)
{
	struct program p = begin();

	(void)state;
	assert_int_equal(unshare(&p), CUDA_SUCCESS);
	poison(&p);
	assert_int_not_equal(unregister(&p), CUDA_SUCCESS);
	launch(&p, BYTES, 0x22222222, 1);
	assert_int_not_equal(synchronise(&p), CUDA_SUCCESS);
	assert_poisoned(&p);
	end(&p);
}

static void copy_after_unshare(void **state)
{
	struct program p = begin();
	struct vg_rq_cuMemAlloc_v2 q = { .bytesize = 4096 };
	struct vg_rp_cuMemAlloc_v2 r = { 0 };
	int32_t copied;

	(void)state;
	assert_int_equal(call_in(&p.ch, VG_OP_cuMemAlloc_v2, CTX, &q, sizeof(q), &r, sizeof(r)),
			 CUDA_SUCCESS);
	assert_int_equal(copy_to_va(&p, r.dptr), CUDA_SUCCESS);
	assert_int_equal(synchronise(&p), CUDA_SUCCESS);
	assert_int_equal(unshare(&p), CUDA_SUCCESS);
	poison(&p);
	copied = copy_to_va(&p, r.dptr);
	assert_true(copied || synchronise(&p));
	assert_poisoned(&p);
	end(&p);
}

/* Either the memory is kept until the kernel has ended, or the kernel loses it. */
static void kernel_under_way(void **state)
{
	struct program p = begin();
	uint32_t rounds = 4000;
	int32_t result;

	(void)state;
	launch(&p, BYTES, 0x33333333, rounds);
	usleep(20000);
	result = unshare(&p);
	if (!result) {
		poison(&p);
		usleep(200000);
		assert_poisoned(&p);
		synchronise(&p);
		assert_poisoned(&p);
	}
	print_message("UNSHARE while a kernel writes there: %d\n", result);
	end(&p);
}

static void graph_after_unshare(void **state)
{
	struct program p = begin();
	struct vg_rq_cuStreamBeginCapture_v2 capture = { .hStream = STREAM };
	struct vg_rq_vgpu_capture_end ended = { .stream = STREAM };
	struct vg_rp_vgpu_capture_end graph = { 0 };
	struct vg_rq_cuGraphInstantiateWithFlags make = { .phGraphExec = 9 };
	struct vg_rq_cuGraphLaunch start = { .hGraph = 9, .hStream = STREAM };

	(void)state;
	assert_int_equal(ask(&p, VG_OP_cuStreamBeginCapture_v2, &capture, sizeof(capture)),
			 CUDA_SUCCESS);
	launch(&p, BYTES, 0x44444444, 1);
	assert_int_equal(call_in(&p.ch, VG_OP_vgpu_capture_end, CTX, &ended, sizeof(ended), &graph,
				 sizeof(graph)), CUDA_SUCCESS);
	make.hGraph = VG_TOLD_ID(graph.graph);
	assert_int_equal(ask(&p, VG_OP_cuGraphInstantiateWithFlags, &make, sizeof(make)),
			 CUDA_SUCCESS);
	ask(&p, VG_OP_cuGraphLaunch, &start, sizeof(start));
	assert_int_equal(synchronise(&p), CUDA_SUCCESS);
	assert_int_equal(*(uint32_t *)p.memory, 0x44444444);
	assert_int_equal(unshare(&p), CUDA_SUCCESS);
	poison(&p);
	ask(&p, VG_OP_cuGraphLaunch, &start, sizeof(start));
	assert_int_not_equal(synchronise(&p), CUDA_SUCCESS);
	assert_poisoned(&p);
	end(&p);
}

/* The program's end is a way to give memory back, too. */
static void kernel_outlives_program(void **state)
{
	struct program p = begin();

	(void)state;
	launch(&p, BYTES, 0x55555555, 4000);
	usleep(20000);
	assert_true(status_has(status_text(), getpid()));
	channel_close(&p.ch);
	/* Over the socket only the mediator knows when it has reaped the executor. */
	while (status_has(status_text(), getpid()))
		usleep(20000);
	poison(&p);
	usleep(300000);
	assert_poisoned(&p);
	munmap(p.memory, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_after_unshare),
		cmocka_unit_test(copy_after_unshare),
		cmocka_unit_test(kernel_under_way),
		cmocka_unit_test(graph_after_unshare),
		cmocka_unit_test(kernel_outlives_program),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("giveback", tests, NULL, NULL);
}
