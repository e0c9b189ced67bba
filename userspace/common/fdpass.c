// SPDX-License-Identifier: Apache-2.0
#include "fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int vg_recv_all_fds(int sock, void *msg, size_t len, int fds[VG_FDS_ALL], int *count)
{
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	/* With less room the kernel would close the rest, in this thread. */
	union {
		char buf[CMSG_SPACE(VG_FDS_ALL * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	*count = 0;
	do
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&hdr); c; c = CMSG_NXTHDR(&hdr, c)) {
		int have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (int i = 0; i < have && *count < VG_FDS_ALL; i++)
			memcpy(&fds[(*count)++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	if (!n)
		return -EPIPE;
	return (size_t)n != len || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? -EBADMSG : 0;
}

int vg_recv_fds(int sock, void *msg, size_t len, int *fds, int max)
{
	int all[VG_FDS_ALL], count, ret = vg_recv_all_fds(sock, msg, len, all, &count);

	if (!ret && count > max)
		ret = -EBADMSG;
	for (int i = 0; i < count; i++) {
		if (ret)
			close(all[i]);
		else
			fds[i] = all[i];
	}
	return ret ? ret : count;
}
