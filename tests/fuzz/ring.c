// SPDX-License-Identifier: Apache-2.0
/*
 * Records as a hostile guest writes them, to the executor's own decoders and handlers, and
 * by these to a driver (softgpu).  An input is a sequence of calls; what the specification
 * knows of each (decoder_cases.c) makes most of them well-formed, so that handles name
 * what earlier calls have made.  Calls that wait for the guest are left out, because
 * nobody is there to answer.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "common/fdpass.h"
#include "decoder_cases.h"
#include "exec_internal.h"
#include "fuzz.h"
#include "vg_cuda.h"

#define ARENA	(1u << 20)
#define IDS	16u		/* ids are mostly below this, so that calls meet */
#define VA	0x6d0000000000ull
#define PIECE	65536ull

static struct vg_exec executor = { .context_lock = PTHREAD_MUTEX_INITIALIZER };
static struct vg_account account;
static int shares;		/* the guest's end */
static uint32_t token;

/* The mediator, of which there is none here. */
CUresult vg_exec_offer(struct vg_exec *x, enum vg_token_kind kind, uint64_t bytes, const void *data,
		       size_t data_bytes, int fd, vgpu_token *t)
{
	(void)x;
	(void)kind;
	(void)bytes;
	(void)data;
	(void)data_bytes;
	(void)fd;
	(void)t;
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vg_exec_take(struct vg_exec *x, enum vg_token_kind kind, const vgpu_token *t,
		      uint64_t *bytes, void *data, size_t data_bytes, int *fd)
{
	(void)x;
	(void)kind;
	(void)t;
	(void)bytes;
	(void)data;
	(void)data_bytes;
	(void)fd;
	return CUDA_ERROR_INVALID_VALUE;
}

void vg_exec_leave(struct vg_exec *x, const vgpu_token *t)
{
	(void)x;
	(void)t;
}

void vg_exec_withdraw(struct vg_exec *x, const vgpu_token *t)
{
	(void)x;
	(void)t;
}

static const char kernels[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .global .align 4 .u32 counter = 7;\n"
	".visible .entry k(.param .u64 p, .param .u32 n)\n{\n"
	".reg .b64 %d<4>;\n.reg .b32 %r<4>;\n"
	"\tld.param.u64 %d1, [p];\n\tld.param.u32 %r1, [n];\n\tst.global.u32 [%d1], %r1;\n"
	"\tret;\n}\n";

/* What waits for the guest, or for a value that nobody writes; and what ends the process. */
static bool left_out(const char *name)
{
	static const char *const words[] = {
		"callback", "host_node", "host_set", "user_object", "UserObject", "WaitValue",
		"values", "BatchMemOp", "output", "exit",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(name, words[i]))
			return true;
	return false;
}

/* As admit() and run() of loop.c, on this thread. */
static CUresult run(uint16_t opcode, uint32_t ctx, const void *payload, uint32_t bytes)
{
	static uint8_t answer[VG_REPLY_MAX] __attribute__((aligned(16)));
	struct vg_reply rp = { .payload = answer };
	struct vg_req rq = { .op = opcode, .ctx = ctx, .bytes = bytes, .payload = payload };
	const struct vg_op *op = opcode < vg_ops_count ? &vg_ops[opcode] : NULL;
	uint64_t v = 0;

	if (!op || !op->run || bytes < op->min_bytes || bytes >= op->max_bytes + VGPU_REC_ALIGN)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (ctx && !vg_handle_get(executor.handles, ctx, VG_CONTEXT, &v) && op->needs_ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	cu.cuCtxSetCurrent((CUcontext)(uintptr_t)v);
	memset(answer, 0, sizeof(answer));
	return op->run(&executor, &rq, &rp);
}

static void start(void)
{
	void *library = dlopen(NULL, RTLD_NOW);
	int pair[2];

	if (!library || !vg_cuda_load(library) || cu.cuInit(0)) {
		fprintf(stderr, "no driver: %s\n", library ? "cuInit failed" : dlerror());
		exit(2);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		exit(2);
	account.limit = 64 << 20;
	executor.account = &account;
	executor.entry = &account.entry[0];
	executor.handles = vg_handles_new();
	executor.blobs = vg_blobs_new();
	executor.shares = vg_shares_new(&executor);
	executor.ch.kind = VG_ASSIGN_SOCKET;
	executor.ch.shares = pair[0];
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	shares = pair[1];
	executor.ch.layout.arena_bytes = ARENA;
	executor.ch.arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);
	if (executor.ch.arena == MAP_FAILED)
		exit(2);
}

/* A file for a SHARE to come. */
static void send_memory(void)
{
	struct vg_sock_share msg = { .size = sizeof(msg), .token = ++token };
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4 * PIECE) || vg_send_fds(shares, &msg, sizeof(msg), &fd, 1))
		exit(2);
	close(fd);
}

static void share(uint8_t where)
{
	struct vg_share_map map = { .va = VA + where % 8 * PIECE, .bytes = PIECE << (where >> 7) };

	send_memory();
	map.token = token;
	run(VG_OP_SHARE, 0, &map, sizeof(map));
}

static void send_kernels(uint32_t id)
{
	struct vg_blob_append piece = { .blob = id, .bytes = sizeof(kernels), .total = sizeof(kernels) };

	memcpy(executor.ch.arena, kernels, sizeof(kernels));
	run(VG_OP_BLOB_APPEND, 0, &piece, sizeof(piece));
}

/*
 * Whatever ids are bound, in an order in which each is still there.  A context takes
 * milliseconds to make, so that of the first id stays for some inputs if it can.
 */
static void end(void)
{
	static unsigned int inputs;
	bool reset_first = ++inputs % 256 == 0;
	static const struct {
		enum vg_kind kind;
		uint16_t op;
	} ends[] = {
		{ VG_GRAPH_EXEC, VG_OP_cuGraphExecDestroy }, { VG_GRAPH, VG_OP_cuGraphDestroy },
		{ VG_LIBRARY, VG_OP_cuLibraryUnload }, { VG_MODULE, VG_OP_cuModuleUnload },
		{ VG_STREAM, VG_OP_cuStreamDestroy_v2 }, { VG_EVENT, VG_OP_cuEventDestroy_v2 },
		{ VG_MEMPOOL, VG_OP_cuMemPoolDestroy }, { VG_ARRAY, VG_OP_cuArrayDestroy },
		{ VG_MIPMAP, VG_OP_cuMipmappedArrayDestroy },
		{ VG_MEM_ALLOC, VG_OP_vgpu_mem_release },
		{ VG_LINK_STATE, VG_OP_vgpu_link_destroy },
		{ VG_CONTEXT, VG_OP_vgpu_context_destroy },
	};
	struct vg_share_unmap all = { .va = VA, .bytes = 16 * PIECE };
	uint64_t v;

	for (uint32_t id = 1; id < IDS; id++) {
		struct vg_rq_vgpu_primary_reset reset = { .dev = 0, .id = id };

		/* Streams first: they may be capturing. */
		if (vg_handle_get(executor.handles, id, VG_STREAM, &v))
			run(VG_OP_cuStreamDestroy_v2, 1, (uint32_t[4]){ id }, 16);
		if ((id > 1 || reset_first) && vg_handle_get(executor.handles, id, VG_CONTEXT, &v))
			run(VG_OP_vgpu_primary_reset, 0, &reset, sizeof(reset));
	}
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint32_t id = 0;

		while (vg_x_next(&executor, ends[i].kind, &id, &v)) {
			if (ends[i].kind == VG_CONTEXT && id == 1 && !reset_first)
				continue;
			run(ends[i].op, 1, (uint32_t[4]){ id }, 16);
			if (vg_handle_take(executor.handles, id, ends[i].kind, &v))
				vg_x_orphans(&executor, id);
		}
	}
	run(VG_OP_UNSHARE, 0, &all, sizeof(all));
	for (enum vg_kind kind = VG_CONTEXT + 1; kind < VG_KIND_COUNT; kind++)
		for (uint32_t id = 0; vg_x_next(&executor, kind, &id, &v);)
			vg_handle_take(executor.handles, id, kind, &v);
}

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* Searches go up to the highest id so far: one of a million would make all of them slow. */
static void keep_ids_low(uint8_t *payload, uint32_t bytes)
{
	uint32_t word;

	for (uint32_t i = 0; i + 4 <= bytes; i += 4) {
		memcpy(&word, payload + i, 4);
		if (word >= 1024 && word < VG_HANDLE_MAX)
			word %= 1024;
		memcpy(payload + i, &word, 4);
	}
}

/* One operation by the specification: its fields filled so that most of them pass. */
static void structured(struct input *in)
{
	static uint8_t payload[VG_INLINE_MAX] __attribute__((aligned(16)));
	unsigned int which = byte(in);
	const struct decoder_case *c = &decoder_cases[(which << 8 | byte(in)) % decoder_case_count];
	uint32_t bytes = c->fixed + c->more, n = byte(in), ctx = byte(in) % 4;

	if (left_out(c->name))
		return;
	memset(payload, 0, bytes);
	for (uint32_t i = 0; i < n; i++)
		if (i < bytes)
			payload[i] = byte(in);
	keep_ids_low(payload, bytes);
	for (const struct decoder_field *f = c->fields; (f->what & FIELD_KIND) != FIELD_END; f++) {
		uint64_t v = byte(in);

		switch (f->what & FIELD_KIND) {
		case FIELD_HANDLE:
		case FIELD_BLOB:
			v = v & 0x80 ? v << 2 : v % IDS;
			memcpy(payload + f->at, &v, 4);
			break;
		case FIELD_COUNT:
		case FIELD_STRING:
			v = f->maximum ? v % (f->maximum + 1) : 0;
			if (bytes + v * f->unit + 8 > sizeof(payload))
				v = 0;
			memcpy(payload + f->at, &v, 4);
			for (uint64_t k = 0; k < (v * f->unit + 7) / 8 * 8; k++)
				payload[bytes + k] = (f->what & FIELD_KIND) == FIELD_STRING ?
						     (k + 1 < v ? 'k' : 0) : byte(in) % IDS;
			bytes += (v * f->unit + 7) / 8 * 8;
			break;
		case FIELD_ARENA:
			memcpy(payload + f->at, (uint32_t[2]){ v << 8, byte(in) << 4 }, 8);
			break;
		default:
			break;
		}
	}
	run(c->op, ctx, payload, (bytes + 15) & ~15u);
}

/* Any bytes as the payload of any operation. */
static void raw(struct input *in)
{
	static uint8_t payload[256] __attribute__((aligned(16)));
	unsigned int high = byte(in), op = high << 8 | byte(in), n = byte(in) & ~15u;

	if (op >= vg_ops_count || !vg_ops[op].name || left_out(vg_ops[op].name))
		return;
	for (unsigned int i = 0; i < n; i++)
		payload[i] = byte(in);
	keep_ids_low(payload, n);
	run(op, byte(in) % 4, payload, n);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("VGPU_SOFTGPU_LOG", "0", 1);
	setenv("VGPU_SOFTGPU_MEM", "64M", 1);
	start();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input in = { data, bytes };
	struct vg_rq_vgpu_primary_retain retain = { .dev = 0, .id = 1 };
	uint64_t v;

	if (!vg_handle_get(executor.handles, 1, VG_CONTEXT, &v))
		run(VG_OP_vgpu_primary_retain, 0, &retain, sizeof(retain));
	while (in.left) {
		uint8_t what = byte(&in);

		if (what < 0xd0)
			structured(&in);
		else if (what < 0xe0)
			raw(&in);
		else if (what < 0xf0)
			share(byte(&in));
		else
			send_kernels(byte(&in) % IDS);
	}
	end();
	return 0;
}
