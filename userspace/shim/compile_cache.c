// SPDX-License-Identifier: Apache-2.0
/*
 * NVRTC asks the driver's library for what it has compiled before (docs/export-tables.md).
 * Each entry is a file of the user's own, in a folder beside those that NVIDIA's driver
 * keeps, under the same three variables:
 *
 *   CUDA_CACHE_PATH	the folder; ~/.nv/ComputeCache
 *   CUDA_CACHE_MAXSIZE	bytes of all entries, 1 GiB, at most 4 GiB; the least recently used go
 *   CUDA_CACHE_DISABLE	1: there is no cache
 *
 * An entry holds the whole of what it was compiled from, which is compared, so that its
 * name need be no more than a good hash; and a sum of all of it, since disks fill up and
 * machines lose power.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/old_glibc.h"
#include "compile_cache.h"

#define SIZE_USUAL	(1ull << 30)
#define SIZE_MAX_	(4ull << 30)
#define FOLDER		"vgpu"
#define FILE_MAGIC	0x3165686361436756ull	/* "VgCache1" */

struct vg_cache_key {
	size_t bytes;
	uint8_t text[];
};

/* A file begins with this; the key and the data follow. */
struct header {
	uint64_t magic, key_bytes, data_bytes;
	uint64_t sum;			/* of the key and the data */
};

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t h, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

#define HASH_START 0xcbf29ce484222325ull

struct vg_cache_key *vg_cache_key(const struct vg_compiled *c)
{
	const char *words[] = { c->options ? c->options : "", c->host ? c->host : "",
				c->built ? c->built : "" };
	const uint32_t numbers[] = { c->kind, c->arch };
	size_t bytes = sizeof(numbers) + c->bytes;
	struct vg_cache_key *key;
	uint8_t *p;

	for (int i = 0; i < 3; i++)
		bytes += strlen(words[i]) + 1;
	key = malloc(sizeof(*key) + bytes);
	if (!key)
		return NULL;
	key->bytes = bytes;
	p = key->text;
	memcpy(p, numbers, sizeof(numbers));
	p += sizeof(numbers);
	for (int i = 0; i < 3; i++)
		p = (uint8_t *)stpcpy((char *)p, words[i]) + 1;
	memcpy(p, c->source, c->bytes);
	return key;
}

/* -- the folder */

static uint64_t size_max(void)
{
	const char *text = secure_getenv("CUDA_CACHE_MAXSIZE");
	uint64_t n = text && *text ? strtoull(text, NULL, 10) : SIZE_USUAL;

	return n < SIZE_MAX_ ? n : SIZE_MAX_;
}

/* Each part of `path` that is not there yet. */
static bool make_folders(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0700) && errno != EEXIST) {
			*p = '/';
			return false;
		}
		*p = '/';
	}
	return !mkdir(path, 0700) || errno == EEXIST;
}

/* Open, or -1 where there is no cache. */
static int folder(bool make)
{
	const char *off = secure_getenv("CUDA_CACHE_DISABLE");
	const char *chosen = secure_getenv("CUDA_CACHE_PATH"), *home = secure_getenv("HOME");
	char path[4096];
	int n;

	if (off && !strcmp(off, "1"))
		return -1;
	if (chosen && *chosen)
		n = snprintf(path, sizeof(path), "%s/" FOLDER, chosen);
	else if (home && *home)
		n = snprintf(path, sizeof(path), "%s/.nv/ComputeCache/" FOLDER, home);
	else
		return -1;
	if ((size_t)n >= sizeof(path) || (make && !make_folders(path)))
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void name_of(const struct vg_cache_key *key, char name[20])
{
	snprintf(name, 20, "%016llx",
		 (unsigned long long)hash(HASH_START, key->text, key->bytes));
}

/* The least recently used go until no more than `max` bytes are there. */
static void trim(int dir, uint64_t max)
{
	for (;;) {
		int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = copy < 0 ? NULL : fdopendir(copy);
		char oldest[sizeof(((struct dirent *)0)->d_name)];
		struct timespec when = { 0 };
		uint64_t total = 0;
		struct dirent *e;
		struct stat st;

		if (!d) {
			if (copy >= 0)
				close(copy);
			return;
		}
		oldest[0] = 0;
		while ((e = readdir(d))) {
			if (vg_fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
				continue;
			total += st.st_size;
			if (oldest[0] && (st.st_mtim.tv_sec > when.tv_sec ||
					  (st.st_mtim.tv_sec == when.tv_sec &&
					   st.st_mtim.tv_nsec >= when.tv_nsec)))
				continue;
			when = st.st_mtim;
			memcpy(oldest, e->d_name, sizeof(oldest));
		}
		closedir(d);
		if (total <= max || !oldest[0] || unlinkat(dir, oldest, 0))
			return;
	}
}

/* -- entries */

static bool read_all(int fd, void *data, size_t bytes)
{
	for (size_t got = 0; got < bytes;) {
		ssize_t n = read(fd, (uint8_t *)data + got, bytes - got);

		if (n <= 0)
			return false;
		got += n;
	}
	return true;
}

static bool write_all(int fd, const void *data, size_t bytes)
{
	for (size_t put = 0; put < bytes;) {
		ssize_t n = write(fd, (const uint8_t *)data + put, bytes - put);

		if (n < 0)
			return false;
		put += n;
	}
	return true;
}

static uint64_t sum_of(const struct vg_cache_key *key, const void *data, size_t bytes)
{
	return hash(hash(HASH_START, key->text, key->bytes), data, bytes);
}

/* What is in the file after a key that is this one; NULL: it is no entry for it. */
static void *data_of(int fd, const struct vg_cache_key *key, uint32_t *bytes)
{
	struct header h;
	struct stat st;
	uint8_t *all;

	if (vg_fstat(fd, &st) || !read_all(fd, &h, sizeof(h)) || h.magic != FILE_MAGIC ||
	    h.key_bytes != key->bytes || h.data_bytes > UINT32_MAX ||
	    (uint64_t)st.st_size != sizeof(h) + h.key_bytes + h.data_bytes)
		return NULL;
	all = malloc(h.key_bytes + h.data_bytes);
	if (!all)
		return NULL;
	if (!read_all(fd, all, h.key_bytes + h.data_bytes) ||
	    memcmp(all, key->text, key->bytes) ||
	    sum_of(key, all + h.key_bytes, h.data_bytes) != h.sum) {
		free(all);
		return NULL;
	}
	memmove(all, all + h.key_bytes, h.data_bytes);
	*bytes = h.data_bytes;
	return all;
}

CUresult vg_cache_find(const struct vg_cache_key *key, void **data, uint32_t *bytes)
{
	int dir = folder(false), fd = -1;
	char name[20];

	*data = NULL;
	*bytes = 0;
	if (dir >= 0) {
		name_of(key, name);
		fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		close(dir);
	}
	if (fd >= 0) {
		*data = data_of(fd, key, bytes);
		if (*data)
			futimens(fd, NULL);	/* used now */
		close(fd);
	}
	return *data ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult vg_cache_add(const struct vg_cache_key *key, const void *data, uint32_t bytes)
{
	struct header h = {
		.magic = FILE_MAGIC, .key_bytes = key->bytes, .data_bytes = bytes,
		.sum = sum_of(key, data, bytes),
	};
	uint64_t max = size_max();
	char name[20], made[40];
	bool written;
	int dir, fd;

	if (sizeof(h) + key->bytes + bytes > max)
		return CUDA_ERROR_INVALID_VALUE;
	dir = folder(true);
	if (dir < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	name_of(key, name);
	/* Under a name of its own first: no program ever sees half of one. */
	snprintf(made, sizeof(made), ".%s.%d.%d", name, getpid(), vg_gettid());
	fd = openat(dir, made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	written = fd >= 0 && write_all(fd, &h, sizeof(h)) && write_all(fd, key->text, key->bytes) &&
		  write_all(fd, data, bytes);
	if (fd >= 0)
		written = !close(fd) && written;
	if (!written || renameat(dir, made, dir, name)) {
		unlinkat(dir, made, 0);
		close(dir);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	trim(dir, max);
	close(dir);
	return CUDA_SUCCESS;
}
