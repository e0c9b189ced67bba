// SPDX-License-Identifier: Apache-2.0
/*
 * Two programs of one guest that share, against the shim, real executors, a mediator
 * and a stand-in for the driver (double.c, double_sharing.c): that the right handle
 * arrives, that nothing but tokens is seen, that wrong tokens are refused, and what
 * the vGPU is charged with.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "cuda_abi.h"
#include "double_sharing.h"

#define MB (2ull << 20)	/* a piece of the device's memory, which is what counts */
#define LAZY CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS
#define POSIX CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR

static const char *side = "parent";
static int failed, passed, peer;	/* peer: a socket to the other side */

#define IS(call, want) do { \
	int got_ = (call), want_ = (want); \
	if (got_ == want_) { \
		passed++; \
	} else { \
		failed++; \
		printf("%s, line %d: %s: %d, not %d\n", side, __LINE__, #call, got_, want_); \
	} \
} while (0)
#define OK(call) IS(call, CUDA_SUCCESS)
#define TRUE(x) IS(!!(x), 1)

/* A message: 64 bytes of CUDA's, or a descriptor, or nothing but "go on". */
struct message {
	char data[64];
};

static void say(const void *data, int fd)
{
	struct message m = { 0 };

	if (data)
		memcpy(m.data, data, sizeof(m.data));
	if (vg_send_fds(peer, &m, sizeof(m), &fd, fd >= 0))
		_exit(3);
}

static int hear(void *data)
{
	struct message m;
	int fd = -1;

	if (vg_recv_fds(peer, &m, sizeof(m), &fd, 1) < 0) {
		printf("%s: the other side has gone\n", side);
		_exit(3);
	}
	if (data)
		memcpy(data, m.data, sizeof(m.data));
	return fd;
}

static void begin(void)
{
	CUcontext c;

	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&c, 0));
	OK(cuCtxSetCurrent(c));
}

static size_t used(void)
{
	size_t left = 0, total = 0;

	OK(cuMemGetInfo_v2(&left, &total));
	return total - left;
}

/* Nothing of the driver's: no handle, and no number of one of its processes. */
static int opaque(const void *data)
{
	return !memmem(data, 64, "the driver", 10);
}

static uint64_t original(CUdeviceptr p)
{
	struct double_handle h = { .value = 0 };

	OK(cuMemcpyDtoH_v2(&h, p, sizeof(h)));
	TRUE(h.pid && h.pid != getpid() && h.pid != getppid());
	return h.value;
}

/* -- the parent's side of each act, then the child's */

static void memory_parent(void)
{
	CUipcMemHandle h, again;
	CUdeviceptr p, q;
	size_t before = used();

	OK(cuMemAlloc_v2(&p, MB));
	OK(cuIpcGetMemHandle(&h, p));
	OK(cuIpcGetMemHandle(&again, p + 100));
	TRUE(!memcmp(&h, &again, sizeof(h)) && opaque(&h));
	IS(cuIpcGetMemHandle(&h, p + MB), CUDA_ERROR_INVALID_VALUE);
	IS(cuIpcGetMemHandle(NULL, p), CUDA_ERROR_INVALID_VALUE);
	/* The driver's word on opening one's own, and then no hold is left. */
	IS(cuIpcOpenMemHandle_v2(&q, h, LAZY), CUDA_ERROR_INVALID_CONTEXT);
	say(&h, -1);
	say(&p, -1);
	hear(NULL);
	TRUE(used() - before == MB);		/* once, though two have it */
	OK(cuMemFree_v2(p));
	TRUE(used() - before == MB);		/* and as long as one has it */
	say(NULL, -1);
	hear(NULL);
	TRUE(used() == before);
	OK(cuMemAlloc_v2(&p, MB));
	OK(cuIpcGetMemHandle(&again, p));
	TRUE(memcmp(&h, &again, sizeof(h)));	/* another thing, another token */
	OK(cuMemFree_v2(p));
	TRUE(used() == before);
}

static void memory_child(void)
{
	CUipcMemHandle h, wrong;
	CUipcEventHandle as_event;
	CUdeviceptr p, q, base;
	CUevent e;
	char theirs[64];
	size_t bytes;

	hear(&h);
	hear(theirs);
	for (int i = 0; i < 64; i += 3) {
		wrong = h;
		wrong.reserved[i] ^= 1;
		if (i < 12 || (i >= 16 && i < 32))
			IS(cuIpcOpenMemHandle_v2(&p, wrong, LAZY), CUDA_ERROR_INVALID_VALUE);
	}
	memset(&wrong, 0, sizeof(wrong));
	IS(cuIpcOpenMemHandle_v2(&p, wrong, LAZY), CUDA_ERROR_INVALID_VALUE);
	IS(cuIpcOpenMemHandle_v2(&p, h, 2), CUDA_ERROR_INVALID_VALUE);
	memcpy(&as_event, &h, sizeof(h));
	IS(cuIpcOpenEventHandle(&e, as_event), CUDA_ERROR_INVALID_VALUE);
	as_event.reserved[8] = 2;		/* says that it is one */
	IS(cuIpcOpenEventHandle(&e, as_event), CUDA_ERROR_INVALID_VALUE);
	OK(cuIpcOpenMemHandle_v2(&p, h, LAZY));
	OK(cuIpcOpenMemHandle(&q, h, LAZY));
	TRUE(!memcmp(theirs, &(CUdeviceptr){ original(p) }, 8));
	OK(cuMemGetAddressRange_v2(&base, &bytes, p + 64));
	TRUE(base == p && bytes == MB);
	IS(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
	TRUE(p == q);
	OK(cuIpcCloseMemHandle(q));
	original(p);				/* it is there until it is closed as often */
	say(NULL, -1);
	hear(NULL);				/* freed there */
	IS(cuIpcOpenMemHandle(&q, h, LAZY), CUDA_ERROR_INVALID_VALUE);
	OK(cuIpcCloseMemHandle(p));
	IS(cuIpcCloseMemHandle(p), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyDtoH_v2(theirs, p, 8), CUDA_ERROR_INVALID_VALUE);
	say(NULL, -1);
}

static void events_parent(void)
{
	CUipcEventHandle h;
	CUevent e;

	/* Of none, and of what is none, of which the handle is cleared. */
	h = (CUipcEventHandle){ "as it was" };
	IS(cuIpcGetEventHandle(&h, NULL), CUDA_ERROR_INVALID_VALUE);
	TRUE(h.reserved[0] == 'a');
	IS(cuIpcGetEventHandle(&h, (CUevent)8), CUDA_ERROR_INVALID_HANDLE);
	TRUE(!h.reserved[0]);
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
	OK(cuIpcGetEventHandle(&h, e));
	TRUE(opaque(&h));
	OK(cuEventRecord(e, NULL));
	say(&h, -1);
	hear(NULL);
	OK(cuEventDestroy_v2(e));
	OK(cuCtxSynchronize());
	say(NULL, -1);
	/* One that goes with its context. */
	OK(cuCtxCreate_v2(&(CUcontext){ 0 }, 0, 0));
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
	OK(cuIpcGetEventHandle(&h, e));
	CUcontext c;
	OK(cuCtxGetCurrent(&c));
	OK(cuCtxDestroy_v2(c));
	say(&h, -1);
}

static void events_child(void)
{
	CUipcEventHandle h;
	CUevent e, f;

	hear(&h);
	OK(cuIpcOpenEventHandle(&e, h));
	OK(cuStreamWaitEvent(NULL, e, 0));
	OK(cuEventSynchronize(e));
	OK(cuEventDestroy_v2(e));
	OK(cuIpcOpenEventHandle(&f, h));
	OK(cuEventDestroy_v2(f));
	say(NULL, -1);
	hear(NULL);
	IS(cuIpcOpenEventHandle(&e, h), CUDA_ERROR_INVALID_VALUE);
	hear(&h);
	IS(cuIpcOpenEventHandle(&e, h), CUDA_ERROR_INVALID_VALUE);
}

static void pools_parent(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				 .handleTypes = POSIX };
	CUmemPoolPtrExportData data;
	CUmemoryPool pool, plain;
	size_t before = used();
	struct double_handle h;
	CUdeviceptr p;
	int fd = -1;

	OK(cuMemPoolCreate(&pool, &props));
	props.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
	OK(cuMemPoolCreate(&plain, &props));
	IS(cuMemPoolExportToShareableHandle(&fd, plain, POSIX, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemPoolExportToShareableHandle(&fd, pool, POSIX, 0));
	TRUE(pread(fd, &h, sizeof(h), 0) == 64 && opaque(&h));
	TRUE(pwrite(fd, &h, 1, 0) == -1);	/* sealed */
	OK(cuMemAllocFromPoolAsync(&p, MB, pool, NULL));
	OK(cuMemPoolExportPointer(&data, p));
	TRUE(opaque(&data));
	say(&data, fd);
	say(&p, -1);
	close(fd);
	hear(NULL);
	TRUE(used() - before == MB);
	OK(cuMemFreeAsync(p, NULL));
	TRUE(used() - before == MB);
	OK(cuMemPoolDestroy(pool));
	say(NULL, -1);
	hear(NULL);
	TRUE(used() == before);
}

static void pools_child(void)
{
	char theirs[64], bad[64];
	CUmemPoolPtrExportData data;
	CUmemoryPool pool, other;
	CUdeviceptr p, q;
	int fd = hear(&data), forged;

	hear(theirs);
	IS(cuMemPoolImportFromShareableHandle(&pool, (void *)0x7fffffffl, POSIX, 0),
	   CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolImportFromShareableHandle(&pool, (void *)(long)peer, POSIX, 0),
	   CUDA_ERROR_INVALID_VALUE);
	/* The right bytes where they can still change, and the wrong ones where they cannot. */
	forged = memfd_create("f", MFD_ALLOW_SEALING);
	TRUE(pread(fd, bad, 64, 0) == 64 && write(forged, bad, 64) == 64);
	IS(cuMemPoolImportFromShareableHandle(&pool, (void *)(long)forged, POSIX, 0),
	   CUDA_ERROR_INVALID_VALUE);
	bad[20] ^= 0x40;
	TRUE(pwrite(forged, bad, 64, 0) == 64);
	TRUE(!fcntl(forged, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
	IS(cuMemPoolImportFromShareableHandle(&pool, (void *)(long)forged, POSIX, 0),
	   CUDA_ERROR_INVALID_VALUE);
	close(forged);
	OK(cuMemPoolImportFromShareableHandle(&pool, (void *)(long)fd, POSIX, 0));
	OK(cuMemPoolImportPointer(&p, pool, &data));
	TRUE(!memcmp(theirs, &(CUdeviceptr){ original(p) }, 8));
	say(NULL, -1);
	hear(NULL);				/* freed, and the pool destroyed there */
	IS(cuMemPoolImportPointer(&q, pool, &data), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolImportFromShareableHandle(&other, (void *)(long)fd, POSIX, 0),
	   CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFreeAsync(p, NULL));
	IS(cuMemFreeAsync(p, NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemPoolDestroy(pool));
	OK(cuCtxSynchronize());
	say(NULL, -1);
	close(fd);
}

/* The child ends, giving nothing back, while the parent has its memory, and it the parent's. */
static void ends_parent(pid_t child)
{
	size_t before = used();
	CUipcMemHandle h, mine;
	CUdeviceptr p, q, own;
	int status, tries;

	OK(cuMemAlloc_v2(&own, MB));
	OK(cuIpcGetMemHandle(&mine, own));
	say(&mine, -1);
	hear(&h);
	OK(cuIpcOpenMemHandle_v2(&p, h, LAZY));
	TRUE(used() - before == 3 * MB);
	say(NULL, -1);
	waitpid(child, &status, 0);
	TRUE(WIFEXITED(status) && !WEXITSTATUS(status));
	/* The mediator reaps the executor a moment later. */
	for (tries = 0; tries < 500; tries++) {
		if (cuIpcOpenMemHandle_v2(&q, h, LAZY))
			break;
		OK(cuIpcCloseMemHandle(q));
		usleep(10000);
	}
	TRUE(tries < 500);
	TRUE(used() - before == 3 * MB);	/* we have it still */
	OK(cuIpcCloseMemHandle(p));
	TRUE(used() - before == MB);
	OK(cuMemFree_v2(own));
	TRUE(used() == before);
}

static void ends_child(void)
{
	CUipcMemHandle h, theirs;
	CUdeviceptr p, q;

	hear(&theirs);
	OK(cuIpcOpenMemHandle_v2(&q, theirs, LAZY));
	OK(cuMemAlloc_v2(&p, 2 * MB));
	OK(cuIpcGetMemHandle(&h, p));
	say(&h, -1);
	hear(NULL);				/* the parent has it */
}

/* More than the mediator keeps for one vGPU: an error, and what is there goes on. */
static void too_many(void)
{
	static CUevent e[4200];
	CUipcEventHandle h;
	CUresult r = CUDA_SUCCESS;
	int n, made;

	for (made = 0; made < 4200 && !r; made++) {
		OK(cuEventCreate(&e[made], CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
		r = cuIpcGetEventHandle(&h, e[made]);
	}
	IS(r, CUDA_ERROR_OPERATING_SYSTEM);
	TRUE(made > 4000 && made < 4200);
	OK(cuIpcGetEventHandle(&h, e[0]));
	for (n = 0; n < made; n++)
		OK(cuEventDestroy_v2(e[n]));
	OK(cuEventCreate(&e[0], CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
	OK(cuIpcGetEventHandle(&h, e[0]));
	OK(cuEventDestroy_v2(e[0]));
}

static int child_main(int fd)
{
	side = "child";
	peer = fd;
	begin();
	memory_child();
	events_child();
	pools_child();
	ends_child();
	/* Its checks count too: silence is the parent's to notice. */
	if (failed)
		printf("child: %d checks passed, %d failed\n", passed, failed);
	return failed != 0;
}

int main(int argc, char **argv)
{
	int pair[2];
	char fd[16];
	pid_t child;

	if (argc == 3 && !strcmp(argv[1], "--child"))
		return child_main(atoi(argv[2]));
	/* A CUDA program does not fork once it has begun: its child is another program. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return 2;
	child = fork();
	if (!child) {
		close(pair[0]);
		snprintf(fd, sizeof(fd), "%d", pair[1]);
		execl("/proc/self/exe", argv[0], "--child", fd, NULL);
		_exit(2);
	}
	close(pair[1]);
	peer = pair[0];
	begin();
	memory_parent();
	events_parent();
	pools_parent();
	ends_parent(child);
	too_many();
	printf("sharing: %d checks passed, %d failed\n", passed, failed);
	return failed != 0;
}
