// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzz target: each operation's decoder, and what it calls, with a payload of any bytes.
 * The executor and the driver are those of the decoder test (tests/apigen/decoder_stand_ins.c).
 * Input: which operation (2 bytes), whether handles exist (1 byte), the payload.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "decoder_cases.h"
#include "decoder_stand_ins.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	stand_in_for_driver();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static uint8_t answer[VG_REPLY_MAX] __attribute__((aligned(16)));
	const struct decoder_case *c;
	struct vg_reply rp = { .payload = answer };
	const struct vg_op *op;
	struct vg_req rq;
	uint8_t *payload;
	uint16_t which;

	if (bytes < 3)
		return 0;
	memcpy(&which, data, sizeof(which));
	c = &decoder_cases[which % decoder_case_count];
	op = &vg_ops[c->op];
	handles_exist = data[2] & 1;
	bytes -= 3;
	/* As the executor's loop has it: rounded up to 16, and within the operation's bounds. */
	rq = (struct vg_req){ .op = c->op, .bytes = (bytes + 15) & ~15u };
	if (rq.bytes < op->min_bytes || rq.bytes >= op->max_bytes + 16)
		return 0;
	/* To the byte, so that the sanitizer sees a read past the end. */
	payload = aligned_alloc(16, rq.bytes ? rq.bytes : 16);
	if (!payload)
		return 0;
	memset(payload, 0, rq.bytes);
	memcpy(payload, data + 3, bytes);
	rq.payload = payload;
	op->run(&executor, &rq, &rp);
	free(payload);
	return 0;
}
