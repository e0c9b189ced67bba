// SPDX-License-Identifier: Apache-2.0
/*
 * The VM's memory: what DMA_MAP has mapped, page lists, and runs of pages in files.
 *
 * No memory of the VM is ever mapped here.  Files are read by pread(), which gives a short
 * count where a mapping would fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/log.h"
#include "vfiouser.h"

#define PAGE 4096ull
#define LARGE (16ull << 20)	/* no ROM, and no video memory of a usual size */

static bool aligned(uint64_t n)
{
	return !(n % PAGE);
}

/*
 * A file that a channel may lie in: one that nobody can shrink, so that a mapping of it does
 * not fault, and whose pages can be mapped one by one.  Only memfds have seals, so this is no
 * file of a user's file system, which could make whoever reads it wait.
 */
static bool file_ok(int fd, const struct stat *st, uint64_t end)
{
	int seals = fcntl(fd, F_GET_SEALS), mode = fcntl(fd, F_GETFL);
	struct statfs fs;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return false;
	if (mode < 0 || (mode & O_ACCMODE) != O_RDWR)
		return false;
	if (fstatfs(fd, &fs) || fs.f_type == HUGETLBFS_MAGIC)
		return false;
	return S_ISREG(st->st_mode) && st->st_size >= 0 && end <= (uint64_t)st->st_size;
}

/* The client sends a descriptor of the same file with each map: one of them is enough. */
static int file_use(struct vfu *v, int *fd, uint64_t end, uint32_t *index)
{
	uint32_t i, room = VFU_NO_FILE;
	struct stat st;

	*index = VFU_NO_FILE;
	if (fstat(*fd, &st) || !file_ok(*fd, &st, end))
		return 0;
	for (i = 0; i < VFU_FILES; i++) {
		struct vfu_file *f = &v->file[i];

		if (f->fd < 0) {
			room = i;
		} else if (f->dev == st.st_dev && f->ino == st.st_ino) {
			f->refs++;
			*index = i;
			return 0;
		}
	}
	if (room == VFU_NO_FILE)
		return -ENOSPC;
	v->file[room] = (struct vfu_file){ *fd, st.st_dev, st.st_ino, 1 };
	*fd = -1;
	*index = room;
	return 0;
}

static void file_put(struct vfu *v, uint32_t index)
{
	struct vfu_file *f;

	if (index == VFU_NO_FILE)
		return;
	f = &v->file[index];
	if (--f->refs)
		return;
	close(f->fd);
	f->fd = -1;
}

/* The first map that ends beyond an address. */
static unsigned int after(const struct vfu *v, uint64_t addr)
{
	unsigned int lo = 0, hi = v->map_count;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (v->map[mid].iova + (v->map[mid].bytes - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int vfu_map_add(struct vfu *v, uint64_t iova, uint64_t bytes, uint64_t offset, bool usable, int *fd)
{
	uint64_t last, end;
	uint32_t file = VFU_NO_FILE;
	unsigned int at;
	int ret;

	if (!bytes || !aligned(iova) || !aligned(bytes) || !aligned(offset))
		return -EINVAL;
	if (__builtin_add_overflow(iova, bytes - 1, &last) || __builtin_add_overflow(offset, bytes, &end))
		return -EINVAL;
	at = after(v, iova);
	if (at < v->map_count && v->map[at].iova <= last)
		return -EEXIST;
	if (v->map_count == VFU_MAPS)
		return -ENOSPC;
	if (usable && *fd >= 0) {
		ret = file_use(v, fd, end, &file);
		if (ret)
			return ret;
	}
	if (file == VFU_NO_FILE && bytes >= LARGE) {
		static struct vg_log_rate rate;

		vg_log_some(&rate, VG_WARNING, "memory of the VM at 0x%llx is in no memfd that is sealed against "
			    "shrinking, so no program that has a channel there is served (QEMU: "
			    "memory-backend-memfd with share=on)", (unsigned long long)iova);
	}
	memmove(&v->map[at + 1], &v->map[at], (v->map_count - at) * sizeof(v->map[0]));
	v->map[at] = (struct vfu_map){ iova, bytes, offset, file };
	v->map_count++;
	return 0;
}

/* Whole maps: one that lies in the range with a part alone stays, and so do all. */
int vfu_map_remove(struct vfu *v, uint64_t iova, uint64_t bytes)
{
	unsigned int first = after(v, iova), end = first;
	uint64_t last;

	if (!bytes || __builtin_add_overflow(iova, bytes - 1, &last))
		return -EINVAL;
	for (; end < v->map_count && v->map[end].iova <= last; end++)
		if (v->map[end].iova < iova || v->map[end].iova + (v->map[end].bytes - 1) > last)
			return -EINVAL;
	if (first == end)
		return -ENOENT;
	for (unsigned int i = first; i < end; i++)
		file_put(v, v->map[i].file);
	memmove(&v->map[first], &v->map[end], (v->map_count - end) * sizeof(v->map[0]));
	v->map_count -= end - first;
	return 0;
}

void vfu_maps_clear(struct vfu *v)
{
	while (v->map_count)
		file_put(v, v->map[--v->map_count].file);
}

/* The part of [addr, addr + bytes) that is in one map with a file; 0: there is none. */
static uint64_t piece(const struct vfu *v, uint64_t addr, uint64_t bytes, const struct vfu_map **map)
{
	unsigned int i = after(v, addr);
	uint64_t here;

	if (i == v->map_count || v->map[i].iova > addr || v->map[i].file == VFU_NO_FILE)
		return 0;
	*map = &v->map[i];
	here = v->map[i].bytes - (addr - v->map[i].iova);
	return here < bytes ? here : bytes;
}

int vfu_guest_read(struct vfu *v, uint64_t addr, void *to, size_t bytes)
{
	uint8_t *out = to;

	while (bytes) {
		const struct vfu_map *map;
		uint64_t here = piece(v, addr, bytes, &map);
		ssize_t n;

		if (!here)
			return -EFAULT;
		n = pread(v->file[map->file].fd, out, here, map->offset + (addr - map->iova));
		if (n <= 0)
			return -EFAULT;
		atomic_fetch_add(&v->counters->read_bytes, n);
		out += n;
		addr += n;
		bytes -= n;
	}
	return 0;
}

/* Check one page of a list against the bytes that are still to come. */
int vfu_list_check(const struct vgpu_adm_list *list, uint64_t *bytes_left)
{
	if (!list->count || list->count > VGPU_ADM_RUNS || list->reserved)
		return -EINVAL;
	for (uint32_t i = 0; i < list->count; i++) {
		uint64_t addr = list->run[i].addr, bytes = list->run[i].bytes, last;

		if (!bytes || !aligned(addr) || !aligned(bytes))
			return -EINVAL;
		if (bytes > *bytes_left || __builtin_add_overflow(addr, bytes, &last))
			return -EINVAL;
		*bytes_left -= bytes;
	}
	/* The last page of the list is the one that completes it; the others are full. */
	if (!*bytes_left != !list->next)
		return -EINVAL;
	if (list->next && list->count != VGPU_ADM_RUNS)
		return -EINVAL;
	return 0;
}

/* What is collected while a list is read.  There is one thread, and so one of it. */
struct runs {
	struct vg_vfu_run run[VG_VFU_RUNS_MAX];
	uint32_t count;
	uint32_t files, file[VG_VFU_FILES];	/* of the VM */
	struct vfu_part *part;
	uint32_t parts, room;
};

static int add_part(struct runs *r, uint64_t iova, uint64_t bytes)
{
	if (r->parts && r->part[r->parts - 1].iova + r->part[r->parts - 1].bytes == iova) {
		r->part[r->parts - 1].bytes += bytes;
		return 0;
	}
	if (r->parts == r->room) {
		uint32_t room = r->room ? 2 * r->room : 64;
		struct vfu_part *more = reallocarray(r->part, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->part = more;
		r->room = room;
	}
	r->part[r->parts++] = (struct vfu_part){ iova, bytes };
	return 0;
}

static int add_run(struct runs *r, uint32_t file, uint64_t offset, uint64_t bytes)
{
	struct vg_vfu_run *last = r->count ? &r->run[r->count - 1] : NULL;
	uint32_t k;

	for (k = 0; k < r->files && r->file[k] != file; k++)
		;
	if (k == VG_VFU_FILES)
		return -EFAULT;
	if (k == r->files)
		r->file[r->files++] = file;
	if (last && last->file == k && last->offset + last->bytes == offset) {
		last->bytes += bytes;
		return 0;
	}
	if (r->count == VG_VFU_RUNS_MAX)
		return -ENOMEM;
	r->run[r->count++] = (struct vg_vfu_run){ .offset = offset, .bytes = bytes, .file = k };
	return 0;
}

static int add(struct vfu *v, struct runs *r, uint64_t addr, uint64_t bytes)
{
	int ret = add_part(r, addr, bytes);

	while (bytes && !ret) {
		const struct vfu_map *map;
		uint64_t here = piece(v, addr, bytes, &map);

		if (!here)
			return -EFAULT;
		ret = add_run(r, map->file, map->offset + (addr - map->iova), here);
		addr += here;
		bytes -= here;
	}
	return ret;
}

static int read_lists(struct vfu *v, struct runs *r, uint64_t addr, uint64_t left)
{
	struct vgpu_adm_list list;
	int ret;

	while (addr) {
		if (!aligned(addr))
			return -EINVAL;
		ret = vfu_guest_read(v, addr, &list, sizeof(list));
		if (!ret)
			ret = vfu_list_check(&list, &left);
		for (uint32_t i = 0; !ret && i < list.count; i++)
			ret = add(v, r, list.run[i].addr, list.run[i].bytes);
		if (ret)
			return ret;
		addr = list.next;
	}
	return left ? -EINVAL : 0;
}

/* The runs as a file, which its reader cannot be made to wait for. */
static int list_file(const struct runs *r)
{
	size_t bytes = r->count * sizeof(*r->run), done = 0;
	int fd = memfd_create("vgpu-runs", MFD_CLOEXEC);

	if (fd < 0)
		return -ENOMEM;
	while (done < bytes) {
		ssize_t n = pwrite(fd, (uint8_t *)r->run + done, bytes - done, done);

		if (n <= 0) {
			close(fd);
			return -ENOMEM;
		}
		done += n;
	}
	return fd;
}

int vfu_memory_new(struct vfu *v, uint64_t list, uint64_t bytes, uint64_t va,
		   struct vfu_memory **out)
{
	struct vfu_memory *m = calloc(1, sizeof(*m));
	static struct runs r;
	int ret;

	if (!m)
		return -ENOMEM;
	m->list = -1;
	r.count = r.files = r.parts = r.room = 0;
	r.part = NULL;
	ret = read_lists(v, &r, list, bytes);
	if (ret)
		goto fail;
	ret = v->run_count + r.count > VFU_RUNS ? -ENOSPC : 0;
	if (ret)
		goto fail;
	ret = list_file(&r);
	if (ret < 0)
		goto fail;
	m->list = ret;
	for (uint32_t i = 0; i < r.files; i++) {
		/* The map may go before the memory does. */
		m->file[i] = fcntl(v->file[r.file[i]].fd, F_DUPFD_CLOEXEC, 0);
		if (m->file[i] < 0) {
			ret = -ENOMEM;
			goto fail;
		}
		m->file_count++;
	}
	m->va = va;
	m->bytes = bytes;
	m->runs = r.count;
	m->part = r.part;
	m->part_count = r.parts;
	v->run_count += m->runs;
	atomic_fetch_add(&v->counters->shared_bytes, bytes);
	*out = m;
	return 0;

fail:
	while (m->file_count)
		close(m->file[--m->file_count]);
	if (m->list >= 0)
		close(m->list);
	free(r.part);
	free(m);
	return ret;
}

void vfu_memory_free(struct vfu *v, struct vfu_memory *m)
{
	if (!m)
		return;
	v->run_count -= m->runs;
	atomic_fetch_sub(&v->counters->shared_bytes, m->bytes);
	while (m->file_count)
		close(m->file[--m->file_count]);
	close(m->list);
	free(m->part);
	free(m);
}

bool vfu_memory_overlaps(const struct vfu_memory *m, uint64_t iova, uint64_t bytes)
{
	uint64_t last = iova + (bytes - 1);

	for (unsigned int i = 0; i < m->part_count; i++)
		if (m->part[i].iova <= last && iova <= m->part[i].iova + (m->part[i].bytes - 1))
			return true;
	return false;
}
