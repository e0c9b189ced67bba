// SPDX-License-Identifier: Apache-2.0
/*
 * Every operation's decoder against payloads that a hostile guest could send:
 * too short, too long, counts over their maximum, parts that are not there,
 * strings without an end, handles, blobs and arena blocks that do not exist.
 * The driver is a stand-in that answers nothing: a payload that is wrong must not reach it.
 * Of operations that are named on the command line each check is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "decoder_cases.h"
#include "decoder_stand_ins.h"

#define ROOM (64u << 10)

static unsigned int passed, failed;
static const char **told;		/* names of operations */

/* -- requests */

static uint8_t *payload;
static uint8_t answer[VG_REPLY_MAX] __attribute__((aligned(16)));

static void set32(uint32_t at, uint32_t v)
{
	memcpy(payload + at, &v, sizeof(v));
}

/* The smallest request that is well formed; its length. */
static uint32_t smallest(const struct decoder_case *c)
{
	uint32_t bytes = c->fixed + c->more;

	memset(payload, 0, ROOM);
	for (const struct decoder_field *f = c->fields; f->what; f++) {
		switch (f->what & FIELD_KIND) {
		case FIELD_HANDLE:
		case FIELD_BLOB:
			set32(f->at, 77);
			break;
		case FIELD_STRING:
			set32(f->at, 1);
			bytes += 8;
			break;
		case FIELD_PRESENT:
			set32(f->at, f->maximum);
			break;
		}
	}
	return bytes;
}

/* As the executor's loop would run it: the record rounded up, the bounds checked. */
static CUresult run(const struct decoder_case *c, uint32_t bytes)
{
	const struct vg_op *op = &vg_ops[c->op];
	struct vg_req rq = { .op = c->op, .bytes = (bytes + 15) & ~15u, .payload = payload };
	struct vg_reply rp = { .payload = answer };

	reached = 0;
	if (rq.bytes < op->min_bytes || rq.bytes >= op->max_bytes + 16)
		return CUDA_ERROR_INVALID_VALUE;
	return op->run(&executor, &rq, &rp);
}

/* What is wrong with a request, and whether it was refused for that. */
static void expect(const struct decoder_case *c, const char *what, bool ok)
{
	passed += ok;
	failed += !ok;
	if (!ok)
		printf("op %u %s: %s: taken (the driver was called %u times)\n", c->op, c->name,
		       what, reached);
	for (const char **name = told; ok && *name; name++)
		if (!strcmp(*name, c->name))
			printf("op %u %s: %s: refused\n", c->op, c->name, what);
}

static bool refused(CUresult r)
{
	return !reached && (r == CUDA_ERROR_INVALID_VALUE || r == CUDA_ERROR_INVALID_HANDLE ||
			    r == CUDA_ERROR_INVALID_CONTEXT ||
			    r == CUDA_ERROR_CONTEXT_IS_DESTROYED);
}

static void lengths(const struct decoder_case *c)
{
	uint32_t n = smallest(c);

	handles_exist = true;
	if (n)
		expect(c, "a request 16 bytes too short", refused(run(c, n > 16 ? n - 16 : 0)));
	expect(c, "a request 16 bytes too long", refused(run(c, n + 16)));
	expect(c, "a request of 20,000 bytes", refused(run(c, 20000)));
}

static void counts(const struct decoder_case *c)
{
	for (const struct decoder_field *f = c->fields; f->what; f++) {
		uint32_t what = f->what & FIELD_KIND, n = smallest(c);
		uint32_t more = ((f->maximum + 1) * f->unit + 7) & ~7u;

		if (what != FIELD_COUNT && what != FIELD_STRING)
			continue;
		/* Over the maximum, with the bytes to go with it. */
		set32(f->at, f->maximum + 1);
		if (n + more < 32000)
			expect(c, "a count over its maximum", refused(run(c, n + more)));
		set32(f->at, UINT32_MAX);
		expect(c, "a count of 2^32 - 1", refused(run(c, n)));
		if (!f->unit || f->maximum * f->unit < 64)
			continue;
		/* Within the maximum, without the bytes. */
		set32(f->at, f->maximum);
		expect(c, "a part that is not there", refused(run(c, n)));
	}
}

static void strings(const struct decoder_case *c)
{
	for (const struct decoder_field *f = c->fields; f->what; f++) {
		uint32_t n = smallest(c);

		if ((f->what & FIELD_KIND) != FIELD_STRING)
			continue;
		memset(payload + c->fixed, 'x', n - c->fixed);
		expect(c, "a string without an end", refused(run(c, n)));
	}
}

static void handles(const struct decoder_case *c)
{
	bool any = false;
	uint32_t n = smallest(c);

	handles_exist = false;
	for (const struct decoder_field *f = c->fields; f->what; f++) {
		uint32_t what = f->what & FIELD_KIND;

		any |= what == FIELD_HANDLE || what == FIELD_BLOB;
	}
	if (any)
		expect(c, "a handle that does not exist", refused(run(c, n)));
	handles_exist = true;
	for (const struct decoder_field *f = c->fields; f->what; f++) {
		smallest(c);
		if (f->what == FIELD_HANDLE || f->what == FIELD_BLOB) {
			set32(f->at, 0);
			expect(c, "handle 0", refused(run(c, n)));
		} else if (f->what == FIELD_ARENA) {
			set32(f->at, 4000);
			set32(f->at + 4, 4000);
			expect(c, "a block outside the arena", refused(run(c, n)));
		}
	}
}

/* The test itself: a request that is right does reach the driver, or a limit of its own. */
static void sane(const struct decoder_case *c, unsigned int *reaching)
{
	uint32_t n = smallest(c);

	handles_exist = true;
	run(c, n);
	*reaching += reached != 0;
}

int main(int argc, char **argv)
{
	unsigned int reaching = 0;

	(void)argc;
	told = (const char **)argv + 1;
	payload = aligned_alloc(16, ROOM);
	stand_in_for_driver();
	for (unsigned int i = 0; i < decoder_case_count; i++) {
		const struct decoder_case *c = &decoder_cases[i];

		lengths(c);
		counts(c);
		strings(c);
		handles(c);
		sane(c, &reaching);
	}
	/* Hand-written calls look at more than the wire does, and may refuse zeros. */
	if (reaching * 10 < decoder_case_count * 8) {
		failed++;
		printf("only %u of %u right requests reached the driver\n", reaching,
		       decoder_case_count);
	}
	printf("decoders: %u of %u operations reach the driver when right\n", reaching,
	       decoder_case_count);
	printf("decoders: %u checks passed, %u failed\n", passed, failed);
	return failed != 0;
}
