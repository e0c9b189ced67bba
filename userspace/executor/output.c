// SPDX-License-Identifier: Apache-2.0
/*
 * What kernels print: the driver writes it to standard output, and what a failed
 * assert() says to standard error.  Both are the guest's, so here they are memory
 * files, which the guest is told of (VG_NOTICE_OUTPUT) and asks for.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "exec_internal.h"

#define KEPT_MAX (64ll << 20)	/* bytes that a guest need not have asked for */

static const int stream[VG_OUTPUTS] = { STDOUT_FILENO, STDERR_FILENO };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static off_t taken[VG_OUTPUTS];

int vg_output_start(void)
{
	int log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

	if (log < 0)
		return -errno;
	vg_log_to(log);
	for (int i = 0; i < VG_OUTPUTS; i++) {
		int fd = memfd_create("output", MFD_CLOEXEC);

		if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) || dup2(fd, stream[i]) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

static off_t left(int which)
{
	struct stat st;

	if (fstat(stream[which], &st) || st.st_size == taken[which])
		return 0;
	/* The file keeps its length, and so the place of whatever is written meanwhile. */
	if (st.st_size - taken[which] > KEPT_MAX) {
		taken[which] = st.st_size;
		fallocate(stream[which], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size);
	}
	return st.st_size - taken[which];
}

uint32_t vg_output_notice(void)
{
	uint32_t notice;

	fflush(stdout);
	pthread_mutex_lock(&lock);
	notice = left(0) || left(1) ? VG_NOTICE_OUTPUT : 0;
	pthread_mutex_unlock(&lock);
	return notice;
}

CUresult vg_internal_output(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_output_take *take = rq->payload;
	ssize_t n;

	(void)x;
	if (take->which >= VG_OUTPUTS)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	n = left(take->which) ? pread(stream[take->which], rp->payload, VG_REPLY_MAX,
				      taken[take->which]) : 0;
	if (n > 0) {
		taken[take->which] += n;
		fallocate(stream[take->which], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  taken[take->which]);
		rp->bytes = n;
	}
	pthread_mutex_unlock(&lock);
	return n < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}
