// SPDX-License-Identifier: Apache-2.0
/*
 * How long a module image is.  cuModuleLoadData() is given a bare address, and
 * the image has to cross: ELF says its length in its headers, a fatbin in its
 * own header, PTX ends with a NUL.
 */
#include <elf.h>

#include "shim.h"

#define WRAPPER_MAGIC	0x466243b1u	/* what nvcc leaves in .nvFatBinSegment */
#define FATBIN_MAGIC	0xba55ed50u

struct wrapper {
	uint32_t magic, version;
	const void *data;
	const void *more;		/* version 2: what `data` has been linked of */
};

struct fatbin {
	uint32_t magic;
	uint16_t version, header_bytes;
	uint64_t payload_bytes;
};

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static size_t elf_bytes(const Elf64_Ehdr *e)
{
	const uint8_t *base = (const uint8_t *)e;
	uint64_t end = sizeof(*e);

	end = most(end, e->e_phoff + (uint64_t)e->e_phnum * e->e_phentsize);
	end = most(end, e->e_shoff + (uint64_t)e->e_shnum * e->e_shentsize);
	for (unsigned int i = 0; i < e->e_shnum && e->e_shentsize >= sizeof(Elf64_Shdr); i++) {
		Elf64_Shdr s;

		memcpy(&s, base + e->e_shoff + (uint64_t)i * e->e_shentsize, sizeof(s));
		if (s.sh_type != SHT_NOBITS)
			end = most(end, s.sh_offset + s.sh_size);
	}
	for (unsigned int i = 0; i < e->e_phnum && e->e_phentsize >= sizeof(Elf64_Phdr); i++) {
		Elf64_Phdr p;

		memcpy(&p, base + e->e_phoff + (uint64_t)i * e->e_phentsize, sizeof(p));
		end = most(end, p.p_offset + p.p_filesz);
	}
	return end;
}

CUresult vg_image(const void *image, const void **start, size_t *bytes)
{
	uint32_t magic;

	if (!image)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&magic, image, sizeof(magic));
	if (magic == WRAPPER_MAGIC) {
		struct wrapper w;

		memcpy(&w, image, sizeof(w));
		if (!w.data || (const uint8_t *)w.data == image)
			return CUDA_ERROR_INVALID_IMAGE;
		image = w.data;
		memcpy(&magic, image, sizeof(magic));
		if (magic == WRAPPER_MAGIC)
			return CUDA_ERROR_INVALID_IMAGE;
	}
	*start = image;
	if (magic == FATBIN_MAGIC) {
		struct fatbin f;

		memcpy(&f, image, sizeof(f));
		*bytes = f.header_bytes + f.payload_bytes;
		return f.payload_bytes > (1ull << 32) ? CUDA_ERROR_INVALID_IMAGE : CUDA_SUCCESS;
	}
	if (!memcmp(image, ELFMAG, SELFMAG)) {
		const Elf64_Ehdr *e = image;

		if (e->e_ident[EI_CLASS] != ELFCLASS64)
			return CUDA_ERROR_INVALID_IMAGE;
		*bytes = elf_bytes(e);
		return CUDA_SUCCESS;
	}
	*bytes = strlen(image) + 1;		/* PTX */
	return CUDA_SUCCESS;
}
