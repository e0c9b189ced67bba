// SPDX-License-Identifier: Apache-2.0
/*
 * What kernels print: the driver writes it to standard output, and what a failed
 * assert() says to standard error.  Both are the guest's, so here they are memory
 * files, which the guest is told of (VG_NOTICE_OUTPUT) and asks for.
 *
 * To see whether there is something costs no system call: the files are mapped, and
 * where the next bytes would be written there are zeros until they are.
 *
 * A file cannot grow (F_SEAL_GROW), so the kernel bounds what is kept, whoever writes
 * and whether or not anybody looks; what does not fit is lost.  Each output has two
 * files: when one has been half written and all of it taken, the other takes its place
 * as what the driver writes to.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "budget.h"
#include "common/log.h"
#include "exec_internal.h"

#define FILE_BYTES (VG_OUTPUT_MAX / 2)

static struct output {
	int fd;				/* that the driver writes to */
	struct {
		int fd;
		uint8_t *data;
	} file[2];
	_Atomic unsigned int reading, writing;	/* which file */
	_Atomic uint64_t taken;			/* of the one that is read */
} out[VG_OUTPUTS] = { { .fd = STDOUT_FILENO }, { .fd = STDERR_FILENO } };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* which file, and `taken` */

static int make_file(struct output *o, int which)
{
	int fd = memfd_create("output", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *data;

	if (fd < 0 || ftruncate(fd, FILE_BYTES) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -errno;
	data = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	o->file[which].fd = fd;
	o->file[which].data = data;
	return 0;
}

int vg_output_start(void)
{
	int log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), ret;

	if (log < 0)
		return -errno;
	vg_log_to(log);
	for (int i = 0; i < VG_OUTPUTS; i++) {
		ret = make_file(&out[i], 0);
		if (!ret)
			ret = make_file(&out[i], 1);
		if (ret)
			return ret;
		if (dup2(out[i].file[0].fd, out[i].fd) < 0)
			return -errno;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	return 0;
}

/* A kernel may print a zero, but hardly eight of them. */
static bool printed(const struct output *o, unsigned int file, uint64_t at)
{
	uint64_t next;

	if (at > FILE_BYTES - sizeof(next))
		return false;
	memcpy(&next, o->file[file].data + at, sizeof(next));
	return next;
}

static bool some(struct output *o)
{
	unsigned int reading = atomic_load_explicit(&o->reading, memory_order_relaxed);
	unsigned int writing = atomic_load_explicit(&o->writing, memory_order_relaxed);

	return printed(o, reading, atomic_load_explicit(&o->taken, memory_order_relaxed)) ||
	       (reading != writing && printed(o, writing, 0));
}

static uint64_t written(struct output *o, unsigned int file)
{
	off_t end = lseek(o->file[file].fd, 0, SEEK_CUR);

	return end < 0 ? 0 : end;
}

/* Bytes of the file that is read that have been written and not taken. */
static uint64_t left(struct output *o)
{
	unsigned int reading = o->reading;
	uint64_t end = written(o, reading);

	if (end > o->taken)
		return end - o->taken;
	if (reading != o->writing) {
		/* All of it has been read, and nobody writes to it: the next is the other. */
		fallocate(o->file[reading].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  FILE_BYTES);
		lseek(o->file[reading].fd, 0, SEEK_SET);
		o->taken = 0;
		o->reading = o->writing;
		end = written(o, o->reading);
	} else if (end > FILE_BYTES / 2 && dup2(o->file[!reading].fd, o->fd) >= 0) {
		/* A write that has begun may still go to the old one, which is read first. */
		o->writing = !reading;
		return 0;
	}
	return end - o->taken;
}

uint32_t vg_output_notice(void)
{
	uint32_t notice;

	if (!some(&out[0]) && !some(&out[1]))
		return 0;
	pthread_mutex_lock(&lock);
	notice = left(&out[0]) || left(&out[1]) ? VG_NOTICE_OUTPUT : 0;
	pthread_mutex_unlock(&lock);
	return notice;
}

CUresult vg_internal_output(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	const struct vg_output_take *take = rq->payload;
	struct output *o;
	uint64_t n;

	(void)x;
	if (take->which >= VG_OUTPUTS)
		return CUDA_ERROR_INVALID_VALUE;
	o = &out[take->which];
	pthread_mutex_lock(&lock);
	n = left(o);
	if (n > VG_REPLY_MAX)
		n = VG_REPLY_MAX;
	if (n) {
		memcpy(rp->payload, o->file[o->reading].data + o->taken, n);
		rp->bytes = n;
		o->taken += n;
	}
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}
