// SPDX-License-Identifier: Apache-2.0
/*
 * Whether an image is as long as its headers say.  The driver is given only an
 * address and believes the headers; a guest must not make it read past the end.
 */
#include <elf.h>
#include <string.h>

#include "calls.h"

#define FATBIN_MAGIC 0xba55ed50u

static bool within(uint64_t at, uint64_t n, size_t bytes)
{
	return at <= bytes && n <= bytes - at;
}

static bool elf_whole(const uint8_t *p, size_t bytes)
{
	Elf64_Ehdr e;

	if (bytes < sizeof(e))
		return false;
	memcpy(&e, p, sizeof(e));
	if (e.e_ident[EI_CLASS] != ELFCLASS64 ||
	    !within(e.e_phoff, (uint64_t)e.e_phnum * e.e_phentsize, bytes) ||
	    !within(e.e_shoff, (uint64_t)e.e_shnum * e.e_shentsize, bytes) ||
	    (e.e_shnum && e.e_shentsize < sizeof(Elf64_Shdr)))
		return false;
	for (unsigned int i = 0; i < e.e_shnum; i++) {
		Elf64_Shdr s;

		memcpy(&s, p + e.e_shoff + (uint64_t)i * e.e_shentsize, sizeof(s));
		if (s.sh_type != SHT_NOBITS && !within(s.sh_offset, s.sh_size, bytes))
			return false;
	}
	return true;
}

bool vg_x_image_whole(const void *image, size_t bytes)
{
	uint32_t magic;

	if (bytes < sizeof(magic))
		return false;
	memcpy(&magic, image, sizeof(magic));
	if (magic == FATBIN_MAGIC) {
		uint16_t header;
		uint64_t payload;

		if (bytes < 16)
			return false;
		memcpy(&header, (const uint8_t *)image + 6, sizeof(header));
		memcpy(&payload, (const uint8_t *)image + 8, sizeof(payload));
		return within(header, payload, bytes);
	}
	if (!memcmp(image, ELFMAG, SELFMAG))
		return elf_whole(image, bytes);
	/* A wrapper holds pointers, which mean nothing here; all else is text. */
	if (magic == 0x466243b1u)
		return false;
	return !((const char *)image)[bytes - 1];
}
