// SPDX-License-Identifier: Apache-2.0
/*
 * What kernels print: the driver writes it to standard output, and what a failed
 * assert() says to standard error.  Both are the guest's, so here they are memory
 * files, which the guest is told of (VG_NOTICE_OUTPUT) and asks for.
 *
 * To see whether there is something costs no system call: the files are mapped, far
 * beyond what has been written, and where the next bytes would be written there are
 * zeros until they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "exec_internal.h"

#define FILE_BYTES (16ull << 30)	/* sparse; what is printed beyond it is lost */
#define KEPT_MAX (64ull << 20)		/* bytes that a guest need not have asked for */

static struct {
	int fd;
	uint8_t *file;
	uint64_t taken;
} out[VG_OUTPUTS] = { { .fd = STDOUT_FILENO }, { .fd = STDERR_FILENO } };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* `taken` */

int vg_output_start(void)
{
	int log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

	if (log < 0)
		return -errno;
	vg_log_to(log);
	for (int i = 0; i < VG_OUTPUTS; i++) {
		int fd = memfd_create("output", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, FILE_BYTES) || dup2(fd, out[i].fd) < 0)
			return -errno;
		close(fd);
		out[i].file = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED | MAP_NORESERVE,
				   out[i].fd, 0);
		if (out[i].file == MAP_FAILED)
			return -errno;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	return 0;
}

static bool some(int which)
{
	uint64_t at = __atomic_load_n(&out[which].taken, __ATOMIC_RELAXED), next;

	if (at > FILE_BYTES - sizeof(next))
		return false;
	/* A kernel may print a zero, but hardly eight of them. */
	memcpy(&next, out[which].file + at, sizeof(next));
	return next;
}

/* Whatever is before `taken` is not needed any more. */
static void forget(int which)
{
	fallocate(out[which].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, out[which].taken);
}

/* Bytes that have been written and not taken. */
static uint64_t left(int which)
{
	off_t end = lseek(out[which].fd, 0, SEEK_CUR);
	uint64_t n;

	if (end < 0 || (uint64_t)end <= out[which].taken)
		return 0;
	n = (uint64_t)end - out[which].taken;
	if (n > KEPT_MAX) {
		out[which].taken = end;
		forget(which);
		n = 0;
	}
	return n;
}

uint32_t vg_output_notice(void)
{
	uint32_t notice;

	if (!some(0) && !some(1))
		return 0;
	pthread_mutex_lock(&lock);
	notice = left(0) || left(1) ? VG_NOTICE_OUTPUT : 0;
	pthread_mutex_unlock(&lock);
	return notice;
}

CUresult vg_internal_output(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_output_take *take = rq->payload;
	uint64_t n;

	(void)x;
	if (take->which >= VG_OUTPUTS)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	n = left(take->which);
	if (n > VG_REPLY_MAX)
		n = VG_REPLY_MAX;
	if (n) {
		memcpy(rp->payload, out[take->which].file + out[take->which].taken, n);
		rp->bytes = n;
		out[take->which].taken += n;
		forget(take->which);
	}
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}
