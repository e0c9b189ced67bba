// SPDX-License-Identifier: Apache-2.0
/*
 * A client's connection, a stream.  The header of a message is read by itself: descriptors
 * come with the first byte of a message, and a read across two messages would have those of
 * the second with the first.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfiouser.h"

/* Keep what came along; too many end the connection. */
static int take_fds(struct vfu_wire *w, struct msghdr *hdr)
{
	int ret = hdr->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (w->m.fd_count < VFU_FDS_MAX) {
				w->m.fd[w->m.fd_count++] = fd;
			} else {
				close(fd);
				ret = -EPROTO;
			}
		}
	}
	return ret;
}

/* Up to so many bytes of the message. */
static int receive(struct vfu_wire *w, uint32_t until)
{
	union {
		char buf[CMSG_SPACE(VFU_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	uint32_t head = sizeof(w->m.head);
	uint8_t *to = w->have < head ? (uint8_t *)&w->m.head + w->have : w->m.body + (w->have - head);
	struct iovec iov = { .iov_base = to, .iov_len = until - w->have };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t n;
	int ret;

	do
		n = recvmsg(w->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	ret = take_fds(w, &hdr);
	if (ret)
		return ret;
	if (!n)
		return -EPIPE;
	w->have += n;
	return w->have == until;
}

int vfu_wire_receive(struct vfu_wire *w)
{
	int ret;

	if (w->have < sizeof(w->m.head)) {
		ret = receive(w, sizeof(w->m.head));
		if (ret <= 0)
			return ret;
		if (!vfu_header_ok(&w->m.head))
			return -EPROTO;
	}
	return w->have == w->m.head.size ? 1 : receive(w, w->m.head.size);
}

void vfu_wire_next(struct vfu_wire *w)
{
	w->have = 0;
	w->m.fd_count = 0;
}

int vfu_wire_send(struct vfu_wire *w, const struct vfu_answer *a)
{
	/* A client reads each answer before it asks again, so there is room for one. */
	ssize_t n = send(w->fd, a, a->head.size, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n == (ssize_t)a->head.size ? 0 : n < 0 ? -errno : -EIO;
}
