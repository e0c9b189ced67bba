// SPDX-License-Identifier: Apache-2.0
/*
 * Two processes with one piece of device memory: by IPC handle, with events that say
 * when it may be read; by file descriptor; from a pool.  The program starts itself a
 * second time before it begins with CUDA, for a CUDA program must not fork.
 * Argument: number of integers.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prog.h"

const char *prog_name = "ipc";

#define POSIX CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR

static int peer;		/* a socket to the other process */
static int n;
static int *host;

static void say(const void *data, size_t bytes, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { (void *)(uintptr_t)data, bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						       .cmsg_level = SOL_SOCKET,
						       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
	}
	if (sendmsg(peer, &m, MSG_NOSIGNAL) != (ssize_t)bytes)
		prog_fail("the other process has gone");
}

static int hear(void *data, size_t bytes)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { data, bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(peer, &m, MSG_CMSG_CLOEXEC) != (ssize_t)bytes)
		prog_fail("the other process has gone");
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void expect(CUdeviceptr p, int value, const char *what)
{
	memset(host, 0xee, n * sizeof(int));
	CHECK(cuMemcpyDtoH_v2(host, p, n * sizeof(int)));
	for (int i = 0; i < n; i++)
		if (host[i] != value)
			prog_fail("%s: element %d is %d, not %d", what, i, host[i], value);
}

static bool has(CUdevice_attribute a, int bits)
{
	CUdevice dev;
	int v = 0;

	CHECK(cuCtxGetDevice(&dev));
	CHECK(cuDeviceGetAttribute(&v, a, dev));
	return v & bits;
}

/* -- IPC handles: each side writes, and its event says when */

static CUevent shared_event(CUipcEventHandle *handle)
{
	CUevent e;

	CHECK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
	CHECK(cuIpcGetEventHandle(handle, e));
	return e;
}

/* Much work, of which only the last piece leaves `value`, and the event behind it. */
static void write_slowly(CUdeviceptr p, int value, CUstream s, CUevent e)
{
	for (int i = 5000; i >= 0; i--)
		CHECK(cuMemsetD32Async(p, value + i, n, s));
	CHECK(cuEventRecord(e, s));
}

static void read_after(CUdeviceptr p, int value, CUstream s, CUevent e, const char *what)
{
	CUdeviceptr copy;

	CHECK(cuMemAlloc_v2(&copy, n * sizeof(int)));
	CHECK(cuStreamWaitEvent(s, e, 0));
	CHECK(cuMemcpyDtoDAsync_v2(copy, p, n * sizeof(int), s));
	CHECK(cuStreamSynchronize(s));
	expect(copy, value, what);
	CHECK(cuMemFree_v2(copy));
}

static void handles_parent(CUstream s)
{
	CUipcEventHandle mine, theirs;
	CUipcMemHandle memory;
	CUevent e, f;
	CUdeviceptr p;

	CHECK(cuMemAlloc_v2(&p, n * sizeof(int)));
	CHECK(cuIpcGetMemHandle(&memory, p));
	e = shared_event(&mine);
	write_slowly(p, 11, s, e);
	say(&memory, sizeof(memory), -1);
	say(&mine, sizeof(mine), -1);
	hear(&theirs, sizeof(theirs));
	CHECK(cuIpcOpenEventHandle(&f, theirs));
	read_after(p, 22, s, f, "what the second process wrote");
	say("", 1, -1);
	hear(&memory, 1);			/* it has closed what it opened */
	CHECK(cuEventDestroy_v2(f));
	CHECK(cuEventDestroy_v2(e));
	CHECK(cuMemFree_v2(p));
}

static void handles_child(CUstream s)
{
	CUipcEventHandle mine, theirs;
	CUipcMemHandle memory;
	CUdeviceptr p, base;
	CUevent e, f;
	size_t bytes;
	char byte;

	hear(&memory, sizeof(memory));
	hear(&theirs, sizeof(theirs));
	CHECK(cuIpcOpenMemHandle_v2(&p, memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	CHECK(cuIpcOpenEventHandle(&f, theirs));
	read_after(p, 11, s, f, "what the first process wrote");
	CHECK(cuMemGetAddressRange_v2(&base, &bytes, p + 4));
	if (base != p || bytes < n * sizeof(int))
		prog_fail("the range is %zu bytes at %llx", bytes, (unsigned long long)base);
	e = shared_event(&mine);
	write_slowly(p, 22, s, e);
	say(&mine, sizeof(mine), -1);
	hear(&byte, 1);
	CHECK(cuIpcCloseMemHandle(p));
	/* Once more, by its name of before CUDA 11. */
	if (cuIpcOpenMemHandle(&p, memory, 0x80) == CUDA_SUCCESS)
		prog_fail("a flag that is none was taken");
	CHECK(cuIpcOpenMemHandle(&p, memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	expect(p, 22, "what is there when opened again");
	CHECK(cuIpcCloseMemHandle(p));
	CHECK(cuEventDestroy_v2(e));
	CHECK(cuEventDestroy_v2(f));
	say("", 1, -1);
}

/* -- descriptors */

static CUmemAllocationProp prop(CUdevice dev)
{
	return (CUmemAllocationProp){ .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				      .requestedHandleTypes = POSIX,
				      .location = { CU_MEM_LOCATION_TYPE_DEVICE, dev } };
}

static CUdeviceptr map(CUmemGenericAllocationHandle h, size_t bytes, CUdevice dev)
{
	CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, dev },
				   CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUdeviceptr p;

	CHECK(cuMemAddressReserve(&p, bytes, 0, 0, 0));
	CHECK(cuMemMap(p, bytes, 0, h, 0));
	CHECK(cuMemSetAccess(p, bytes, &access, 1));
	return p;
}

static void unmap(CUdeviceptr p, size_t bytes)
{
	CHECK(cuMemUnmap(p, bytes));
	CHECK(cuMemAddressFree(p, bytes));
}

static void descriptor_parent(void)
{
	CUmemGenericAllocationHandle h;
	CUmemAllocationProp want;
	size_t piece, bytes;
	CUdevice dev;
	CUdeviceptr p;
	char byte;
	int fd;

	CHECK(cuCtxGetDevice(&dev));
	want = prop(dev);
	CHECK(cuMemGetAllocationGranularity(&piece, &want, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	bytes = (n * sizeof(int) + piece - 1) / piece * piece;
	CHECK(cuMemCreate(&h, bytes, &want, 0));
	CHECK(cuMemExportToShareableHandle(&fd, h, POSIX, 0));
	p = map(h, bytes, dev);
	CHECK(cuMemsetD32_v2(p, 33, n));
	CHECK(cuCtxSynchronize());
	say(&bytes, sizeof(bytes), fd);
	close(fd);
	hear(&byte, 1);
	expect(p, 44, "what the second process wrote by its descriptor");
	unmap(p, bytes);
	CHECK(cuMemRelease(h));
	say("", 1, -1);
	hear(&byte, 1);
}

static void descriptor_child(void)
{
	CUmemGenericAllocationHandle h;
	CUmemAllocationProp got;
	size_t bytes;
	CUdevice dev;
	CUdeviceptr p;
	char byte;
	int fd = hear(&bytes, sizeof(bytes));

	CHECK(cuCtxGetDevice(&dev));
	CHECK(cuMemImportFromShareableHandle(&h, (void *)(intptr_t)fd, POSIX));
	close(fd);
	CHECK(cuMemGetAllocationPropertiesFromHandle(&got, h));
	if (got.location.id != dev || got.type != CU_MEM_ALLOCATION_TYPE_PINNED)
		prog_fail("an imported allocation of type %d at %d", got.type, got.location.id);
	p = map(h, bytes, dev);
	CHECK(cuMemRelease(h));
	expect(p, 33, "what the first process wrote");
	CHECK(cuMemsetD32_v2(p, 44, n));
	CHECK(cuCtxSynchronize());
	say("", 1, -1);
	hear(&byte, 1);
	expect(p, 44, "memory that the first process has released");
	unmap(p, bytes);
	say("", 1, -1);
}

/* -- pools */

static void pool_parent(CUstream s)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .handleTypes = POSIX,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemPoolPtrExportData data;
	CUmemoryPool pool;
	CUdeviceptr p;
	char byte;
	int fd;

	CHECK(cuCtxGetDevice(&props.location.id));
	CHECK(cuMemPoolCreate(&pool, &props));
	CHECK(cuMemPoolExportToShareableHandle(&fd, pool, POSIX, 0));
	CHECK(cuMemAllocFromPoolAsync(&p, n * sizeof(int), pool, s));
	CHECK(cuMemsetD32Async(p, 55, n, s));
	CHECK(cuMemPoolExportPointer(&data, p));
	CHECK(cuStreamSynchronize(s));
	say(&data, sizeof(data), fd);
	close(fd);
	hear(&byte, 1);
	expect(p, 66, "what the second process wrote in the pool");
	say("", 1, -1);
	hear(&byte, 1);				/* it has freed its pointer, as it must first */
	CHECK(cuMemFreeAsync(p, s));
	CHECK(cuStreamSynchronize(s));
	CHECK(cuMemPoolDestroy(pool));
}

static void pool_child(CUstream s)
{
	CUmemPoolPtrExportData data;
	CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				   CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemoryPool pool;
	CUdeviceptr p;
	char byte;
	int fd = hear(&data, sizeof(data));

	CHECK(cuCtxGetDevice(&access.location.id));
	CHECK(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)fd, POSIX, 0));
	close(fd);
	CHECK(cuMemPoolSetAccess(pool, &access, 1));
	CHECK(cuMemPoolImportPointer(&p, pool, &data));
	expect(p, 55, "what the first process wrote in the pool");
	CHECK(cuMemsetD32_v2(p, 66, n));
	CHECK(cuCtxSynchronize());
	say("", 1, -1);
	hear(&byte, 1);
	CHECK(cuMemFreeAsync(p, s));
	CHECK(cuStreamSynchronize(s));
	say("", 1, -1);
	CHECK(cuMemPoolDestroy(pool));
}

static pid_t second(int argc, char **argv)
{
	char fd[16];
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		prog_fail("no socket");
	pid = fork();
	if (!pid) {
		close(pair[0]);
		snprintf(fd, sizeof(fd), "%d", pair[1]);
		execl("/proc/self/exe", argv[0], argc > 1 ? argv[1] : "1000000", fd, NULL);
		_exit(127);
	}
	close(pair[1]);
	peer = pair[0];
	return pid;
}

int main(int argc, char **argv)
{
	bool child = argc == 3, handles, descriptors, pools;
	int status = 0;
	pid_t pid = 0;
	CUstream s;

	n = prog_size(argc, argv, 1000000, 1);
	host = malloc(n * sizeof(int));
	if (child)
		peer = atoi(argv[2]);
	else
		pid = second(argc, argv);
	prog_context();
	CHECK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	handles = has(CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED, 1);
	descriptors = has(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1);
	pools = has(CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES, POSIX);
	if (!handles && !descriptors && !pools)
		prog_fail("this device shares nothing between processes");
	if (handles)
		child ? handles_child(s) : handles_parent(s);
	if (descriptors)
		child ? descriptor_child() : descriptor_parent();
	if (pools)
		child ? pool_child(s) : pool_parent(s);
	CHECK(cuStreamDestroy_v2(s));
	prog_done();
	if (child)
		return 0;
	if (waitpid(pid, &status, 0) != pid || status)
		prog_fail("the second process ended with status %d", status);
	return prog_pass("%d integers in two processes%s%s%s", n, handles ? ", by handle" : "",
			 descriptors ? ", by descriptor" : "", pools ? ", from a pool" : "");
}
