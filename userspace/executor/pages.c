// SPDX-License-Identifier: Apache-2.0
/*
 * Memory of a VM that a vfio-user server serves (docs/vfio-user.md): runs of pages in the
 * files of the VM's memory, which are mapped one after another.
 *
 * The server is trusted no more than the guest.  A run is taken only from a file that cannot
 * shrink, so that no access here faults, and the runs must add up to what was said.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "common/vfiouser_proto.h"
#include "exec_internal.h"

#define PAGE	4096u
#define BATCH	256u	/* runs that are read at a time */

int vg_pages_ask(const struct vg_channel *ch, uint32_t op, uint32_t region, struct vg_pages *p)
{
	struct vg_vfu_ask ask = { .size = sizeof(ask), .op = op, .region = region };
	int own = op == VG_VFU_ASK_MEMORY ? 3 : 1;	/* what is no file of memory */
	struct vg_vfu_memory m;
	int fds[3 + VG_VFU_FILES], count, ret;

	ret = vg_send_fds(ch->fd, &ask, sizeof(ask), NULL, 0);
	if (ret)
		return ret;
	count = vg_recv_fds(ch->fd, &m, sizeof(m), fds, own + VG_VFU_FILES);
	if (count < 0)
		return count;
	if (m.status || count < own) {
		while (count)
			close(fds[--count]);
		return m.status ? -ENOENT : -EPROTO;
	}
	*p = (struct vg_pages){
		.va = m.va, .bytes = m.bytes, .runs = m.runs, .list = fds[0],
		.doorbell = own > 1 ? fds[1] : -1, .raise = own > 1 ? fds[2] : -1,
	};
	while ((int)p->files < count - own) {
		p->file[p->files] = fds[own + p->files];
		p->files++;
	}
	return 0;
}

void vg_pages_close(struct vg_pages *p)
{
	while (p->files)
		close(p->file[--p->files]);
	close(p->list);
}

void vg_pages_unmapped(const struct vg_channel *ch, uint32_t region)
{
	struct vg_vfu_ask ask = { .size = sizeof(ask), .op = VG_VFU_UNMAPPED, .region = region };

	vg_send_fds(ch->fd, &ask, sizeof(ask), NULL, 0);
}

/* How many bytes of a file may be mapped for good; 0: none. */
static uint64_t usable(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) || st.st_size < 0)
		return 0;
	return st.st_size;
}

static int map_run(const struct vg_pages *p, const uint64_t *size, const struct vg_vfu_run *run,
		   uint8_t *base, uint64_t *done)
{
	if (run->file >= p->files || run->reserved || !run->bytes || run->bytes % PAGE ||
	    run->offset % PAGE || run->bytes > p->bytes - *done ||
	    run->offset > size[run->file] || run->bytes > size[run->file] - run->offset)
		return -EPROTO;
	if (mmap(base + *done, run->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 p->file[run->file], run->offset) == MAP_FAILED)
		return -errno;
	/* What a guest shares is no part of a core dump, and no child's. */
	madvise(base + *done, run->bytes, MADV_DONTFORK);
	madvise(base + *done, run->bytes, MADV_DONTDUMP);
	*done += run->bytes;
	return 0;
}

int vg_pages_map(const struct vg_pages *p, uint8_t *base)
{
	struct vg_vfu_run run[BATCH];
	uint64_t size[VG_VFU_FILES] = { 0 }, done = 0;
	uint32_t at = 0;
	int ret;

	if (p->runs > VG_VFU_RUNS_MAX)
		return -EPROTO;
	for (unsigned int i = 0; i < p->files; i++)
		size[i] = usable(p->file[i]);
	while (at < p->runs) {
		uint32_t n = p->runs - at < BATCH ? p->runs - at : BATCH;
		ssize_t want = n * sizeof(*run);

		if (pread(p->list, run, want, at * sizeof(*run)) != want)
			return -EPROTO;
		for (uint32_t i = 0; i < n; i++) {
			ret = map_run(p, size, &run[i], base, &done);
			if (ret)
				return ret;
		}
		at += n;
	}
	return done == p->bytes ? 0 : -EPROTO;
}
