// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's libcupti, through the shim, with softgpu as the device: which records a program
 * gets, of what, in which order, and that their times lie where they must.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cupti/cupti_abi.h"

#define ok(call) assert_int_equal(call, CUDA_SUCCESS)
#define fine(call) assert_int_equal(call, CUPTI_SUCCESS)

static const char ptx[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	/* out[i] += by, for i < n, `rounds` times */
	".visible .entry add(.param .u64 out, .param .u32 n, .param .u32 by, .param .u32 rounds)\n{\n"
	".reg .pred %p;\n.reg .b32 %r<10>;\n.reg .b64 %d<4>;\n"
	"ld.param.u64 %d1, [out];\nld.param.u32 %r1, [n];\nld.param.u32 %r2, [by];\n"
	"ld.param.u32 %r7, [rounds];\ncvta.to.global.u64 %d1, %d1;\n"
	"mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\nmov.u32 %r5, %tid.x;\n"
	"mad.lo.s32 %r3, %r3, %r4, %r5;\nsetp.ge.u32 %p, %r3, %r1;\n@%p bra DONE;\n"
	"mul.wide.u32 %d2, %r3, 4;\nadd.s64 %d1, %d1, %d2;\n"
	"AGAIN:\n"
	"ld.global.u32 %r6, [%d1];\nadd.s32 %r6, %r6, %r2;\nst.global.u32 [%d1], %r6;\n"
	"sub.u32 %r7, %r7, 1;\nsetp.ne.u32 %p, %r7, 0;\n@%p bra AGAIN;\n"
	"DONE:\nret;\n}\n"
	".visible .entry nothing()\n{\nret;\n}\n";

static CUcontext ctx;
static CUmodule module;
static CUfunction add, nothing;
static CUdeviceptr memory;
static CUstream streams[2];

#define N 1024u

/* -- the program's side: buffers, and the records out of them */

#define BUFFER (64u << 10)

static size_t buffer_bytes = BUFFER, records_max;
static unsigned int buffers_out, buffers_back, buffers_most = 1000000;

union record {
	uint32_t kind;
	struct cupti_kernel kernel;
	struct cupti_memcpy memcpy;
	struct cupti_memset memset;
	struct cupti_api api;
	struct cupti_external external;
	struct cupti_graph graph;
};

static union record *records;
static size_t count, room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void requested(uint8_t **buffer, size_t *bytes, size_t *max)
{
	*buffer = NULL;
	*bytes = 0;
	*max = records_max;
	pthread_mutex_lock(&lock);
	if (buffers_out - buffers_back < buffers_most) {
		*buffer = aligned_alloc(8, buffer_bytes);
		*bytes = buffer_bytes;
		buffers_out++;
	}
	pthread_mutex_unlock(&lock);
}

static size_t bytes_of(uint32_t kind)
{
	switch (kind) {
	case CUPTI_ACTIVITY_KIND_MEMCPY: return sizeof(struct cupti_memcpy);
	case CUPTI_ACTIVITY_KIND_MEMSET: return sizeof(struct cupti_memset);
	case CUPTI_ACTIVITY_KIND_DRIVER: return sizeof(struct cupti_api);
	case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: return sizeof(struct cupti_external);
	case CUPTI_ACTIVITY_KIND_GRAPH_TRACE: return sizeof(struct cupti_graph);
	default: return sizeof(struct cupti_kernel);
	}
}

static void completed(CUcontext c, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid)
{
	void *r = NULL;
	CUptiResult end;

	(void)c;
	(void)stream;
	(void)bytes;
	pthread_mutex_lock(&lock);
	buffers_back++;
	while (!(end = cuptiActivityGetNextRecord(buffer, valid, &r))) {
		if (count == room) {
			room = room ? 2 * room : 1024;
			records = realloc(records, room * sizeof(*records));
		}
		memset(&records[count], 0, sizeof(*records));
		memcpy(&records[count++], r, bytes_of(*(uint32_t *)r));
	}
	assert_int_equal(end, CUPTI_ERROR_MAX_LIMIT_REACHED);
	pthread_mutex_unlock(&lock);
	free(buffer);
}

static void collect(void)
{
	fine(cuptiActivityFlushAll(1));
	assert_int_equal(buffers_out, buffers_back);
}

static uint32_t correlation_of(const union record *r)
{
	switch (r->kind) {
	case CUPTI_ACTIVITY_KIND_MEMCPY: return r->memcpy.correlationId;
	case CUPTI_ACTIVITY_KIND_MEMSET: return r->memset.correlationId;
	default: return r->kernel.correlationId;
	}
}

static int in_order_of_calls(const void *a, const void *b)
{
	uint32_t x = correlation_of(a), y = correlation_of(b);

	return (x > y) - (x < y);
}

/* Streams do not wait for each other, so their records come in any order. */
static void sort_records(void)
{
	qsort(records, count, sizeof(*records), in_order_of_calls);
}

static unsigned int number_of(uint32_t kind)
{
	unsigned int n = 0;

	for (size_t i = 0; i < count; i++)
		n += records[i].kind == kind;
	return n;
}

/* The n-th record of a kind. */
static const union record *record(uint32_t kind, unsigned int n)
{
	for (size_t i = 0; i < count; i++)
		if (records[i].kind == kind && !n--)
			return &records[i];
	fail_msg("there are %u records of kind %u", number_of(kind), kind);
	return NULL;
}

static uint64_t now(void)
{
	uint64_t ns;

	fine(cuptiGetTimestamp(&ns));
	return ns;
}

static const uint32_t all_kinds[] = {
	CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
	CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_DRIVER,
	CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, CUPTI_ACTIVITY_KIND_GRAPH_TRACE,
};

static void begin(uint64_t kinds)
{
	count = 0;
	for (uint32_t k = 0; k < VG_ACTIVITY_KINDS; k++)
		if (kinds >> k & 1)
			fine(cuptiActivityEnable(k));
}

static int end(void **state)
{
	size_t dropped;

	(void)state;
	for (size_t i = 0; i < sizeof(all_kinds) / sizeof(all_kinds[0]); i++)
		fine(cuptiActivityDisable(all_kinds[i]));
	cuCtxSynchronize();
	fine(cuptiActivityFlushAll(1));
	fine(cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped));
	buffer_bytes = BUFFER;
	buffers_most = 1000000;
	records_max = 0;
	count = 0;
	return 0;
}

#define KIND(name) (1ull << CUPTI_ACTIVITY_KIND_##name)

static void launch(unsigned int rounds, CUstream s)
{
	unsigned int n = N, by = 1;
	void *params[] = { &memory, &n, &by, &rounds };

	ok(cuLaunchKernel(add, N / 128, 1, 1, 128, 1, 1, 16, s, params, NULL));
}

/* -- tests */

static void test_kernels(void **state)
{
	const struct cupti_kernel *k;
	uint64_t before, after;
	uint32_t context, stream, device;

	(void)state;
	begin(KIND(CONCURRENT_KERNEL));
	before = now();
	for (int i = 0; i < 10; i++)
		launch(10, streams[0]);
	ok(cuLaunchKernel(nothing, 1, 2, 3, 32, 1, 1, 0, NULL, NULL, NULL));
	ok(cuCtxSynchronize());
	after = now();
	collect();
	assert_int_equal(count, 11);
	sort_records();
	fine(cuptiGetContextId(ctx, &context));
	fine(cuptiGetStreamId(ctx, streams[0], &stream));
	fine(cuptiGetDeviceId(ctx, &device));
	for (unsigned int i = 0; i < 10; i++) {
		k = &record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, i)->kernel;
		assert_string_equal(k->name, "add");
		assert_true(k->start >= before && k->end > k->start && k->end <= after);
		assert_int_equal(k->completed, k->end);
		assert_int_equal(k->gridX, N / 128);
		assert_int_equal(k->gridY, 1);
		assert_int_equal(k->blockX, 128);
		assert_int_equal(k->dynamicSharedMemory, 16);
		assert_int_equal(k->contextId, context);
		assert_int_equal(k->streamId, stream);
		assert_int_equal(k->deviceId, device);
		/* One stream's kernels follow each other, as their calls do. */
		if (i) {
			const struct cupti_kernel *b =
				&record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, i - 1)->kernel;

			assert_true(k->start >= b->end - 1000 && k->correlationId > b->correlationId);
		}
	}
	k = &record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 10)->kernel;
	assert_string_equal(k->name, "nothing");
	assert_int_equal(k->gridZ, 3);
	assert_int_equal(k->streamId, 7);
}

static void copies_of(size_t bytes)
{
	static uint8_t data[8 << 20];
	const struct cupti_memcpy *m;
	CUdeviceptr p, q;
	uint64_t at[7];
	void *pinned;

	ok(cuMemAlloc_v2(&p, bytes));
	ok(cuMemAlloc_v2(&q, bytes));
	ok(cuMemHostAlloc(&pinned, bytes, 0));
	begin(KIND(MEMCPY));
	at[0] = now();
	ok(cuMemcpyHtoD_v2(p, data, bytes));
	ok(cuCtxSynchronize());
	at[1] = now();
	ok(cuMemcpyDtoD_v2(q, p, bytes));
	ok(cuCtxSynchronize());
	at[2] = now();
	ok(cuMemcpyDtoH_v2(data, q, bytes));
	at[3] = now();
	ok(cuMemcpyHtoDAsync_v2(p, pinned, bytes, streams[0]));
	ok(cuStreamSynchronize(streams[0]));
	at[4] = now();
	ok(cuMemcpyDtoHAsync_v2(pinned, p, bytes, streams[0]));
	ok(cuStreamSynchronize(streams[0]));
	at[5] = now();
	ok(cuMemcpyAsync((CUdeviceptr)(uintptr_t)pinned, p, bytes, streams[1]));
	ok(cuStreamSynchronize(streams[1]));
	at[6] = now();
	collect();
	assert_int_equal(count, 6);
	sort_records();
	for (unsigned int i = 0; i < 6; i++) {
		static const struct {
			uint8_t kind, from, to, async;
		} want[6] = {
			{ VG_CUPTI_HTOD, VG_CUPTI_PAGEABLE, VG_CUPTI_DEVICE, 0 },
			{ VG_CUPTI_DTOD, VG_CUPTI_DEVICE, VG_CUPTI_DEVICE, 0 },
			{ VG_CUPTI_DTOH, VG_CUPTI_DEVICE, VG_CUPTI_PAGEABLE, 0 },
			{ VG_CUPTI_HTOD, VG_CUPTI_PINNED, VG_CUPTI_DEVICE, 1 },
			{ VG_CUPTI_DTOH, VG_CUPTI_DEVICE, VG_CUPTI_PINNED, 1 },
			{ VG_CUPTI_DTOH, VG_CUPTI_DEVICE, VG_CUPTI_PINNED, 1 },
		};

		m = &record(CUPTI_ACTIVITY_KIND_MEMCPY, i)->memcpy;
		assert_int_equal(m->bytes, bytes);
		assert_int_equal(m->copyKind, want[i].kind);
		assert_int_equal(m->srcKind, want[i].from);
		assert_int_equal(m->dstKind, want[i].to);
		assert_int_equal(m->flags, want[i].async);
		assert_int_equal(m->copyCount, 1);
		assert_true(m->start >= at[i] && m->end >= m->start && m->end <= at[i + 1]);
	}
	end(NULL);
	ok(cuMemFreeHost(pinned));
	ok(cuMemFree_v2(p));
	ok(cuMemFree_v2(q));
}

static void test_copies(void **state)
{
	(void)state;
	copies_of(4);
	copies_of(100000);
	copies_of(8 << 20);
}

static void test_memsets(void **state)
{
	const struct cupti_memset *m;
	uint64_t before, after;

	(void)state;
	begin(KIND(MEMSET));
	before = now();
	ok(cuMemsetD8_v2(memory, 3, 16));
	ok(cuMemsetD32Async(memory, 77, 5, streams[1]));
	ok(cuMemsetD2D16_v2(memory, 64, 9, 8, 2));
	ok(cuCtxSynchronize());
	after = now();
	collect();
	assert_int_equal(count, 3);
	sort_records();
	for (unsigned int i = 0; i < 3; i++) {
		static const struct { unsigned int value, bytes, flags; } want[] = {
			{ 3, 16, 0 }, { 77, 20, 1 }, { 9, 32, 0 },
		};

		m = &record(CUPTI_ACTIVITY_KIND_MEMSET, i)->memset;
		assert_int_equal(m->value, want[i].value);
		assert_int_equal(m->bytes, want[i].bytes);
		assert_int_equal(m->flags, want[i].flags);
		assert_int_equal(m->memoryKind, VG_CUPTI_DEVICE);
		assert_true(m->start >= before && m->end >= m->start && m->end <= after);
	}
}

/* Calls, and the launch's own among them has the kernel's number. */
static void test_driver_calls(void **state)
{
	const struct cupti_kernel *k;
	const struct cupti_api *a = NULL;
	uint64_t before, after;
	const char *name;
	size_t bytes;

	(void)state;
	begin(KIND(DRIVER) | KIND(CONCURRENT_KERNEL));
	before = now();
	launch(1, NULL);
	assert_int_equal(cuMemFree_v2(12345), CUDA_ERROR_INVALID_VALUE);
	ok(cuCtxSynchronize());
	ok(cuMemGetInfo_v2(&bytes, &bytes));
	after = now();
	for (int i = 0; i < 2; i++)
		fine(cuptiActivityDisable(i ? CUPTI_ACTIVITY_KIND_DRIVER :
					      CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_DRIVER), 4);
	k = &record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel;
	for (unsigned int i = 0; i < 4; i++) {
		static const char *const names[] = { "cuLaunchKernel", "cuMemFree_v2",
						     "cuCtxSynchronize", "cuMemGetInfo_v2" };

		a = &record(CUPTI_ACTIVITY_KIND_DRIVER, i)->api;
		fine(cuptiGetCallbackName(VG_DOMAIN_DRIVER, a->cbid, &name));
		assert_string_equal(name, names[i]);
		assert_true(a->start >= before && a->end >= a->start && a->end <= after);
		assert_int_equal(a->returnValue, i == 1 ? CUDA_ERROR_INVALID_VALUE : 0);
		assert_int_equal(a->threadId, (uint32_t)pthread_self());
		before = a->end;
	}
	a = &record(CUPTI_ACTIVITY_KIND_DRIVER, 0)->api;
	assert_int_equal(a->correlationId, k->correlationId);
	assert_true(k->start >= a->start);
	/* Between the call and the end of the synchronisation. */
	assert_true(k->end <= record(CUPTI_ACTIVITY_KIND_DRIVER, 2)->api.end);
}

static void test_unwanted_calls(void **state)
{
	unsigned int launches = 0;

	(void)state;
	begin(KIND(DRIVER));
	fine(cuptiActivityEnableDriverApi(307, 0));	/* cuLaunchKernel */
	launch(1, NULL);
	ok(cuCtxSynchronize());
	fine(cuptiActivityEnableDriverApi(307, 1));
	launch(1, NULL);
	collect();
	for (size_t i = 0; i < count; i++)
		launches += records[i].api.cbid == 307;
	assert_int_equal(launches, 1);
	assert_int_equal(count, 2);
	assert_int_equal(cuptiActivityEnableDriverApi(60000, 0), CUPTI_ERROR_INVALID_PARAMETER);
}

/* Each call gets the topmost id of each kind, and so do the records with its number. */
static void test_external(void **state)
{
	const struct cupti_external *e;
	uint64_t last;

	(void)state;
	begin(KIND(EXTERNAL_CORRELATION) | KIND(CONCURRENT_KERNEL) | KIND(MEMSET));
	fine(cuptiActivityPushExternalCorrelationId(3, 100));
	launch(1, NULL);
	fine(cuptiActivityPushExternalCorrelationId(3, 101));
	fine(cuptiActivityPushExternalCorrelationId(4, 500));
	ok(cuMemsetD32_v2(memory, 0, N));
	fine(cuptiActivityPopExternalCorrelationId(3, &last));
	assert_int_equal(last, 101);
	fine(cuptiActivityPopExternalCorrelationId(4, NULL));
	launch(1, NULL);
	fine(cuptiActivityPopExternalCorrelationId(3, &last));
	assert_int_equal(last, 100);
	launch(1, NULL);
	assert_int_equal(cuptiActivityPopExternalCorrelationId(3, &last), CUPTI_ERROR_QUEUE_EMPTY);
	assert_int_equal(cuptiActivityPopExternalCorrelationId(0, &last),
			 CUPTI_ERROR_INVALID_PARAMETER);
	assert_int_equal(cuptiActivityPushExternalCorrelationId(6, 1), CUPTI_ERROR_INVALID_PARAMETER);
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION), 4);
	e = &record(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, 0)->external;
	assert_int_equal(e->externalKind, 3);
	assert_int_equal(e->externalId, 100);
	assert_int_equal(e->correlationId,
			 record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel.correlationId);
	for (unsigned int i = 1; i < 3; i++) {
		e = &record(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, i)->external;
		assert_int_equal(e->externalKind, 2 + i);
		assert_int_equal(e->externalId, i == 1 ? 101 : 500);
		assert_int_equal(e->correlationId,
				 record(CUPTI_ACTIVITY_KIND_MEMSET, 0)->memset.correlationId);
	}
	e = &record(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, 3)->external;
	assert_int_equal(e->externalId, 100);
}

static void test_disabled(void **state)
{
	(void)state;
	begin(KIND(CONCURRENT_KERNEL) | KIND(MEMSET));
	launch(1, NULL);
	fine(cuptiActivityDisable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
	launch(1, NULL);
	ok(cuMemsetD8_v2(memory, 0, 4));
	fine(cuptiActivityDisable(CUPTI_ACTIVITY_KIND_MEMSET));
	ok(cuMemsetD8_v2(memory, 0, 4));
	launch(1, NULL);
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(count, 2);
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_MEMSET), 1);
	launch(1, NULL);
	ok(cuCtxSynchronize());
	count = 0;
	collect();
	assert_int_equal(count, 0);
}

/* What is captured runs later, as a part of the graph. */
static void test_graphs(void **state)
{
	const struct cupti_graph *g;
	CUgraphExec exec;
	CUgraph graph;
	uint64_t before;

	(void)state;
	begin(KIND(CONCURRENT_KERNEL) | KIND(GRAPH_TRACE));
	ok(cuStreamBeginCapture_v2(streams[0], CU_STREAM_CAPTURE_MODE_GLOBAL));
	launch(1, streams[0]);
	launch(1, streams[0]);
	/* Another stream is not under capture, and is timed all the same. */
	launch(1, streams[1]);
	ok(cuStreamEndCapture(streams[0], &graph));
	ok(cuGraphInstantiateWithFlags(&exec, graph, 0));
	before = now();
	ok(cuGraphLaunch(exec, streams[0]));
	ok(cuGraphLaunch(exec, streams[0]));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), 1);
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_GRAPH_TRACE), 2);
	g = &record(CUPTI_ACTIVITY_KIND_GRAPH_TRACE, 0)->graph;
	assert_true(g->start >= before && g->end > g->start);
	assert_int_equal(g->graphId, record(CUPTI_ACTIVITY_KIND_GRAPH_TRACE, 1)->graph.graphId);
	/* A program that knows no graphs sees one kernel for each launch. */
	fine(cuptiActivityDisable(CUPTI_ACTIVITY_KIND_GRAPH_TRACE));
	count = 0;
	ok(cuGraphLaunch(exec, streams[0]));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(count, 1);
	assert_string_equal(record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel.name,
			    "CUDA graph");
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(graph));
}

#define THREADS 4
#define ROUNDS 300

static void *work(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	unsigned int one = 1, rounds = 1, by = 1;
	CUdeviceptr p = memory;
	void *params[] = { &p, &one, &by, &rounds };
	CUstream s;

	cuCtxSetCurrent(ctx);
	cuStreamCreate(&s, CU_STREAM_NON_BLOCKING);
	for (uintptr_t i = 0; i < ROUNDS; i++) {
		cuptiActivityPushExternalCorrelationId(5, n << 32 | i);
		cuLaunchKernel(add, 1, 1, 1, 1 + n, 1, 1, 0, s, params, NULL);
		cuMemsetD32Async(memory, n << 16 | i, 1, s);
		cuptiActivityPopExternalCorrelationId(5, NULL);
		if (i % 100 == 99)
			cuptiActivityFlushAll(0);
	}
	cuStreamSynchronize(s);
	cuStreamDestroy_v2(s);
	return NULL;
}

/* Threads, small buffers, flushes in between: nothing is lost, and each number leads back. */
static void test_threads(void **state)
{
	pthread_t threads[THREADS];
	static uint32_t owner[1 << 20];
	size_t dropped;

	(void)state;
	buffer_bytes = 1024;
	begin(KIND(CONCURRENT_KERNEL) | KIND(MEMSET) | KIND(EXTERNAL_CORRELATION));
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	collect();
	fine(cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped));
	assert_int_equal(dropped, 0);
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), THREADS * ROUNDS);
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_MEMSET), THREADS * ROUNDS);
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION), 2 * THREADS * ROUNDS);
	for (size_t i = 0; i < count; i++)
		if (records[i].kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION)
			owner[records[i].external.correlationId] = 1 + (records[i].external.externalId >> 32);
	for (size_t i = 0; i < count; i++) {
		if (records[i].kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL)
			assert_int_equal(owner[records[i].kernel.correlationId],
					 records[i].kernel.blockX);
		if (records[i].kind == CUPTI_ACTIVITY_KIND_MEMSET)
			assert_int_equal(owner[records[i].memset.correlationId],
					 1 + (records[i].memset.value >> 16));
	}
}

/* More than the executor holds, and than one fetch brings. */
static void test_many(void **state)
{
	const unsigned int many = 20000;
	uint64_t last = 0;
	size_t dropped;

	(void)state;
	begin(KIND(MEMSET));
	for (unsigned int i = 0; i < many; i++)
		ok(cuMemsetD32Async(memory, i, 1, streams[0]));
	ok(cuCtxSynchronize());
	collect();
	fine(cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped));
	assert_int_equal(number_of(CUPTI_ACTIVITY_KIND_MEMSET) + dropped, many);
	assert_true(dropped < many / 2);
	for (size_t i = 0; i < count; i++) {
		assert_true(!i || records[i].memset.value > records[i - 1].memset.value);
		/*
		 * Fetched at different times, between which the clocks were compared anew, which on a
		 * busy machine is right to some milliseconds.
		 */
		assert_true(records[i].memset.start + 100000000 >= last);
		last = records[i].memset.start;
	}
}

/* No buffer, or one that is full and no other: counted, and the count begins anew. */
static void test_dropped(void **state)
{
	unsigned int before;
	size_t dropped;

	(void)state;
	buffers_most = 0;
	begin(KIND(MEMSET));
	for (unsigned int i = 0; i < 10; i++)
		ok(cuMemsetD32Async(memory, i, 1, streams[0]));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(count, 0);
	fine(cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped));
	assert_int_equal(dropped, 10);
	fine(cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped));
	assert_int_equal(dropped, 0);
	buffers_most = 1000;
	records_max = 1;
	for (unsigned int i = 0; i < 10; i++)
		ok(cuMemsetD32Async(memory, i, 1, streams[0]));
	ok(cuCtxSynchronize());
	before = buffers_out;
	collect();
	assert_int_equal(count, 10);
	assert_true(buffers_out - before >= 9);
}

/* A clock of the program's own, in its own unit: half microseconds from some day on. */
static uint64_t own_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return 1000000 + ((uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec) / 500;
}

static void test_clocks(void **state)
{
	struct timespec ts;
	uint64_t a, b;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &ts);
	a = (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	assert_true(now() - a < 1000000000);
	assert_int_equal(cuptiActivityRegisterTimestampCallback(NULL), CUPTI_ERROR_INVALID_PARAMETER);
	fine(cuptiActivityRegisterTimestampCallback(own_clock));
	begin(KIND(CONCURRENT_KERNEL));
	a = own_clock();
	launch(20000, NULL);
	ok(cuCtxSynchronize());
	b = own_clock();
	collect();
	assert_true(record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel.start >= a);
	assert_true(record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel.end <= b);
	assert_true(record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel.end >
		    record(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0)->kernel.start + (b - a) / 4);
	fine(cuptiActivityDisable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
}

/* -- callbacks */

static unsigned int entered, left, created, destroying;
static uint32_t seen;

static void told(void *user, uint32_t domain, uint32_t cbid, const void *data)
{
	const struct cupti_callback *c = data;
	const struct { CUfunction f; unsigned int gx, gy, gz, bx; } *p = c->functionParams;

	assert_ptr_equal(user, &seen);
	if (domain == VG_DOMAIN_RESOURCE) {
		created += cbid == VG_CONTEXT_CREATED;
		destroying += cbid == VG_CONTEXT_DESTROY_STARTING;
		return;
	}
	assert_int_equal(cbid, 307);
	assert_string_equal(c->functionName, "cuLaunchKernel");
	assert_ptr_equal(p->f, nothing);
	assert_int_equal(p->bx, 64);
	if (c->callbackSite == VG_CUPTI_ENTER) {
		entered++;
		*c->correlationData = 4711;
		seen = c->correlationId;
		/* A call within is not told again. */
		ok(cuLaunchKernel(nothing, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
	} else {
		left++;
		assert_int_equal(*c->correlationData, 4711);
		assert_int_equal(c->correlationId, seen);
		assert_int_equal(*(CUresult *)c->functionReturnValue, CUDA_SUCCESS);
	}
}

static void test_callbacks(void **state)
{
	struct cupti_subscriber *s, *t;
	CUcontext c;
	uint32_t on;

	(void)state;
	fine(cuptiSubscribe(&s, told, &seen));
	assert_int_equal(cuptiSubscribe(&t, told, NULL),
			 CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
	fine(cuptiEnableCallback(1, s, VG_DOMAIN_RESOURCE, VG_CONTEXT_CREATED));
	fine(cuptiEnableCallback(1, s, VG_DOMAIN_RESOURCE, VG_CONTEXT_DESTROY_STARTING));
	ok(cuCtxCreate_v2(&c, 0, 0));
	assert_int_equal(created, 1);
	assert_int_equal(destroying, 0);
	ok(cuCtxDestroy_v2(c));
	assert_int_equal(destroying, 1);
	ok(cuCtxSetCurrent(ctx));
	assert_int_equal(entered, 0);
	fine(cuptiEnableCallback(1, s, VG_DOMAIN_DRIVER, 307));
	fine(cuptiGetCallbackState(&on, s, VG_DOMAIN_DRIVER, 307));
	assert_int_equal(on, 1);
	ok(cuLaunchKernel(nothing, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
	ok(cuCtxSynchronize());
	assert_int_equal(entered, 1);
	assert_int_equal(left, 1);
	assert_int_equal(cuptiEnableCallback(1, s, VG_DOMAIN_RUNTIME, 1), CUPTI_ERROR_NOT_SUPPORTED);
	assert_int_equal(cuptiEnableDomain(1, s, VG_DOMAIN_RUNTIME), CUPTI_ERROR_NOT_SUPPORTED);
	assert_int_equal(cuptiEnableCallback(1, s, 99, 1), CUPTI_ERROR_INVALID_PARAMETER);
	fine(cuptiUnsubscribe(s));
	ok(cuLaunchKernel(nothing, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
	assert_int_equal(entered, 1);
	ok(cuCtxSynchronize());
}

/* A context that goes while its records are still with the executor. */
static void test_contexts(void **state)
{
	const struct cupti_memset *m;
	CUdeviceptr p;
	CUcontext c;
	uint32_t id, device;

	(void)state;
	begin(KIND(MEMSET));
	ok(cuCtxCreate_v2(&c, 0, 0));
	fine(cuptiGetContextId(c, &id));
	fine(cuptiGetDeviceId(c, &device));
	assert_int_equal(device, 0);
	ok(cuMemAlloc_v2(&p, 64));
	ok(cuMemsetD8_v2(p, 1, 64));
	ok(cuCtxSynchronize());
	ok(cuCtxDestroy_v2(c));
	ok(cuCtxSetCurrent(ctx));
	ok(cuMemsetD8_v2(memory, 2, 64));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(count, 2);
	m = &record(CUPTI_ACTIVITY_KIND_MEMSET, 0)->memset;
	assert_int_equal(m->contextId, id);
	assert_true(m->end >= m->start);
	assert_true(record(CUPTI_ACTIVITY_KIND_MEMSET, 1)->memset.contextId != id);
	assert_int_equal(cuptiGetContextId(NULL, &id), CUPTI_ERROR_INVALID_CONTEXT);
}

static void test_answers(void **state)
{
	const char *text;
	uint32_t version;
	size_t size = 1, value = 5;
	uint8_t yes = 1, no = 0;

	(void)state;
	fine(cuptiGetVersion(&version));
	assert_int_equal(version, 130001);
	fine(cuptiGetResultString(CUPTI_ERROR_NOT_SUPPORTED, &text));
	assert_string_equal(text, "CUPTI_ERROR_NOT_SUPPORTED");
	assert_int_equal(cuptiGetResultString(12345, &text), CUPTI_ERROR_INVALID_PARAMETER);
	cuptiGetLastError();
	assert_int_equal(cuptiActivityEnable(5), CUPTI_ERROR_NOT_SUPPORTED);	/* RUNTIME */
	assert_int_equal(cuptiGetLastError(), CUPTI_ERROR_NOT_SUPPORTED);
	assert_int_equal(cuptiGetLastError(), CUPTI_SUCCESS);
	assert_int_equal(cuptiActivityEnable(0), CUPTI_ERROR_INVALID_KIND);
	assert_int_equal(cuptiActivityEnable(1000), CUPTI_ERROR_INVALID_KIND);
	assert_int_equal(cuptiActivitySetAttribute(9, &size, &yes), CUPTI_ERROR_NOT_SUPPORTED);
	fine(cuptiActivitySetAttribute(9, &size, &no));
	assert_int_equal(cuptiActivitySetAttribute(0, &size, &value),
			 CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT);
	size = sizeof(value);
	fine(cuptiActivitySetAttribute(0, &size, &value));
	value = 0;
	fine(cuptiActivityGetAttribute(0, &size, &value));
	assert_int_equal(value, 5);
}

static void test_finalize(void **state)
{
	(void)state;
	begin(KIND(MEMSET));
	ok(cuMemsetD8_v2(memory, 1, 4));
	fine(cuptiFinalize());
	count = 0;
	ok(cuMemsetD8_v2(memory, 1, 4));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(count, 0);
	begin(KIND(MEMSET));
	ok(cuMemsetD8_v2(memory, 1, 4));
	ok(cuCtxSynchronize());
	collect();
	assert_int_equal(count, 1);
}

static int start(void **state)
{
	(void)state;
	/* As a profiler does, before the program has started the driver. */
	if (cuptiActivityRegisterCallbacks(requested, completed) ||
	    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET) || cuptiActivityFlushAll(0))
		return 1;
	if (cuInit(0) || cuCtxCreate_v2(&ctx, 0, 0) || cuModuleLoadData(&module, ptx) ||
	    cuModuleGetFunction(&add, module, "add") ||
	    cuModuleGetFunction(&nothing, module, "nothing") || cuMemAlloc_v2(&memory, 4 * N) ||
	    cuStreamCreate(&streams[0], CU_STREAM_NON_BLOCKING) ||
	    cuStreamCreate(&streams[1], CU_STREAM_NON_BLOCKING))
		return 1;
	return end(state);
}

#define T(name) cmocka_unit_test_teardown(test_##name, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kernels), T(copies), T(memsets), T(driver_calls), T(unwanted_calls), T(external),
		T(disabled), T(graphs), T(threads), T(many), T(dropped), T(callbacks), T(contexts),
		T(answers), T(finalize), T(clocks),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
