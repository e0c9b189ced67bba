// SPDX-License-Identifier: Apache-2.0
/*
 * A large copy each way between the device and memory that the program has
 * registered.  While they go on, this process cannot read or write that memory
 * (PROT_NONE): through vgpu the device reaches it by the executor's mapping, and
 * whoever copied it here would die.  Where memory that exists cannot be shared (over
 * the socket) page-locked memory that CUDA allocates takes its place.
 *
 * Arguments: MiB, and a folder in which to say `registered` and `copied`, and to
 * wait for `copy` and `end`: meanwhile others look at their counters.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "prog.h"

const char *prog_name = "zerocopy";

static const char *folder;

static void say_and_wait(const char *say, const char *wait)
{
	struct timespec pause = { .tv_nsec = 50000000 };
	char path[4096];
	FILE *f;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, say);
	f = fopen(path, "w");
	if (!f)
		prog_fail("cannot write %s", path);
	fclose(f);
	printf("%s\n", say);
	fflush(stdout);
	snprintf(path, sizeof(path), "%s/%s", folder, wait);
	while (access(path, F_OK))
		nanosleep(&pause, NULL);
}

static void protect(void *p, size_t bytes, int protection)
{
	/* A driver in this very process may well use a CPU. */
	if (!getenv("VGPU_TRANSPORT") && access("/dev/vgpu0", F_OK))
		return;
	if (mprotect(p, bytes, protection))
		prog_fail("mprotect");
}

static uint64_t pattern(size_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

int main(int argc, char **argv)
{
	size_t mib = prog_size(argc, argv, 64, 1), bytes = mib << 20, n = bytes / sizeof(uint64_t);
	bool registered = true;
	CUdeviceptr device, same;
	uint64_t *p;
	CUresult r;

	folder = argc > 2 ? argv[2] : NULL;
	prog_context();
	device = prog_alloc(bytes);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		prog_fail("no memory");
	r = cuMemHostRegister_v2(p, bytes, CU_MEMHOSTREGISTER_DEVICEMAP);
	if (r == CUDA_ERROR_NOT_SUPPORTED) {
		registered = false;
		munmap(p, bytes);
		CHECK(cuMemHostAlloc((void **)&p, bytes, CU_MEMHOSTALLOC_DEVICEMAP));
	} else if (r) {
		prog_fail("cuMemHostRegister gave %d", (int)r);
	}
	CHECK(cuMemHostGetDevicePointer_v2(&same, p, 0));
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(i);
	/* The driver's queues and ours are warm, and what is counted is the copies. */
	CHECK(cuCtxSynchronize());
	say_and_wait("registered", "copy");

	protect(p, bytes, PROT_NONE);
	CHECK(cuMemcpyHtoD_v2(device, p, bytes));
	protect(p, bytes, PROT_READ | PROT_WRITE);
	memset(p, 0, bytes);
	protect(p, bytes, PROT_NONE);
	CHECK(cuMemcpyDtoH_v2(p, device, bytes));
	protect(p, bytes, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < n; i++)
		if (p[i] != pattern(i))
			prog_fail("word %zu is %#lx", i, (unsigned long)p[i]);
	say_and_wait("copied", "end");

	if (registered) {
		CHECK(cuMemHostUnregister(p));
		munmap(p, bytes);
	} else {
		CHECK(cuMemFreeHost(p));
	}
	CHECK(cuMemFree_v2(device));
	prog_done();
	return prog_pass("%zu MiB each way, %s", mib, registered ? "registered" : "page-locked");
}
