// SPDX-License-Identifier: Apache-2.0
/*
 * Whether an image is as long as its headers say.  The driver is given only an
 * address and believes the headers; a guest must not make it read past the end.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "common/bundle.h"

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

/* What an image begins with; 0 of one that is too short to be any. */
static uint32_t magic_of(const void *image, size_t bytes)
{
	uint32_t magic = 0;

	if (bytes >= sizeof(magic))
		memcpy(&magic, image, sizeof(magic));
	return magic;
}

bool vg_x_image_whole(const void *image, size_t bytes)
{
	uint32_t magic = magic_of(image, bytes);

	if (!magic)
		return false;
	if (magic == VG_FATBIN_MAGIC) {
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
	if (magic == VG_WRAPPER_MAGIC)
		return false;
	return !((const char *)image)[bytes - 1];
}

/* The wrapper that the guest had, with pointers into the bundle; its list is behind it. */
static CUresult unbundle(struct vg_x_image *out, const uint8_t *image, size_t bytes)
{
	const struct vg_bundle *b = (const struct vg_bundle *)image;
	struct vg_wrapper *w;
	const void **list;
	uint64_t at;

	if (bytes < sizeof(*b) || b->count < 2 || b->count > VG_BUNDLE_COUNT_MAX)
		return CUDA_ERROR_INVALID_IMAGE;
	at = vg_bundle_head(b->count);
	if (at > bytes)
		return CUDA_ERROR_INVALID_IMAGE;
	/* The first is not of the list, and leaves its place there to the NULL. */
	w = calloc(1, sizeof(*w) + b->count * sizeof(*list));
	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	list = (const void **)(w + 1);
	*w = (struct vg_wrapper){ VG_WRAPPER_MAGIC, 2, image + at, list };
	*out = (struct vg_x_image){ w, w };
	for (uint32_t i = 0; i < b->count; i++) {
		uint64_t n = b->bytes[i];

		if (n > bytes || !within(at, vg_bundle_round(n), bytes) ||
		    magic_of(image + at, n) != VG_FATBIN_MAGIC ||
		    !vg_x_image_whole(image + at, n)) {
			free(w);
			return CUDA_ERROR_INVALID_IMAGE;
		}
		if (i)
			list[i - 1] = image + at;
		at += vg_bundle_round(n);
	}
	return CUDA_SUCCESS;
}

CUresult vg_x_image_take(struct vg_x_image *out, const void *image, size_t bytes)
{
	*out = (struct vg_x_image){ image, NULL };
	if (magic_of(image, bytes) == VG_BUNDLE_MAGIC)
		return unbundle(out, image, bytes);
	return vg_x_image_whole(image, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

void vg_x_image_drop(struct vg_x_image *image)
{
	free(image->own);
}
