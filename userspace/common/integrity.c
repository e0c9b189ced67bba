// SPDX-License-Identifier: Apache-2.0
/*
 * The answer to the runtime's integrity check: how stock cudart makes sure, at
 * its start, that the driver is one it knows.
 *
 * It is an HMAC (RFC 2104) over MD2 (RFC 1319) of what the driver says
 * elsewhere: versions, the process and thread, the addresses of the tables,
 * the time, and each device's UUID and place on the bus.  So it has to be
 * computed in the process, from the same values that the shim reports.  The
 * key and the order of the fields are as the ZLUDA project documents them
 * (dark_api, MIT or Apache-2.0).
 *
 * The check exists to notice a driver other than NVIDIA's.  This one stands
 * before NVIDIA's own driver on NVIDIA's hardware, and forwards to it.  Whoever
 * ships the library decides whether to build this file: with INTEGRITY=n the
 * table is absent, and programs on stock cudart do not start.
 */
#include "integrity.h"

#include <string.h>

#define BLOCK 16

static const uint8_t pi[256] = {
	41, 46, 67, 201, 162, 216, 124, 1, 61, 54, 84, 161, 236, 240, 6, 19,
	98, 167, 5, 243, 192, 199, 115, 140, 152, 147, 43, 217, 188, 76, 130, 202,
	30, 155, 87, 60, 253, 212, 224, 22, 103, 66, 111, 24, 138, 23, 229, 18,
	190, 78, 196, 214, 218, 158, 222, 73, 160, 251, 245, 142, 187, 47, 238, 122,
	169, 104, 121, 145, 21, 178, 7, 63, 148, 194, 16, 137, 11, 34, 95, 33,
	128, 127, 93, 154, 90, 144, 50, 39, 53, 62, 204, 231, 191, 247, 151, 3,
	255, 25, 48, 179, 72, 165, 181, 209, 215, 94, 146, 42, 172, 86, 170, 198,
	79, 184, 56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4, 241,
	69, 157, 112, 89, 100, 113, 135, 32, 134, 91, 207, 101, 230, 45, 168, 2,
	27, 96, 37, 173, 174, 176, 185, 246, 28, 70, 97, 105, 52, 64, 126, 15,
	85, 71, 163, 35, 221, 81, 175, 58, 195, 92, 249, 206, 186, 197, 234, 38,
	44, 83, 13, 110, 133, 40, 132, 9, 211, 223, 205, 244, 65, 129, 77, 82,
	106, 220, 55, 200, 108, 193, 171, 250, 36, 225, 123, 8, 12, 189, 177, 74,
	120, 136, 149, 139, 227, 99, 232, 109, 233, 203, 213, 254, 59, 0, 29, 57,
	242, 239, 183, 14, 102, 88, 208, 228, 166, 119, 114, 248, 235, 117, 75, 10,
	49, 68, 80, 180, 143, 237, 31, 26, 219, 153, 141, 51, 159, 17, 131, 20
};

static const uint8_t key[BLOCK] = {
	0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52,
	0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f,
};

/* RFC 1319, section 3; state is X, of which the first block is the digest. */
struct md2 {
	uint8_t state[3 * BLOCK];
	uint8_t checksum[BLOCK];
	uint8_t block[BLOCK];
	unsigned int fill;
};

static void md2_block(struct md2 *m)
{
	uint8_t last = m->checksum[BLOCK - 1];
	uint8_t t = 0;

	for (int i = 0; i < BLOCK; i++) {
		m->checksum[i] ^= pi[m->block[i] ^ last];
		last = m->checksum[i];
		m->state[BLOCK + i] = m->block[i];
		m->state[2 * BLOCK + i] = m->block[i] ^ m->state[i];
	}
	for (int round = 0; round < 18; round++) {
		for (int i = 0; i < 3 * BLOCK; i++) {
			m->state[i] ^= pi[t];
			t = m->state[i];
		}
		t += round;
	}
	m->fill = 0;
}

static void md2_add(struct md2 *m, const void *data, size_t bytes)
{
	const uint8_t *in = data;

	while (bytes--) {
		m->block[m->fill++] = *in++;
		if (m->fill == BLOCK)
			md2_block(m);
	}
}

static void md2_end(struct md2 *m, uint8_t digest[BLOCK])
{
	uint8_t pad = BLOCK - m->fill;
	uint8_t sum[BLOCK];

	for (int i = pad; i; i--)
		md2_add(m, &pad, 1);
	memcpy(sum, m->checksum, sizeof(sum));
	md2_add(m, sum, sizeof(sum));
	memcpy(digest, m->state, BLOCK);
}

void vg_md2(const void *data, size_t bytes, uint8_t digest[16])
{
	struct md2 m = { 0 };

	md2_add(&m, data, bytes);
	md2_end(&m, digest);
}

static void hmac_key(struct md2 *m, uint8_t mask)
{
	uint8_t block[BLOCK];

	for (int i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ mask;
	md2_add(m, block, sizeof(block));
}

void vg_integrity_answer(const struct vg_integrity *in, const struct vg_integrity_device *devices,
			 unsigned int count, uint64_t out[2])
{
	struct md2 inner = { 0 }, outer = { 0 };
	uint8_t digest[BLOCK];

	/* Two of the versions asked for have fixed answers. */
	if (in->version % 10 < 2) {
		out[0] = in->version % 10 ? 0x1841181c03cb675c : 0x3341181c03cb675c;
		out[1] = 0x8ed383aa1f4cd1e8;
		return;
	}
	hmac_key(&inner, 0x36);
	md2_add(&inner, in, sizeof(*in));
	md2_add(&inner, devices, count * sizeof(*devices));
	md2_end(&inner, digest);
	hmac_key(&outer, 0x5c);
	md2_add(&outer, digest, sizeof(digest));
	md2_end(&outer, (uint8_t *)out);
}
