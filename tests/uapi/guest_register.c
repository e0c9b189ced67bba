// SPDX-License-Identifier: Apache-2.0
/*
 * Registers memory and takes it back over and over, with several channels at a
 * time, while the driver is unbound and bound again, until that has happened under
 * each of them twice; as many seconds as the argument says at most. Calls may fail
 * only with what linux/vgpu.h says of a device that has gone. Prints how often it
 * registered, and how often the device had gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/vgpu.h>
#include <linux/vgpu_ring.h>

#define THREADS 4
#define BYTES (256 << 10)

static time_t until;
static atomic_long registered, gone, odd;

static bool over(void)
{
	return time(NULL) >= until || gone >= 2 * THREADS;
}

static bool expected(const char *call)
{
	if (errno == ENODEV || errno == EPIPE || errno == ENXIO || errno == ENOENT)
		return true;
	fprintf(stderr, "%s: %s\n", call, strerror(errno));
	odd++;
	return false;
}

/* On one channel, until it is lost. */
static void use(int fd, void *mem)
{
	struct vgpu_setup setup = {
		.size = sizeof(setup), .sq_bytes = VGPU_SQ_MIN, .slot_count = 4,
		.arena_bytes = 4096,
	};

	if (ioctl(fd, VGPU_IOC_SETUP, &setup)) {
		expected("SETUP");
		return;
	}
	while (!over()) {
		struct vgpu_register reg = {
			.size = sizeof(reg), .addr = (uintptr_t)mem, .bytes = BYTES,
		};
		struct vgpu_unregister unreg = { .size = sizeof(unreg) };

		if (ioctl(fd, VGPU_IOC_REGISTER, &reg)) {
			gone += expected("REGISTER");
			return;
		}
		if (++registered % 16 == 0)
			usleep(1000);	/* with one CPU, the others' turn */
		unreg.region = reg.out_region;
		if (ioctl(fd, VGPU_IOC_UNREGISTER, &unreg)) {
			gone += expected("UNREGISTER");
			return;
		}
	}
}

static void *worker(void *arg)
{
	void *mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	while (!over()) {
		int fd = open("/dev/vgpu0", O_RDWR | O_CLOEXEC);

		if (fd < 0) {
			expected("open");
			usleep(10000);
			continue;
		}
		use(fd, mem);
		close(fd);
	}
	munmap(mem, BYTES);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	until = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	printf("registering\n");
	fflush(stdout);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, worker, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("registered %ld times, the device had gone %ld times, %ld odd errors\n",
	       atomic_load(&registered), atomic_load(&gone), atomic_load(&odd));
	return odd || !registered || !gone;
}
