// SPDX-License-Identifier: Apache-2.0
/* Memory and events of another process.  This program starts itself a second time for that. */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 3000u		/* no whole number of pages */

/* What one process tells the other. */
struct parcel {
	CUipcMemHandle memory;
	CUipcEventHandle event;
};

static int peer;
static pid_t child;

static void say(const void *p, size_t n)
{
	assert_int_equal(write(peer, p, n), n);
}

static void hear(void *p, size_t n)
{
	assert_int_equal(read(peer, p, n), n);
}

static void start(const char *what)
{
	char fd[16];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		close(pair[0]);
		snprintf(fd, sizeof(fd), "%d", pair[1]);
		execl("/proc/self/exe", "test_ipc", what, fd, NULL);
		_exit(127);
	}
	close(pair[1]);
	peer = pair[0];
}

static void end(void)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(peer);
}

static void fill(CUdeviceptr p, uint32_t first)
{
	uint32_t v[WORDS];

	for (uint32_t i = 0; i < WORDS; i++)
		v[i] = first + i;
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
}

static bool has(CUdeviceptr p, uint32_t first)
{
	uint32_t v[WORDS];

	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	for (uint32_t i = 0; i < WORDS; i++)
		if (v[i] != first + i)
			return false;
	return true;
}

static const char adds[] = PTX_HEADER
	".visible .entry adds(.param .u64 p, .param .u32 n)\n{\n.reg .b64 %a, %o;\n"
	".reg .b32 %x, %n;\n.reg .pred %p;\nld.param.u64 %a, [p];\nld.param.u32 %n, [n];\n"
	"mov.u32 %x, %tid.x;\nLOOP: setp.ge.u32 %p, %x, %n;\n@%p bra END;\n"
	"mul.wide.u32 %o, %x, 4;\nadd.u64 %o, %o, %a;\nred.global.add.u32 [%o], 1000;\n"
	"add.u32 %x, %x, 32;\nbra LOOP;\nEND: ret;\n}\n";

static void memory(void **state)
{
	CUdeviceptr before, p, q;
	struct parcel m;
	uint8_t yes;
	char c;

	(void)state;
	start("memory");
	/* Not at the start of a page. */
	ok(cuMemAlloc_v2(&before, 512));
	ok(cuMemAlloc_v2(&p, WORDS * 4));
	fill(p, 7);
	ok(cuIpcGetMemHandle(&m.memory, p + 100));
	ok(cuPointerGetAttribute(&yes, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, p));
	assert_int_equal(yes, 1);
	gives(CUDA_ERROR_INVALID_CONTEXT, cuIpcOpenMemHandle_v2(&q, m.memory, 1));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&m.memory, 4096));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
	say(&m, sizeof(m));
	hear(&c, 1);
	assert_true(has(p, 1007));
	say(&c, 1);
	end();
	ok(cuMemFree_v2(p));
	ok(cuMemAlloc_v2(&p, WORDS * 4));
	ok(cuMemFree_v2(p));
	ok(cuMemFree_v2(before));
}

static void memory_child(void)
{
	CUdeviceptr p, q, base;
	struct parcel m;
	uint32_t n = WORDS;
	CUmodule mod;
	CUipcMemHandle bad;
	size_t size;
	char c = 0;

	hear(&m, sizeof(m));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&p, m.memory, 2));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(NULL, m.memory, 1));
	for (size_t i = 0; i < 56; i++) {
		bad = m.memory;
		((uint8_t *)&bad)[i] ^= 0x80;
		if (!cuIpcOpenMemHandle_v2(&p, bad, 1))		/* another place in the file */
			ok(cuIpcCloseMemHandle(p));
	}
	ok(cuIpcOpenMemHandle_v2(&p, m.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	ok(cuIpcOpenMemHandle_v2(&q, m.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	assert_int_equal(p, q);
	ok(cuMemGetAddressRange_v2(&base, &size, p + 5));
	assert_int_equal(base, p);
	assert_int_equal(size, WORDS * 4);
	gives(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(p));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&bad, p));
	assert_true(has(p, 7));
	mod = load(adds);
	launch(function(mod, "adds"), 1, 32, 0, &p, &n, NULL);
	ok(cuIpcCloseMemHandle(p));
	assert_true(has(p, 1007));
	say(&c, 1);
	hear(&c, 1);
	ok(cuIpcCloseMemHandle(p));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
	gives(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2(&base, &size, p));
}

/* One context closes the memory while a copy of another one is queued: the copy comes first. */
static void closed_in_use(void **state)
{
	struct parcel m;
	CUdeviceptr p;

	(void)state;
	start("close");
	ok(cuMemAlloc_v2(&p, WORDS * 4));
	fill(p, 7);
	ok(cuIpcGetMemHandle(&m.memory, p));
	say(&m, sizeof(m));
	end();
	ok(cuMemFree_v2(p));
}

struct closing {
	CUcontext ctx;
	CUdeviceptr p;
	bool destroy;
	atomic_bool over;
};

static void *close_memory(void *arg)
{
	struct closing *c = arg;

	if (c->destroy) {
		ok(cuCtxDestroy_v2(c->ctx));
	} else {
		ok(cuCtxSetCurrent(c->ctx));
		ok(cuIpcCloseMemHandle(c->p));
	}
	atomic_store(&c->over, true);
	return NULL;
}

/* Gives the other thread time to do wrong: it may not get further than to wait. */
static void until_closed(void *arg)
{
	struct closing *c = arg;

	for (int i = 0; i < 200 && !atomic_load(&c->over); i++)
		usleep(1000);
}

static void close_child(void)
{
	struct closing c;
	CUcontext mine;
	CUdeviceptr q;
	struct parcel m;
	pthread_t t;
	CUstream s;

	hear(&m, sizeof(m));
	ok(cuCtxGetCurrent(&mine));
	ok(cuMemAlloc_v2(&q, WORDS * 4));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (int destroy = 0; destroy < 2; destroy++) {
		c = (struct closing){ .destroy = destroy };
		ok(cuCtxCreate_v2(&c.ctx, 0, 0));
		ok(cuIpcOpenMemHandle_v2(&c.p, m.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
		ok(cuCtxSetCurrent(mine));
		ok(cuMemsetD32_v2(q, 0, WORDS));
		ok(cuLaunchHostFunc(s, until_closed, &c));
		ok(cuMemcpyDtoDAsync_v2(q, c.p, WORDS * 4, s));
		assert_int_equal(pthread_create(&t, NULL, close_memory, &c), 0);
		ok(cuStreamSynchronize(s));
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_true(has(q, 7));
	}
}

static void hold(void *data)
{
	char c;

	(void)data;
	hear(&c, 1);
}

/* An event is not over before the work of the other process is. */
static void event(void **state)
{
	CUstream s;
	CUevent e, f;
	struct parcel m;
	CUdeviceptr p;

	(void)state;
	gives(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&e, CU_EVENT_INTERPROCESS));
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	gives(CUDA_ERROR_INVALID_HANDLE, cuIpcGetEventHandle(&m.event, e));
	ok(cuEventDestroy_v2(e));
	start("event");
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
	ok(cuMemAlloc_v2(&p, WORDS * 4));
	fill(p, 1);
	ok(cuIpcGetMemHandle(&m.memory, p));
	ok(cuIpcGetEventHandle(&m.event, e));
	gives(CUDA_ERROR_INVALID_CONTEXT, cuIpcOpenEventHandle(&f, m.event));
	ok(cuLaunchHostFunc(s, hold, NULL));
	ok(cuMemsetD32Async(p, 5, WORDS, s));
	ok(cuEventRecord(e, s));
	say(&m, sizeof(m));
	/* hold() hears that the other process has looked */
	ok(cuStreamSynchronize(s));
	ok(cuEventSynchronize(e));
	end();
	ok(cuEventDestroy_v2(e));
	ok(cuMemFree_v2(p));
	ok(cuStreamDestroy_v2(s));
}

static void event_child(void)
{
	CUdeviceptr p, copy;
	struct parcel m;
	uint32_t v;
	CUstream s;
	CUevent e;
	char c = 0;

	hear(&m, sizeof(m));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuIpcOpenMemHandle_v2(&p, m.memory, 0));
	ok(cuIpcOpenEventHandle(&e, m.event));
	gives(CUDA_ERROR_INVALID_VALUE, cuIpcOpenEventHandle(NULL, m.event));
	ok(cuMemAlloc_v2(&copy, 4));
	gives(CUDA_ERROR_NOT_READY, cuEventQuery(e));
	ok(cuStreamWaitEvent(s, e, 0));
	ok(cuMemcpyDtoDAsync_v2(copy, p, 4, s));
	gives(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	say(&c, 1);
	ok(cuEventSynchronize(e));
	ok(cuStreamSynchronize(s));
	ok(cuEventQuery(e));
	ok(cuMemcpyDtoH_v2(&v, copy, 4));
	assert_int_equal(v, 5);
	ok(cuEventDestroy_v2(e));
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(memory), cmocka_unit_test(closed_in_use),
					    cmocka_unit_test(event) };

	if (argc == 3) {
		peer = atoi(argv[2]);
		use_device();
		if (!strcmp(argv[1], "memory"))
			memory_child();
		else if (!strcmp(argv[1], "close"))
			close_child();
		else
			event_child();
		return 0;
	}
	return cmocka_run_group_tests_name("ipc", tests, set_up, NULL);
}
