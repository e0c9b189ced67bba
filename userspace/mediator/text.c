// SPDX-License-Identifier: Apache-2.0
/*
 * Names that guests give themselves, made fit for a log, a terminal and JSON: valid
 * UTF-8 without control characters.  Any other byte becomes \xNN.
 */
#include <stdio.h>

#include "mediator.h"

/* Bytes of the character at `s`, of `n` that there are; 0 if it is none to be shown. */
static size_t character(const unsigned char *s, size_t n)
{
	size_t bytes = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t code = s[0];

	if (bytes > 1) {
		if (s[0] < 0xc2 || s[0] > 0xf4 || bytes > n)
			return 0;
		code &= 0xff >> (bytes + 1);
		for (size_t i = 1; i < bytes; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3f);
		}
	}
	/* Control characters, overlong forms, surrogates, and what turns a line around. */
	if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (bytes == 3 && code < 0x800) ||
	    (bytes == 4 && (code < 0x10000 || code > 0x10ffff)) ||
	    (code >= 0xd800 && code < 0xe000) || (code >= 0x200b && code <= 0x200f) ||
	    (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
	    code == 0xfeff || (code >= 0xfff0 && code <= 0xffff))
		return 0;
	return bytes;
}

void vg_text_show(char *out, size_t size, const char *in, size_t max)
{
	const unsigned char *s = (const unsigned char *)in;
	size_t at = 0, bytes;

	for (size_t i = 0; i < max && s[i]; i += bytes ? bytes : 1) {
		bytes = character(s + i, max - i);
		if (at + (bytes ? bytes : 4) >= size)
			break;
		if (!bytes)
			at += sprintf(out + at, "\\x%02x", s[i]);
		for (size_t k = 0; k < bytes; k++)
			out[at++] = in[i + k];
	}
	out[at] = '\0';
}
