// SPDX-License-Identifier: Apache-2.0
/*
 * The limits of a vGPU's device memory, on the shim and softgpu: each way of taking memory is taken
 * to its limit and past it, by one process and by four at once; what all processes hold is worked
 * out here from what a device hands out (pieces of 2 MiB), and not asked.  Afterwards, also of
 * programs that were killed, nothing is charged.
 *
 * Run by check-memory, with 256 MiB for the vGPU, 32 MiB for each context and 256 MiB for all.
 * VGPU_TEST_KILLS: how many programs are killed.  VGPU_TEST_ONLY: a pattern of tests' names.
 */
#include "../unit/unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cuda_abi.h"
#include "status.h"

#define MIB		(1ull << 20)
#define LIMIT		(256 * MIB)
#define PIECE		(2 * MIB)
#define LARGE		(48 * MIB)
#define CONTEXTS	(256 * MIB)
#define CONTEXT		(32 * MIB)
#define PROGRAMS	4
#define NO_CONTEXT	100		/* exit status */
#define PATHS_MAX	400		/* more than any path comes to */

static CUcontext context;

static void start(void)
{
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
		_exit(NO_CONTEXT);
}

/* -- the paths: one more; each returns the driver's result */

static CUresult block(size_t bytes)
{
	CUdeviceptr p;

	return cuMemAlloc_v2(&p, bytes);
}

static CUresult odd_block(void)
{
	return block(MIB + 1);
}

static CUresult small_block(void)
{
	return block(MIB);
}

static CUresult pitched(void)
{
	CUdeviceptr p;
	size_t pitch;

	return cuMemAllocPitch_v2(&p, &pitch, 1, 4096, 4);	/* of 512 bytes each row */
}

static CUresult array(void)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = 1024, .Height = 513, .NumChannels = 1,
				      .Format = CU_AD_FORMAT_FLOAT };
	CUarray a;

	return cuArray3DCreate_v2(&a, &d);
}

static CUresult created(void)
{
	CUmemAllocationProp p = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				  .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemGenericAllocationHandle h;

	return cuMemCreate(&h, PIECE, &p, 0);
}

static CUresult pooled(void)
{
	CUdeviceptr p;

	return cuMemAllocAsync(&p, MIB + 1, NULL);
}

/* In a stream that waits for a word that nobody writes. */
static CUresult blocked(CUstream *s)
{
	static CUdeviceptr word;
	CUresult r = CUDA_SUCCESS;

	if (!word) {
		r = cuMemAlloc_v2(&word, 4096);
		if (!r)
			r = cuMemsetD8_v2(word, 0, 4096);
	}
	if (!r)
		r = cuStreamCreate(s, CU_STREAM_NON_BLOCKING);
	return r ? r : cuStreamWaitValue32_v2(*s, word, 1, 0);
}

static CUresult pooled_and_freed(void)
{
	CUdeviceptr p;
	CUstream s;
	CUresult r = blocked(&s);

	if (!r)
		r = cuMemAllocAsync(&p, LARGE, s);
	return r ? r : cuMemFreeAsync(p, s);
}

static CUresult block_freed_in_stream(void)
{
	CUdeviceptr p;
	CUstream s;
	CUresult r = blocked(&s);

	if (!r)
		r = cuMemAlloc_v2(&p, LARGE);
	return r ? r : cuMemFreeAsync(p, s);
}

static CUresult freed_in_capture(void)
{
	CUdeviceptr p;
	CUgraph graph;
	CUstream s;
	CUresult r = cuMemAlloc_v2(&p, LARGE);

	if (r)
		return r;
	if (!cuStreamCreate(&s, CU_STREAM_NON_BLOCKING) &&
	    !cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED)) {
		cuMemFreeAsync(p, s);
		cuStreamEndCapture(s, &graph);
	}
	return CUDA_SUCCESS;
}

static CUresult pool_destroyed(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemoryPool pool;
	CUdeviceptr p;
	CUstream s;
	CUresult r = blocked(&s);

	if (!r)
		r = cuMemPoolCreate(&pool, &props);
	if (!r)
		r = cuMemAllocFromPoolAsync(&p, LARGE, pool, s);
	if (!r)
		r = cuMemFreeAsync(p, s);
	return r ? r : cuMemPoolDestroy(pool);
}

static const char *image(void)
{
	static char text[256];

	snprintf(text, sizeof(text),
		 ".version 6.0\n.target sm_50\n.address_size 64\n"
		 ".visible .global .align 16 .b8 big[%llu];\n.visible .entry k() { ret; }\n",
		 LARGE);
	return text;
}

static CUresult module(void)
{
	CUmodule m;

	return cuModuleLoadData(&m, image());
}

static CUresult library(void)
{
	CUlibrary l;
	CUdeviceptr p;
	size_t bytes;
	CUresult r = cuLibraryLoadData(&l, image(), NULL, NULL, 0, NULL, NULL, 0);

	return r ? r : cuLibraryGetGlobal(&p, &bytes, l, "big");
}

/* It stays allocated after the launch. */
static CUresult graph(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS a = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } },
		.bytesize = LARGE,
	};
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph g;
	CUresult r = cuGraphCreate(&g, 0);

	if (!r)
		r = cuGraphAddMemAllocNode(&node, g, NULL, 0, &a);
	if (!r)
		r = cuGraphInstantiateWithFlags(&exec, g, 0);
	if (!r)
		r = cuGraphLaunch(exec, NULL);
	return r ? r : cuCtxSynchronize();
}

/* What a context sets aside for kernels, beside its own size: 40 MiB more with each. */
static CUresult heap(void)
{
	static size_t now;

	now = now ? now + 40 * MIB : 48 * MIB;
	return cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, now);
}

static CUresult printed(void)
{
	static size_t now = MIB;

	now += 40 * MIB;
	return cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, now);
}

static CUresult another_context(void)
{
	CUcontext c;

	return cuCtxCreate_v2(&c, 0, 0);
}

/*
 * What one more takes of a device, and how far it comes at least: what it cannot use (`apart`,
 * of each program) is a piece for a word, or what the last one would have needed.
 */
static const struct path {
	const char *name;
	CUresult (*more)(void);
	uint64_t each, apart;
} paths[] = {
	{ "odd block", odd_block, PIECE, 0 },
	{ "small block", small_block, MIB, 3 * PIECE },
	{ "pitched", pitched, PIECE, 0 },
	{ "array", array, 2 * PIECE, 0 },
	{ "created", created, PIECE, 0 },
	{ "pooled", pooled, PIECE, 0 },
	{ "pooled and freed in a stream that waits", pooled_and_freed, LARGE, LARGE },
	{ "block freed in a stream that waits", block_freed_in_stream, LARGE, LARGE },
	{ "block freed in a capture", freed_in_capture, LARGE, LARGE },
	{ "pool destroyed", pool_destroyed, LARGE, LARGE },
	{ "module", module, LARGE, LARGE },
	{ "library", library, LARGE, LARGE },
	{ "graph", graph, LARGE, LARGE },
	{ "heap", heap, 40 * MIB, 40 * MIB },
	{ "printf", printed, 40 * MIB, 40 * MIB },
};

#define PATHS (sizeof(paths) / sizeof(paths[0]))

/* -- programs that take all they get, and hold it until they are told to end */

struct program {
	pid_t pid;
	int in, out;
};

static void take_all(const struct path *path)
{
	unsigned int n = 0;
	CUresult r;
	char c;

	alarm(120);
	start();
	if (write(1, "", 1) != 1 || read(0, &c, 1) != 1)	/* all begin at once */
		_exit(101);
	while (!(r = path->more()) && n < PATHS_MAX)
		n++;
	/* More of what does not fit does not come through, either. */
	for (int i = 0; i < 3 && r == CUDA_ERROR_OUT_OF_MEMORY; i++)
		n += !path->more();
	if (r != CUDA_ERROR_OUT_OF_MEMORY)
		fprintf(stderr, "%s: %u, then %d\n", path->name, n, r);
	if (write(1, &n, sizeof(n)) != sizeof(n))
		_exit(102);
	(void)!read(0, &c, 1);
	_exit(r != CUDA_ERROR_OUT_OF_MEMORY);
}

/* A process has one CUDA, so each is a program of its own. */
static struct program launch(const char *role, const char *what)
{
	struct program p;
	int in[2], out[2];

	assert_int_equal(pipe2(in, 0), 0);
	assert_int_equal(pipe2(out, 0), 0);
	p.pid = fork();
	if (!p.pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execl("/proc/self/exe", "memory", role, what, NULL);
		_exit(103);
	}
	close(in[0]);
	close(out[1]);
	p.in = in[1];
	p.out = out[0];
	return p;
}

static int end(struct program *p)
{
	int status;

	close(p->in);
	close(p->out);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	return status;
}

static uint64_t charged(const char *what)
{
	return status_number(status_text(), what);
}

/* Executors end a moment after their programs. */
static void nothing_is_left(void)
{
	const char *text = "";

	for (int i = 0; i < 2000; i++) {
		text = status_text();
		if (!status_number(text, "memory") && !status_number(text, "contexts"))
			return;
		usleep(10000);
	}
	fail_msg("charged in the end: %llu bytes, contexts %llu",
		 (unsigned long long)status_number(text, "memory"),
		 (unsigned long long)status_number(text, "contexts"));
}

static unsigned int counted(struct program *p)
{
	unsigned int n = 0;

	assert_int_equal(read(p->out, &n, sizeof(n)), sizeof(n));
	return n;
}

static void run(const char *role, const struct path *path, unsigned int programs, uint64_t limit,
		const char *what)
{
	struct program p[PROGRAMS];
	uint64_t held = 0, apart = programs * path->apart, now;
	char ready;

	for (unsigned int i = 0; i < programs; i++)
		p[i] = launch(role, path->name);
	for (unsigned int i = 0; i < programs; i++)
		assert_int_equal(read(p[i].out, &ready, 1), 1);
	for (unsigned int i = 0; i < programs; i++)
		assert_int_equal(write(p[i].in, "!", 1), 1);
	for (unsigned int i = 0; i < programs; i++)
		held += counted(&p[i]) * path->each;
	now = charged(what);
	print_message("%-40s %u: held %3llu MiB, charged %3llu of %llu\n", path->name, programs,
		      (unsigned long long)(held / MIB), (unsigned long long)(now / MIB),
		      (unsigned long long)(limit / MIB));
	for (unsigned int i = 0; i < programs; i++)
		assert_int_equal(end(&p[i]), 0);
	assert_true(held <= limit);
	assert_true(held + apart >= limit);
	assert_true(now <= limit && now >= held);
	nothing_is_left();
}

/* VGPU_TEST_PATHS: the first letters of the paths that are to be tried. */
static bool chosen(const struct path *path)
{
	const char *letters = getenv("VGPU_TEST_PATHS");

	return !letters || strchr(letters, path->name[0]);
}

static void each_path_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < PATHS; i++)
		if (chosen(&paths[i]))
			run("take", &paths[i], 1, LIMIT, "memory");
}

static void each_path_by_four(void **state)
{
	(void)state;
	for (size_t i = 0; i < PATHS; i++)
		if (chosen(&paths[i]))
			run("take", &paths[i], PROGRAMS, LIMIT, "memory");
}

/* Contexts are bounded apart, also the first of each program. */
static const struct path contexts = { "context", another_context, CONTEXT, 5 * CONTEXT };

static void contexts_are_bounded(void **state)
{
	(void)state;
	run("contexts", &contexts, 1, CONTEXTS, "contexts");
	run("contexts", &contexts, PROGRAMS, CONTEXTS, "contexts");
}

/* -- memory that has been freed in a stream is there for what comes later in that stream */

static void reuse(void)
{
	CUdeviceptr p, other;
	CUstream s, t;
	char c;

	alarm(120);
	start();
	if (blocked(&s) || blocked(&t))
		_exit(112);
	for (int i = 0; i < 5; i++) {
		if (cuMemAllocAsync(&p, 200 * MIB, s))
			_exit(113);
		/* It is not there for other streams. */
		if (cuMemAllocAsync(&other, 200 * MIB, t) != CUDA_ERROR_OUT_OF_MEMORY)
			_exit(114);
		if (cuMemFreeAsync(p, s))
			_exit(115);
		if (cuMemAllocAsync(&other, 200 * MIB, t) != CUDA_ERROR_OUT_OF_MEMORY)
			_exit(116);
	}
	(void)!write(1, "", 1);
	(void)!read(0, &c, 1);
	_exit(0);
}

static void freed_memory_is_used_again(void **state)
{
	struct program p = launch("reuse", "");
	char c;

	(void)state;
	if (read(p.out, &c, 1) == 1) {
		assert_true(charged("memory") >= 200 * MIB);
		assert_true(charged("memory") <= LIMIT);
	}
	assert_int_equal(end(&p), 0);
	nothing_is_left();
}

/*
 * A block that the driver has given back to the device serves nothing any more, although another
 * one that was freed is still waiting for its stream.
 */
static void reuse_what_has_gone(void)
{
	CUdeviceptr small, p, big;
	CUstream s, t;
	size_t left, total;
	char c;

	alarm(120);
	start();
	if (cuStreamCreate(&s, CU_STREAM_NON_BLOCKING) || cuMemAllocAsync(&small, 4096, s) ||
	    cuStreamSynchronize(s) || blocked(&t))
		_exit(117);
	if (cuMemFreeAsync(small, t) || cuMemAllocAsync(&p, 200 * MIB, s) || cuMemFreeAsync(p, s) ||
	    cuStreamSynchronize(s))
		_exit(118);
	do {
		if (cuMemGetInfo_v2(&left, &total))
			_exit(119);
	} while (left < 200 * MIB);
	if (cuMemAlloc_v2(&big, 200 * MIB))
		_exit(120);
	if (cuMemAllocAsync(&p, 200 * MIB, s) != CUDA_ERROR_OUT_OF_MEMORY)
		_exit(121);
	(void)!write(1, "", 1);
	(void)!read(0, &c, 1);
	_exit(0);
}

static void what_has_gone_is_not_used_again(void **state)
{
	struct program p = launch("gone", "");
	char c;

	(void)state;
	if (read(p.out, &c, 1) == 1)
		assert_true(charged("memory") <= LIMIT);
	assert_int_equal(end(&p), 0);
	nothing_is_left();
}

/* -- kernels whose threads have much on their stacks */

/* A kernel of so much local memory. */
static CUresult kernel(unsigned int local, CUfunction *f)
{
	char text[512];
	CUmodule m;
	CUresult r;

	snprintf(text, sizeof(text),
		 ".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry k()\n{\n"
		 ".local .align 16 .b8 stack[%u];\n.reg .b64 %%rd<3>;\n.reg .b32 %%r;\n"
		 "mov.u64 %%rd1, stack;\nmov.u32 %%r, %%clock;\nst.local.u32 [%%rd1], %%r;\n"
		 "st.local.u32 [%%rd1+%u], %%r;\nld.volatile.local.u32 %%r, [%%rd1+%u];\nret;\n}\n",
		 local, local - 4, local / 8 * 4);
	r = cuModuleLoadData(&m, text);
	return r ? r : cuModuleGetFunction(f, m, "k");
}

/* How often one can be launched. */
static CUresult launched(unsigned int local)
{
	CUfunction f;
	CUresult r = kernel(local, &f);

	if (!r)
		r = cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
	return r ? r : cuCtxSynchronize();
}

static void have_stacks(void)
{
	char c;

	alarm(120);
	start();
	for (int i = 0; i < 3; i++) {
		if (launched(512))
			_exit(122);
		if (launched(400 << 10) != CUDA_ERROR_OUT_OF_MEMORY)
			_exit(123);
	}
	(void)!write(1, "", 1);
	(void)!read(0, &c, 1);
	_exit(0);
}

static void stacks_have_to_fit(void **state)
{
	struct program p = launch("stacks", "");
	char c;

	(void)state;
	if (read(p.out, &c, 1) == 1)
		assert_true(charged("memory") <= 8 * MIB);
	assert_int_equal(end(&p), 0);
	nothing_is_left();
}

static unsigned int attribute(CUdevice_attribute a)
{
	int value;

	if (cuDeviceGetAttribute(&value, a, 0) || value < 1)
		_exit(124);
	return value;
}

/* A graph with a kernel whose stacks take half of the limit. */
static CUgraphExec half(bool captured)
{
	uint64_t threads = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) *
			   (uint64_t)attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
	CUDA_KERNEL_NODE_PARAMS k = { .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1,
				      .blockDimY = 1, .blockDimZ = 1 };
	CUgraphExec exec;
	CUgraphNode node;
	CUstream s;
	CUgraph g;
	CUresult r = kernel((LIMIT / 2 / threads + 1024) & ~15ull, &k.func);

	if (!r && captured) {
		r = cuStreamCreate(&s, CU_STREAM_NON_BLOCKING);
		if (!r)
			r = cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED);
		if (!r)
			r = cuLaunchKernel(k.func, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL);
		if (!r)
			r = cuStreamEndCapture(s, &g);
	} else if (!r) {
		r = cuGraphCreate(&g, 0);
		if (!r)
			r = cuGraphAddKernelNode_v2(&node, g, NULL, 0, &k);
	}
	if (!r)
		r = cuGraphInstantiateWithFlags(&exec, g, 0);
	if (r)
		_exit(125);
	return exec;
}

/* Whatever has been allocated since it was made. */
static void have_stacks_of_graphs(bool captured)
{
	CUgraphExec exec;
	CUdeviceptr p;
	CUresult r;

	alarm(120);
	start();
	exec = half(captured);
	if (cuMemAlloc_v2(&p, LIMIT / 4 * 3))
		_exit(126);
	/* The launch may be told of later. */
	r = cuGraphLaunch(exec, NULL);
	if ((r ? r : cuCtxSynchronize()) != CUDA_ERROR_OUT_OF_MEMORY)
		_exit(123);
	if (cuMemFree_v2(p))
		_exit(127);
	if (cuGraphLaunch(exec, NULL) || cuCtxSynchronize())
		_exit(122);
	_exit(0);
}

static void stacks_of_graphs_have_to_fit(void **state)
{
	struct program p;

	(void)state;
	p = launch("node stacks", "");
	assert_int_equal(end(&p), 0);
	p = launch("captured stacks", "");
	assert_int_equal(end(&p), 0);
	nothing_is_left();
}

/* -- what CUDA, NVML and the mediator say */

struct said {
	uint64_t used, total;
};

static struct said nvml(void)
{
	struct { unsigned long long total, free, used; } memory;
	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW), *device;
	int (*init)(void);
	int (*by_index)(unsigned int, void **);
	int (*info)(void *, void *);

	if (!library)
		_exit(104);
	*(void **)&init = dlsym(library, "nvmlInit_v2");
	*(void **)&by_index = dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
	*(void **)&info = dlsym(library, "nvmlDeviceGetMemoryInfo");
	if (init() || by_index(0, &device) || info(device, &memory))
		_exit(105);
	return (struct said){ memory.used, memory.total };
}

static struct said cuda(void)
{
	size_t left, total;

	if (cuMemGetInfo_v2(&left, &total))
		_exit(106);
	return (struct said){ total - left, total };
}

static void tell(void)
{
	struct said said[2] = { cuda(), nvml() };
	char c;

	if (write(1, said, sizeof(said)) != sizeof(said) || read(0, &c, 1) != 1)
		_exit(107);
}

static void be_asked(void)
{
	CUdeviceptr p, q, small[3];
	CUmodule m;

	alarm(120);
	start();
	tell();
	if (cuMemAlloc_v2(&p, 40 * MIB) || odd_block() || block(100) || block(100))
		_exit(108);
	tell();
	if (cuModuleLoadData(&m, image()) || cuMemAllocAsync(&q, 3 * MIB, NULL) ||
	    cuCtxSynchronize())
		_exit(109);
	tell();
	for (int i = 0; i < 3; i++)
		if (cuMemAlloc_v2(&small[i], MIB))
			_exit(110);
	if (cuMemFreeAsync(q, NULL) || cuCtxSynchronize() || cuMemFree_v2(p) || cuModuleUnload(m))
		_exit(111);
	tell();
	_exit(0);
}

static void all_say_the_same(void **state)
{
	/* Without what blocks of up to 1 MiB take, which may lie in a piece that is there already. */
	static const uint64_t held[] = { 0, 42 * MIB, 94 * MIB, 4 * MIB };
	struct program p = launch("asked", "");
	struct said said[2];

	(void)state;
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
		assert_int_equal(read(p.out, said, sizeof(said)), sizeof(said));
		print_message("used: CUDA %llu KiB, NVML %llu, mediator %llu\n",
			      (unsigned long long)said[0].used >> 10,
			      (unsigned long long)said[1].used >> 10,
			      (unsigned long long)charged("memory") >> 10);
		assert_int_equal(said[0].used, charged("memory"));
		assert_int_equal(said[1].used, charged("memory"));
		assert_int_equal(said[0].total, LIMIT);
		assert_int_equal(said[1].total, LIMIT);
		assert_int_equal(charged("memory_limit"), LIMIT);
		assert_true(said[0].used >= held[i] && said[0].used <= held[i] + 2 * PIECE);
		assert_int_equal(write(p.in, "!", 1), 1);
	}
	assert_int_equal(end(&p), 0);
	nothing_is_left();
}

/* -- programs that are killed at any moment */

static void do_anything(unsigned int seed)
{
	CUresult (*const some[])(void) = {
		odd_block, small_block, pitched, array, created, pooled, pooled_and_freed,
		block_freed_in_stream, pool_destroyed, module, graph, heap, another_context,
	};
	CUdeviceptr p;

	alarm(120);
	srand(seed);
	start();
	for (;;) {
		some[rand() % (sizeof(some) / sizeof(some[0]))]();
		if (!cuMemAlloc_v2(&p, 1 + rand() % (4 * MIB)) && rand() % 2)
			cuMemFree_v2(p);
	}
}

static void killed_programs_leave_nothing(void **state)
{
	const char *kills = getenv("VGPU_TEST_KILLS");
	unsigned int n = kills ? atoi(kills) : 16;
	unsigned int seed = time(NULL);

	(void)state;
	print_message("seed %u, %u programs\n", seed, n);
	srand(seed);
	for (unsigned int i = 0; i < n; i += PROGRAMS) {
		struct program p[PROGRAMS];
		char text[16];

		for (unsigned int k = 0; k < PROGRAMS; k++) {
			snprintf(text, sizeof(text), "%u", seed + i + k);
			p[k] = launch("any", text);
		}
		for (unsigned int k = 0; k < PROGRAMS; k++) {
			usleep(rand() % 150000);
			kill(p[k].pid, SIGKILL);
			/* What a module takes is known when it has been loaded, and then it goes. */
			assert_true(charged("memory") <= LIMIT + PROGRAMS * LARGE);
		}
		for (unsigned int k = 0; k < PROGRAMS; k++) {
			int status = end(&p[k]);

			/* Another may have had the last context. */
			assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == NO_CONTEXT);
		}
	}
	nothing_is_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_alone),
		cmocka_unit_test(each_path_by_four),
		cmocka_unit_test(contexts_are_bounded),
		cmocka_unit_test(freed_memory_is_used_again),
		cmocka_unit_test(what_has_gone_is_not_used_again),
		cmocka_unit_test(stacks_have_to_fit),
		cmocka_unit_test(stacks_of_graphs_have_to_fit),
		cmocka_unit_test(all_say_the_same),
		cmocka_unit_test(killed_programs_leave_nothing),
	};

	if (argc == 3) {
		if (!strcmp(argv[1], "contexts"))
			take_all(&contexts);
		if (!strcmp(argv[1], "reuse"))
			reuse();
		if (!strcmp(argv[1], "gone"))
			reuse_what_has_gone();
		if (!strcmp(argv[1], "stacks"))
			have_stacks();
		if (strstr(argv[1], " stacks"))
			have_stacks_of_graphs(!strcmp(argv[1], "captured stacks"));
		if (!strcmp(argv[1], "asked"))
			be_asked();
		if (!strcmp(argv[1], "any"))
			do_anything(atoi(argv[2]));
		for (size_t i = 0; i < PATHS; i++)
			if (!strcmp(paths[i].name, argv[2]))
				take_all(&paths[i]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_test_filter(getenv("VGPU_TEST_ONLY"));
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
