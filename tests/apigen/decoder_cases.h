/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder test knows of each operation; generated into decoder_cases.c. */
#ifndef VG_DECODER_CASES_H
#define VG_DECODER_CASES_H

#include <stdint.h>

enum {
	FIELD_END, FIELD_HANDLE, FIELD_COUNT, FIELD_STRING, FIELD_BLOB, FIELD_ARENA, FIELD_PRESENT,
	FIELD_KIND = 0xff,
	FIELD_NULLABLE = 0x100,
};

struct decoder_field {
	uint32_t what;
	uint32_t at;		/* in the request */
	uint64_t maximum;	/* of a count or a length; all bits of `present` */
	uint32_t unit;		/* bytes of payload that one counts for; 0: of the answer */
};

struct decoder_case {
	uint16_t op;
	const char *name;
	uint32_t fixed;		/* bytes of the fixed part */
	uint32_t more;		/* bytes of tails that are always there */
	const struct decoder_field *fields;
};

extern const struct decoder_case decoder_cases[];
extern const unsigned int decoder_case_count;

#endif /* VG_DECODER_CASES_H */
