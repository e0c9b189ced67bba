/* SPDX-License-Identifier: Apache-2.0 */
/* A program's end of the socket and of the ring, by hand; after <cmocka.h>. */
#ifndef PEER_H
#define PEER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vgpu_ring.h>

#include "common/fdpass.h"
#include "common/ring_sync.h"
#include "common/socket_proto.h"

static const char *path;

static inline bool peer_path(void)
{
	const char *transport = getenv("VGPU_TRANSPORT");

	if (!transport || strncmp(transport, "unix:", 5)) {
		fprintf(stderr, "VGPU_TRANSPORT=unix:PATH is not set\n");
		return false;
	}
	path = transport + 5;
	return true;
}

static inline int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static inline struct vg_sock_hello good_hello(void)
{
	return (struct vg_sock_hello){
		.size = sizeof(struct vg_sock_hello), .abi = VG_SOCK_ABI,
		.sq_bytes = VGPU_SQ_MIN, .slot_count = 4, .arena_bytes = 65536, .comm = "test",
	};
}

struct channel {
	int sock, memory, bell, shares;
	struct vgpu_layout layout;
	uint8_t *base;
	struct vgpu_ring *ring;
};

static inline int hello(int fd, const struct vg_sock_hello *h, struct channel *ch)
{
	struct vg_sock_welcome welcome = { 0 };
	int fds[3], n;

	assert_int_equal(vg_send_fds(fd, h, sizeof(*h), NULL, 0), 0);
	n = vg_recv_fds(fd, &welcome, sizeof(welcome), fds, 3);
	assert_true(n >= 0);
	if (welcome.status) {
		assert_int_equal(n, 0);
		return -(int)welcome.status;
	}
	assert_int_equal(n, 3);
	ch->sock = fd;
	ch->memory = fds[0];
	ch->bell = fds[1];
	ch->shares = fds[2];
	ch->layout = welcome.layout;
	return 0;
}

static inline struct channel channel_open(void)
{
	struct vg_sock_hello h = good_hello();
	struct channel ch = { 0 };

	assert_int_equal(hello(dial(), &h, &ch), 0);
	ch.base = mmap(NULL, ch.layout.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ch.memory,
		       0);
	assert_ptr_not_equal(ch.base, MAP_FAILED);
	ch.ring = (struct vgpu_ring *)ch.base;
	for (int i = 0; i < 2000 && vg_load_acquire(&ch.ring->host_state) != VGPU_HOST_READY; i++)
		usleep(10000);
	assert_int_equal(ch.ring->host_state, VGPU_HOST_READY);
	return ch;
}

static inline void channel_close(struct channel *ch)
{
	munmap(ch->base, ch->layout.total_bytes);
	close(ch->memory);
	close(ch->bell);
	close(ch->shares);
	close(ch->sock);
}

static inline bool hung_up(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && (p.revents & (POLLHUP | POLLIN));
}

static inline void ring(struct channel *ch)
{
	uint64_t one = 1;

	assert_int_equal(write(ch->bell, &one, sizeof(one)), sizeof(one));
}

static inline struct vgpu_slot *slot_of(struct channel *ch, int slot)
{
	return (struct vgpu_slot *)(ch->base + ch->layout.slot_off) + slot;
}

/* A record without a wait; slot -1: without an answer, too. */
static inline void put(struct channel *ch, uint16_t op, uint32_t ctx, int slot, const void *payload,
		       uint32_t bytes)
{
	struct vgpu_rec rec = { .size = (16 + bytes + 15) & ~15u, .op = op, .tag = ctx,
				.flags = slot < 0 ? 0 : VGPU_REC_REPLY, .slot = slot < 0 ? 0 : slot };
	uint64_t tail = ch->ring->sq_tail;
	uint32_t at = tail & (ch->layout.sq_bytes - 1), left = ch->layout.sq_bytes - at;

	if (left < rec.size) {
		struct vgpu_rec pad = { .size = left };

		memcpy(ch->base + ch->layout.sq_off + at, &pad, sizeof(pad));
		tail += left;
		at = 0;
	}
	for (int i = 0; tail + rec.size - vg_load_acquire64(&ch->ring->sq_head) >
	     ch->layout.sq_bytes; i++) {
		assert_in_range(i, 0, 20000);
		usleep(1000);
	}
	memcpy(ch->base + ch->layout.sq_off + at, &rec, sizeof(rec));
	if (bytes)
		memcpy(ch->base + ch->layout.sq_off + at + sizeof(rec), payload, bytes);
	vg_store_release64(&ch->ring->sq_tail, tail + rec.size);
	ring(ch);
}

#define NO_ANSWER (-1)			/* the executor has ended, or is stuck */

static inline int32_t await(struct channel *ch, int slot, uint32_t was)
{
	struct vgpu_slot *s = slot_of(ch, slot);

	for (int i = 0; vg_load_acquire(&s->done) == was; i++) {
		if (i == 100000 || (i % 1000 == 999 && hung_up(ch->sock, 0)))
			return NO_ANSWER;
		if (i > 1000)
			usleep(200);
	}
	return s->status;
}

/* One answered call in a context; its status, and what came back. */
static inline int32_t call_in(struct channel *ch, uint16_t op, uint32_t ctx, const void *payload,
			      uint32_t bytes, void *reply, uint32_t reply_bytes)
{
	uint32_t was = slot_of(ch, 0)->done;
	int32_t status;

	put(ch, op, ctx, 0, payload, bytes);
	status = await(ch, 0, was);
	if (reply)
		memcpy(reply, slot_of(ch, 0)->payload, reply_bytes);
	return status;
}

static inline int32_t call(struct channel *ch, uint16_t op, const void *payload, uint32_t bytes)
{
	return call_in(ch, op, 0, payload, bytes, NULL, 0);
}

static inline void send_memfd(struct channel *ch, uint32_t token, size_t bytes)
{
	struct vg_sock_share msg = { .size = sizeof(msg), .token = token };
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, bytes), 0);
	assert_int_equal(vg_send_fds(ch->shares, &msg, sizeof(msg), &fd, 1), 0);
	close(fd);
}

#endif /* PEER_H */
