// SPDX-License-Identifier: Apache-2.0
/*
 * The Unix socket's protocol and the ring behind it, from a hostile program.
 * Needs a mediator at VGPU_TRANSPORT=unix:PATH.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ops_internal.h"
#include "peer.h"

static void bad_hellos(void **state)
{
	struct vg_sock_hello h;
	struct channel ch;

	(void)state;
#define REFUSED(field, value, error)                                    \
	do {                                                            \
		int fd_ = dial();                                       \
		h = good_hello();                                       \
		h.field = (value);                                      \
		assert_int_equal(hello(fd_, &h, &ch), -(error));        \
		assert_true(hung_up(fd_, 10000));                       \
		close(fd_);                                             \
	} while (0)
	REFUSED(size, 0, EPROTO);
	REFUSED(size, 4096, EPROTO);
	REFUSED(abi, VG_SOCK_ABI + 1, EPROTO);
	REFUSED(reserved, 1, EPROTO);
	REFUSED(settings, ~0ull, EPROTO);
	REFUSED(settings, 1ull << 63, EPROTO);
	REFUSED(sq_bytes, 0, EINVAL);
	REFUSED(sq_bytes, VGPU_SQ_MIN + 1, EINVAL);
	REFUSED(sq_bytes, ~0u, EINVAL);
	REFUSED(slot_count, 0, EINVAL);
	REFUSED(slot_count, ~0u, EINVAL);
	REFUSED(arena_bytes, 0, EINVAL);
	REFUSED(arena_bytes, 4097, EINVAL);
	REFUSED(arena_bytes, ~0u & ~4095u, EINVAL);
#undef REFUSED
}

/* Messages of another length, descriptors that nobody asked for, silence. */
static void odd_messages(void **state)
{
	struct vg_sock_hello h = good_hello();
	struct vg_sock_welcome welcome;
	char big[8192] = { 0 };
	int fd, fds[4] = { 0, 1, 2, 0 }, ret;
	static const size_t lengths[] = { 1, 4, sizeof(h) - 1, sizeof(h) + 1, sizeof(big) };

	(void)state;
	memcpy(big, &h, sizeof(h));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		fd = dial();
		assert_int_equal(vg_send_fds(fd, big, lengths[i], NULL, 0), 0);
		assert_int_equal(vg_recv_fds(fd, &welcome, sizeof(welcome), NULL, 0), 0);
		assert_int_equal(welcome.status, EBADMSG);
		close(fd);
	}
	fd = dial();
	ret = vg_send_fds(fd, &h, sizeof(h), fds, 4);
	/* The kernel refuses them itself from Linux 6.16 on. */
	if (ret != -EPERM) {
		assert_int_equal(ret, 0);
		assert_int_equal(vg_recv_fds(fd, &welcome, sizeof(welcome), NULL, 0), 0);
		assert_int_equal(welcome.status, EBADMSG);
	}
	close(fd);
	/* One that says nothing holds nobody up. */
	fd = dial();
	for (int i = 0; i < 3; i++) {
		struct channel ch = channel_open();

		channel_close(&ch);
	}
	close(fd);
}

/* An executor must not fault because its program cut the memory short. */
static void memory_is_sealed(void **state)
{
	struct channel ch = channel_open();

	(void)state;
	assert_int_equal(ftruncate(ch.memory, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(ch.memory, 1 << 30), -1);
	assert_int_equal(fcntl(ch.memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
	channel_close(&ch);
}

static void submit(struct channel *ch, const struct vgpu_rec *rec, uint64_t tail)
{
	memcpy(ch->base + ch->layout.sq_off, rec, sizeof(*rec));
	vg_store_release64(&ch->ring->sq_tail, tail);
	ring(ch);
}

static void ring_abuse(void **state)
{
	static const struct {
		struct vgpu_rec rec;
		uint64_t tail;
	} bad[] = {
		{ { .size = 0, .op = 3 }, 16 }, { { .size = 8, .op = 3 }, 16 },
		{ { .size = 24, .op = 3 }, 32 }, { { .size = 64, .op = 3 }, 16 },
		{ { .size = VGPU_REC_MAX + 16, .op = 3 }, VGPU_REC_MAX + 16 },
		{ { .size = ~15u, .op = 0 }, 16 }, { { .size = 16, .op = 3 }, 8 },
		{ { .size = 16, .op = 3 }, 1ull << 63 }, { { .size = 16, .op = 3 }, ~0ull },
		/* Slots that there are not: nobody could be answered. */
		{ { .size = 16, .op = 3, .flags = VGPU_REC_REPLY, .slot = 4 }, 16 },
		{ { .size = 16, .op = 3, .flags = VGPU_REC_REPLY, .slot = ~0u }, 16 },
		{ { .size = 16, .op = 999, .flags = ~0, .slot = 4 }, 16 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct channel ch = channel_open();

		submit(&ch, &bad[i].rec, bad[i].tail);
		assert_true(hung_up(ch.sock, 20000));
		channel_close(&ch);
	}
}

/* Every opcode with a payload of noise: each is answered, none takes it down. */
static void opcode_noise(void **state)
{
	struct channel ch = channel_open();
	struct vgpu_slot *slot = (struct vgpu_slot *)(ch.base + ch.layout.slot_off);
	uint32_t done = 0, size = 16 + 512;
	uint64_t tail = 0;

	(void)state;
	srandom(1);
	for (uint32_t op = 1; op < 2048; op++) {
		struct vgpu_rec rec = { .size = size, .op = op, .flags = VGPU_REC_REPLY,
					.tag = random() % 3 };
		uint32_t at = tail & (ch.layout.sq_bytes - 1);

		if (op == 4)
			continue;	/* EXIT: the executor does as it is told */
		if (ch.layout.sq_bytes - at < size) {
			struct vgpu_rec pad = { .size = ch.layout.sq_bytes - at };

			memcpy(ch.base + ch.layout.sq_off + at, &pad, sizeof(pad));
			tail += pad.size;
			at = 0;
		}
		memcpy(ch.base + ch.layout.sq_off + at, &rec, sizeof(rec));
		for (uint32_t i = 16; i < size; i++)
			ch.base[ch.layout.sq_off + at + i] = random() >> 8;
		tail += size;
		vg_store_release64(&ch.ring->sq_tail, tail);
		ring(&ch);
		for (int i = 0; i < 200000 && vg_load_acquire(&slot->done) == done; i++) {
			if (i > 1000)
				usleep(100);
			if (i % 1000 == 999 && hung_up(ch.sock, 0))
				fail_msg("op %u ended the executor", op);
		}
		if (vg_load_acquire(&slot->done) == done)
			fail_msg("op %u was not answered", op);
		done = slot->done;
	}
	channel_close(&ch);
}

/* A slot that says nonsense, a guest that rewrites what it has sent. */
static void shared_words_change(void **state)
{
	struct channel ch = channel_open();
	struct vgpu_slot *slot = (struct vgpu_slot *)(ch.base + ch.layout.slot_off);
	struct vgpu_rec rec = { .size = 16, .op = 3, .flags = VGPU_REC_REPLY };

	(void)state;
	memset(slot, 0xff, sizeof(*slot));
	slot->done = 0;
	ch.ring->host_parked = 77;
	ch.ring->sq_head = ~0ull;
	ch.ring->space_wanted = ~0u;
	submit(&ch, &rec, 16);
	for (int i = 0; i < 2000 && !vg_load_acquire(&slot->done); i++)
		usleep(10000);
	assert_int_equal(slot->status, 0);
	assert_int_equal(vg_load_acquire64(&ch.ring->sq_head), 16);
	channel_close(&ch);
}

/* Memory to be mapped at addresses that a hostile program would choose. */
static void shares(void **state)
{
	struct channel ch = channel_open();
	const uint64_t va = 0x7e0000000000;
	static const struct vg_share_map bad[] = {
		{ .va = 0, .bytes = 4096, .token = 1 },
		{ .va = 0x7e0000000000, .bytes = 0, .token = 1 },
		{ .va = 0x7e0000000000, .bytes = 4095, .token = 1 },
		{ .va = 0x7e0000000001, .bytes = 4096, .token = 1 },
		{ .va = 0x1000, .bytes = 4096, .token = 1 },
		{ .va = 1ull << 47, .bytes = 4096, .token = 1 },
		{ .va = ~4095ull, .bytes = 4096, .token = 1 },
		{ .va = 0x7e0000000000, .bytes = ~4095ull, .token = 1 },
	};
	struct vg_share_map map = { .va = va, .bytes = 8192, .token = 7 };
	struct vg_share_unmap unmap = { .va = va, .bytes = 8192 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(call(&ch, VG_OP_SHARE, &bad[i], sizeof(bad[i])), 0);

	map.token = 99;			/* never sent */
	assert_int_not_equal(call(&ch, VG_OP_SHARE, &map, sizeof(map)), 0);
	map.token = 7;
	send_memfd(&ch, 6, 8192);	/* not asked for until later */
	send_memfd(&ch, 7, 8192);
	assert_int_equal(call(&ch, VG_OP_SHARE, &map, sizeof(map)), 0);
	send_memfd(&ch, 8, 8192);
	map.token = 8;			/* where something is already */
	assert_int_not_equal(call(&ch, VG_OP_SHARE, &map, sizeof(map)), 0);
	assert_int_equal(call(&ch, VG_OP_UNSHARE, &unmap, sizeof(unmap)), 0);
	map.token = 6;
	assert_int_equal(call(&ch, VG_OP_SHARE, &map, sizeof(map)), 0);
	unmap.bytes = ~0ull;
	assert_int_not_equal(call(&ch, VG_OP_UNSHARE, &unmap, sizeof(unmap)), 0);
	channel_close(&ch);
}

static void many_programs(void **state)
{
	pid_t pid[6];
	int status;

	(void)state;
	for (int i = 0; i < 6; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			for (int j = 0; j < 5; j++) {
				struct channel ch = channel_open();

				channel_close(&ch);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 6; i++) {
		waitpid(pid[i], &status, 0);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_hellos),	      cmocka_unit_test(odd_messages),
		cmocka_unit_test(memory_is_sealed),   cmocka_unit_test(ring_abuse),
		cmocka_unit_test(opcode_noise),	      cmocka_unit_test(shared_words_change),
		cmocka_unit_test(many_programs),      cmocka_unit_test(shares),
	};

	if (!peer_path())
		return 2;
	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
