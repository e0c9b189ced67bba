// SPDX-License-Identifier: Apache-2.0
/*
 * Timing for profilers, from a hostile program: records that ask to be timed without any reason,
 * with nothing in them, by the ten thousand; and questions with odd numbers.
 * Needs a mediator at VGPU_TRANSPORT=unix:PATH.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/ops_internal.h"
#include "cuda_abi.h"
#include "peer.h"
#include "vg_wire.h"

static struct channel ch;

/* A record with these flags, as it is; its answer, if it asks for one. */
static int32_t send_raw(uint16_t op, uint16_t flags, const void *payload, uint32_t bytes)
{
	struct vgpu_rec rec = { .size = (16 + bytes + 15) & ~15u, .op = op, .flags = flags };
	uint64_t tail = ch.ring->sq_tail;
	uint32_t at = tail & (ch.layout.sq_bytes - 1), left = ch.layout.sq_bytes - at;
	uint32_t was = slot_of(&ch, 0)->done;

	if (left < rec.size) {
		struct vgpu_rec pad = { .size = left };

		memcpy(ch.base + ch.layout.sq_off + at, &pad, sizeof(pad));
		tail += left;
		at = 0;
	}
	while (tail + rec.size - vg_load_acquire64(&ch.ring->sq_head) > ch.layout.sq_bytes)
		usleep(100);
	memcpy(ch.base + ch.layout.sq_off + at, &rec, sizeof(rec));
	if (bytes)
		memcpy(ch.base + ch.layout.sq_off + at + sizeof(rec), payload, bytes);
	vg_store_release64(&ch.ring->sq_tail, tail + rec.size);
	ring(&ch);
	return flags & VGPU_REC_REPLY ? await(&ch, 0, was) : 0;
}

static int32_t timed_nop(uint32_t tag, uint16_t more)
{
	const struct vg_timed t = { .tag = tag };

	return send_raw(VG_OP_NOP, VGPU_REC_TIMED | more, &t, sizeof(t));
}

static int32_t timing(uint32_t on)
{
	struct vg_rq_vgpu_timing q = { .on = on };

	return call(&ch, VG_OP_vgpu_timing, &q, sizeof(q));
}

static struct {
	struct vg_rp_vgpu_timing_take head;
	vgpu_span spans[160];
} answer;

static int32_t take(uint32_t fresh, uint32_t most)
{
	struct vg_rq_vgpu_timing_take q = { .fresh = fresh, .most = most };

	memset(&answer, 0, sizeof(answer));
	return call_in(&ch, VG_OP_vgpu_timing_take, 0, &q, sizeof(q), &answer, sizeof(answer));
}

static int start(void **state)
{
	(void)state;
	ch = channel_open();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	/* It has lived through it. */
	assert_int_equal(call(&ch, VG_OP_NOP, NULL, 0), CUDA_SUCCESS);
	channel_close(&ch);
	return 0;
}

static void odd_flags(void **state)
{
	(void)state;
	/* There is no room for the tag. */
	assert_int_equal(send_raw(VG_OP_NOP, VGPU_REC_REPLY | VGPU_REC_TIMED, NULL, 0),
			 CUDA_ERROR_INVALID_VALUE);
	send_raw(VG_OP_NOP, VGPU_REC_TIMED, NULL, 0);
	for (uint16_t flag = VGPU_REC_TIMED << 1; flag; flag <<= 1)
		assert_int_equal(timed_nop(1, VGPU_REC_REPLY | flag), CUDA_ERROR_INVALID_VALUE);
}

static void not_enabled(void **state)
{
	(void)state;
	assert_int_equal(timed_nop(1, VGPU_REC_REPLY), CUDA_SUCCESS);
	for (uint32_t i = 0; i < 1000; i++)
		timed_nop(i, 0);
	assert_int_equal(take(VG_TIMING_WAIT, 160), CUDA_SUCCESS);
	assert_int_equal(answer.head.count, 0);
	assert_int_equal(answer.head.lost, 0);
	assert_int_equal(timing(0), CUDA_SUCCESS);
}

static void odd_questions(void **state)
{
	(void)state;
	assert_int_equal(timing(2), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(timing(~0u), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(call(&ch, VG_OP_vgpu_timing, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(timing(1), CUDA_SUCCESS);
	assert_int_equal(timing(1), CUDA_SUCCESS);
	assert_int_equal(take(0, 161), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(take(0, ~0u), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(take(3, 160), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(take(~0u, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(take(VG_TIMING_LOOK, 0), CUDA_SUCCESS);
	assert_int_equal(answer.head.count, 0);
}

/* Any tag comes back, and any record has a span, which says why it has no times. */
static void spans(void **state)
{
	const struct vg_timed t = { .tag = 0xffffffff, .reserved = { 1, 2, 3 } };

	(void)state;
	assert_int_equal(timing(1), CUDA_SUCCESS);
	assert_int_equal(timed_nop(0, VGPU_REC_REPLY), CUDA_SUCCESS);
	assert_int_equal(send_raw(4000, VGPU_REC_REPLY | VGPU_REC_TIMED, &t, sizeof(t)),
			 CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(take(VG_TIMING_WAIT, 160), CUDA_SUCCESS);
	assert_int_equal(answer.head.count, 2);
	assert_int_equal(answer.spans[0].tag, 0);
	assert_int_equal(answer.spans[0].flags, VG_SPAN_NOTHING);
	assert_int_equal(answer.spans[1].tag, 0xffffffff);
	assert_int_equal(answer.spans[1].flags, VG_SPAN_FAILED);
	assert_int_equal(timing(0), CUDA_SUCCESS);
	assert_int_equal(take(VG_TIMING_KNOWN, 160), CUDA_SUCCESS);
	assert_int_equal(answer.head.count, 0);
}

/* Many that nobody takes: the oldest go, and are counted. */
static void flood(void **state)
{
	const uint32_t many = 100000;
	uint64_t lost = 0;
	uint32_t got = 0, last = 0;

	(void)state;
	assert_int_equal(timing(1), CUDA_SUCCESS);
	for (uint32_t i = 1; i <= many; i++)
		timed_nop(i, 0);
	do {
		assert_int_equal(take(VG_TIMING_KNOWN, 160), CUDA_SUCCESS);
		lost += answer.head.lost;
		for (uint32_t i = 0; i < answer.head.count; i++) {
			assert_true(answer.spans[i].tag > last);
			last = answer.spans[i].tag;
		}
		got += answer.head.count;
	} while (answer.head.count);
	assert_int_equal(got + lost, many);
	assert_int_equal(last, many);
	assert_true(lost > 0 && got >= 10000);
}

static void on_and_off(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		assert_int_equal(timing(1), CUDA_SUCCESS);
		timed_nop(i, 0);
		assert_int_equal(timing(0), CUDA_SUCCESS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(odd_flags, start, stop),
		cmocka_unit_test_setup_teardown(not_enabled, start, stop),
		cmocka_unit_test_setup_teardown(odd_questions, start, stop),
		cmocka_unit_test_setup_teardown(spans, start, stop),
		cmocka_unit_test_setup_teardown(flood, start, stop),
		cmocka_unit_test_setup_teardown(on_and_off, start, stop),
	};

	if (!peer_path())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
