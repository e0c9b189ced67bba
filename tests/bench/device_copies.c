// SPDX-License-Identifier: Apache-2.0
/*
 * What one copy into the device takes of the device's own time, by where the host's
 * memory came from, as "name value" lines in microseconds:
 *
 *   allocated_BYTES	cuMemHostAlloc()
 *   mapped_BYTES		the same, portable and mapped
 *   registered_BYTES	cuMemHostRegister() of pages as malloc() gives them
 *   shared_BYTES	of a memfd's, which is how a guest process shares its own
 *   scattered_BYTES	the same, each page of it from another place
 *   huge_BYTES		of pages that the kernel was asked to make huge (THP)
 *   pageable_BYTES	of memory that is not pinned
 *
 * and, for root, KIND_places: in how many places of the machine's memory AREA bytes of it
 * lie, of which each page may be one.
 *
 * Each copy is between two kernels of the driver's (a memset), as a program's input is
 * between two batches, and all are enqueued while the device is busy, so that the time
 * in which a CPU enqueues them is not in it. Where memory cannot be had a line is
 * missing. Any libcuda will do.
 *
 *   device_copies [ROUNDS]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda_abi.h"

#define CHECK(call)                                                                  \
	do {                                                                         \
		CUresult r_ = (call);                                                \
		if (r_) {                                                            \
			fprintf(stderr, "%s: error %d\n", #call, r_);                \
			exit(EXIT_FAILURE);                                          \
		}                                                                    \
	} while (0)

#define COPIES		20		/* of one round, each from a place of its own */
#define AREA		(8u << 20)	/* of each kind of memory */
#define HUGE		(2u << 20)
#define PAGE		4096u
#define PLACE		(AREA / COPIES / PAGE * PAGE)
#define SPREAD		31u		/* pages of the memfd from one of the area to the next */
#define BUSY_BYTES	(1u << 30)	/* set before, which takes an H100 some 500 us */

static const size_t sizes[] = { 64, 4096, 96 << 10, 256 << 10 };

static CUdeviceptr memory, busy, other;
static CUevent begin, end;
static CUstream stream;

/* Of all rounds the fastest: nothing of it is the CPU's. */
static double copies_us(const uint8_t *from, size_t bytes, int rounds)
{
	double best = 0;

	for (int r = 0; r < rounds; r++) {
		float ms;

		CHECK(cuMemsetD8Async(busy, 0, BUSY_BYTES, stream));
		CHECK(cuEventRecord(begin, stream));
		for (int i = 0; i < COPIES; i++) {
			if (from)
				CHECK(cuMemcpyHtoDAsync_v2(memory, from + i * PLACE, bytes,
							   stream));
			CHECK(cuMemsetD8Async(other, 0, 4096, stream));
		}
		CHECK(cuEventRecord(end, stream));
		CHECK(cuStreamSynchronize(stream));
		CHECK(cuEventElapsedTime_v2(&ms, begin, end));
		if (!r || ms * 1e3 / COPIES < best)
			best = ms * 1e3 / COPIES;
	}
	return best;
}

static void places(const char *kind, const uint8_t *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), n = 0;
	uint64_t entry, last = 0;

	for (size_t at = 0; fd >= 0 && at < AREA; at += PAGE, last = entry) {
		off_t where = ((uintptr_t)p + at) / PAGE * sizeof(entry);

		if (pread(fd, &entry, sizeof(entry), where) != sizeof(entry))
			break;
		entry &= (1ull << 55) - 1;	/* the page's number, 0 for others than root */
		n += entry && entry != last + 1;
	}
	if (n)
		printf("%s_places %d\n", kind, n);
	if (fd >= 0)
		close(fd);
}

static void measure(const char *kind, uint8_t *from, int rounds)
{
	places(kind, from);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		printf("%s_%zu %.2f\n", kind, sizes[i],
		       copies_us(from, sizes[i], rounds) - copies_us(NULL, 0, rounds));
	fflush(stdout);
}

static void registered(const char *kind, uint8_t *p, int rounds)
{
	if (p == MAP_FAILED)
		return;
	memset(p, 1, AREA);
	if (cuMemHostRegister_v2(p, AREA, 0))
		return;
	measure(kind, p, rounds);
	CHECK(cuMemHostUnregister(p));
}

static void other_ways(uint8_t *p, int rounds)
{
	const unsigned int flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;

	if (p == MAP_FAILED || cuMemHostRegister_v2(p, AREA, flags))
		return;
	measure("portable", p, rounds);
	CHECK(cuMemHostUnregister(p));
	for (int i = 0; i < COPIES; i++)
		CHECK(cuMemHostRegister_v2(p + i * PLACE, PLACE, flags));
	measure("apart", p, rounds);
	for (int i = 0; i < COPIES; i++)
		CHECK(cuMemHostUnregister(p + i * PLACE));
}

static uint8_t *map(int flags, int fd, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
}

/* Neighbours are as far apart in the file, whose pages the kernel gave one after the other. */
static uint8_t *scattered(int fd)
{
	uint8_t *all = map(MAP_SHARED, fd, (size_t)AREA * SPREAD), *p;

	if (all == MAP_FAILED)
		return all;
	memset(all, 1, (size_t)AREA * SPREAD);
	p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, AREA);
	for (size_t i = 0; p != MAP_FAILED && i < AREA / PAGE; i++)
		if (mmap(p + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 (off_t)i * SPREAD * PAGE) == MAP_FAILED)
			return MAP_FAILED;
	return p;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20, fd;
	CUdevice device;
	CUcontext ctx;
	uint8_t *p;

	CHECK(cuInit(0));
	CHECK(cuDeviceGet(&device, 0));
	CHECK(cuDevicePrimaryCtxRetain(&ctx, device));
	CHECK(cuCtxSetCurrent(ctx));
	CHECK(cuMemAlloc_v2(&memory, AREA));
	CHECK(cuMemAlloc_v2(&other, 4096));
	CHECK(cuMemAlloc_v2(&busy, BUSY_BYTES));
	CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	CHECK(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	CHECK(cuEventCreate(&end, CU_EVENT_DEFAULT));

	CHECK(cuMemHostAlloc((void **)&p, AREA, 0));
	memset(p, 1, AREA);
	measure("allocated", p, rounds);
	CHECK(cuMemHostAlloc((void **)&p, AREA,
			     CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP));
	memset(p, 1, AREA);
	measure("mapped", p, rounds);

	p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, AREA);
	registered("registered", p, rounds);
	other_ways(p, rounds);
	fd = memfd_create("device_copies", MFD_CLOEXEC);
	if (fd >= 0 && !ftruncate(fd, (off_t)AREA * SPREAD)) {
		registered("shared", map(MAP_SHARED, fd, AREA), rounds);
		registered("scattered", scattered(fd), rounds);
	}
	p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, AREA + HUGE);
	if (p != MAP_FAILED) {
		p += HUGE - (uintptr_t)p % HUGE;
		if (!madvise(p, AREA, MADV_HUGEPAGE))
			registered("huge", p, rounds);
	}
	p = malloc(AREA);
	memset(p, 1, AREA);
	measure("pageable", p, rounds);
	CHECK(cuDevicePrimaryCtxRelease_v2(device));
	return EXIT_SUCCESS;
}
