// SPDX-License-Identifier: Apache-2.0
#include "fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_ALL 253	/* as many as the kernel takes with one message (SCM_MAX_FD) */

int vg_send_fds(int sock, const void *msg, size_t len, const int *fds, int count)
{
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		char buf[CMSG_SPACE(VG_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	ssize_t n;

	if (count > VG_FDS_MAX)
		return -EINVAL;
	if (count) {
		struct cmsghdr *cmsg;

		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	do
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int vg_recv_fds(int sock, void *msg, size_t len, int *fds, int max)
{
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	union {
		char buf[CMSG_SPACE(FDS_ALL * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int all[FDS_ALL], count = 0, ret = 0;
	ssize_t n;

	do
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&hdr); c; c = CMSG_NXTHDR(&hdr, c)) {
		int have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (int i = 0; i < have && count < FDS_ALL; i++)
			memcpy(&all[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	if (!n)
		ret = -EPIPE;
	else if ((size_t)n != len || count > max || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		ret = -EBADMSG;
	for (int i = 0; i < count; i++) {
		if (ret)
			close(all[i]);
		else
			fds[i] = all[i];
	}
	return ret ? ret : count;
}

/*
 * A look at the next message.  The kernel closes nothing: the message keeps its files.  Those
 * that find no room in `control` are told by MSG_CTRUNC in hdr->msg_flags.
 */
static ssize_t look(int sock, struct msghdr *hdr, void *buf, size_t len, void *control,
		    size_t control_len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	ssize_t n;

	*hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				.msg_controllen = control_len };
	do
		n = recvmsg(sock, hdr, MSG_PEEK | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Take the message out that look() saw; its files are held elsewhere, or it has none. */
static ssize_t take(int sock, void *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(sock, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t look_for_one(int sock, struct msghdr *hdr, void *msg, size_t len, int *fd)
{
	union {
		char buf[CMSG_LEN(sizeof(int))];	/* padding would be room for another */
		struct cmsghdr align;
	} control;
	ssize_t n = look(sock, hdr, msg, len, fd ? control.buf : NULL, fd ? sizeof(control.buf) : 0);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(hdr);

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	hdr->msg_control = NULL;
	return n;
}

int vg_recv_one_fd(int sock, void *msg, size_t len, int *fd)
{
	struct msghdr hdr;
	ssize_t n;
	int room;

	if (fd)
		*fd = -1;
	n = look_for_one(sock, &hdr, msg, len, fd);
	if (n >= 0 && fd && *fd < 0 && (hdr.msg_flags & MSG_CTRUNC)) {
		room = fcntl(sock, F_DUPFD_CLOEXEC, 0);
		if (room < 0)
			return -errno;
		close(room);
		n = look_for_one(sock, &hdr, msg, len, fd);
	}
	if (n < 0)
		return -errno;
	if (!n && !(hdr.msg_flags & MSG_CTRUNC))
		return -EPIPE;
	if ((size_t)n != len || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EBADMSG;
	n = take(sock, msg, len);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -EBADMSG;
}

int vg_recv_bytes(int sock, void *buf, int max)
{
	struct msghdr hdr;
	ssize_t n = look(sock, &hdr, buf, max, NULL, 0);

	if (n < 0)
		return -errno;
	if (hdr.msg_flags & MSG_CTRUNC)
		return -EBADMSG;
	/* No more than was seen: what follows may bring descriptors. */
	n = take(sock, buf, n);
	return n < 0 ? -errno : n;
}

bool vg_recv_rest(int sock)
{
	/* With its sender's name an empty message is told from the end; a stream has none. */
	union {
		char buf[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	socklen_t len = sizeof(int);
	struct msghdr hdr;
	char bytes[1024];
	int on = 1, type;
	ssize_t n;

	if (setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len))
		return false;
	for (;;) {
		n = look(sock, &hdr, bytes, sizeof(bytes), control.buf, sizeof(control.buf));
		/* The other side has closed it with something unread, which is told once. */
		if (n < 0 && errno == ECONNRESET)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (hdr.msg_flags & MSG_CTRUNC)
			return false;
		if (!n && (type == SOCK_STREAM || !hdr.msg_controllen))
			return true;
		if (take(sock, bytes, n) < 0)
			return false;
	}
}
