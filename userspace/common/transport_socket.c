// SPDX-License-Identifier: Apache-2.0
/*
 * The way in with no VM: a Unix socket to the mediator, channel memory in a
 * memfd, the doorbell an eventfd.  The guest's interrupt is a futex wake on
 * the word that the waiter sleeps on.
 */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "old_glibc.h"
#include "socket_proto.h"

/* How often a sleeper looks whether the executor still lives. */
#define LIVENESS_MS 50

static int socket_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int socket_open(struct vg_transport *t, const char *path, const struct vgpu_layout *want,
		       uint64_t settings)
{
	struct vg_sock_hello hello = {
		.size = sizeof(hello),
		.abi = VG_SOCK_ABI,
		.sq_bytes = want->sq_bytes,
		.slot_count = want->slot_count,
		.arena_bytes = want->arena_bytes,
		.settings = settings,
	};
	struct vg_sock_welcome welcome;
	int fds[3], count, ret;

	prctl(PR_GET_NAME, hello.comm);
	t->fd = socket_connect(path);
	if (t->fd < 0)
		return t->fd;
	ret = vg_send_fds(t->fd, &hello, sizeof(hello), NULL, 0);
	if (ret)
		goto fail;
	count = vg_recv_fds(t->fd, &welcome, sizeof(welcome), fds, 3);
	ret = count < 0 ? count : -(int)welcome.status;
	if (ret)
		goto fail;
	if (count != 3) {
		ret = -EPROTO;
		goto fail;
	}
	t->layout = welcome.layout;
	t->doorbell = fds[1];
	t->shares = fds[2];
	t->base = mmap(NULL, t->layout.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	ret = t->base == MAP_FAILED ? -errno : 0;
	close(fds[0]);
	if (!ret) {
		/* As with the device: a child has no channel. */
		madvise(t->base, t->layout.total_bytes, MADV_DONTFORK);
		return 0;
	}
	close(t->doorbell);
	close(t->shares);
fail:
	close(t->fd);
	return ret;
}

static int socket_doorbell(struct vg_transport *t)
{
	uint64_t one = 1;

	return write(t->doorbell, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

static int socket_wait(struct vg_transport *t, const uint32_t *word, uint32_t value)
{
	struct timespec slice = { .tv_nsec = LIVENESS_MS * 1000000L };
	struct pollfd peer = { .fd = t->fd };

	if (!syscall(SYS_futex, word, FUTEX_WAIT, value, &slice, NULL, 0) || errno != ETIMEDOUT)
		return 0;
	/* The mediator never writes after its welcome, so any event is the end. */
	return poll(&peer, 1, 0) > 0 ? -EPIPE : 0;
}

/*
 * The file of which [va, va + bytes) is a shared mapping, as programs have it of
 * /dev/shm.  Only that can be mapped elsewhere too; memory of a heap cannot.
 */
static int file_of(void *va, size_t bytes, uint64_t *offset)
{
	uintptr_t first = (uintptr_t)va, start, end;
	char line[4096 + 256], path[4096], perms[8];
	unsigned long long at, inode;
	FILE *maps = fopen("/proc/self/maps", "re");
	struct stat st;
	int fd = -EOPNOTSUPP;

	if (!maps)
		return -EOPNOTSUPP;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %llx %*s %llu %4095[^\n]", &start, &end,
			   perms, &at, &inode, path) != 6 || first < start || first >= end)
			continue;
		if (bytes > end - first || strncmp(perms, "rw", 2) || perms[3] != 's')
			break;
		fd = open(path, O_RDWR | O_CLOEXEC);
		/* It has no name any more, or another's. */
		if (fd < 0 || vg_fstat(fd, &st) || st.st_ino != inode) {
			if (fd >= 0)
				close(fd);
			snprintf(path, sizeof(path), "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR, start,
				 end);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		if (fd < 0)
			fd = -EOPNOTSUPP;
		*offset = at + (first - start);
		break;
	}
	fclose(maps);
	return fd;
}

static int socket_share(struct vg_transport *t, void *va, size_t bytes, int memfd,
			uint32_t *token)
{
	static _Atomic uint32_t next;
	struct vg_sock_share msg = { .size = sizeof(msg) };
	int fd = memfd < 0 ? file_of(va, bytes, &msg.offset) : memfd, ret;

	if (fd < 0)
		return fd;
	msg.token = atomic_fetch_add(&next, 1) + 1;
	*token = msg.token;
	ret = vg_send_fds(t->shares, &msg, sizeof(msg), &fd, 1);
	if (fd != memfd)
		close(fd);
	return ret;
}

static void socket_unshare(struct vg_transport *t, uint32_t token)
{
	(void)t;
	(void)token;
}

static void socket_close(struct vg_transport *t)
{
	munmap(t->base, t->layout.total_bytes);
	close(t->shares);
	close(t->doorbell);
	close(t->fd);
}

const struct vg_transport_ops vg_transport_socket = {
	.name = "socket",
	.open = socket_open,
	.doorbell = socket_doorbell,
	.wait = socket_wait,
	.share = socket_share,
	.unshare = socket_unshare,
	.close = socket_close,
};
