// SPDX-License-Identifier: Apache-2.0
/*
 * A module's image as it crosses.  cuModuleLoadData() is given a bare address, so its
 * length has to be found: ELF says it in its headers, a fatbin in its own header, PTX
 * ends with a NUL.  A wrapper of several becomes a bundle.
 */
#include <elf.h>
#include <stdlib.h>

#include "common/bundle.h"
#include "shim.h"

struct fatbin {
	uint32_t magic;
	uint16_t version, header_bytes;
	uint64_t payload_bytes;
};

struct fatbin_entry {			/* as `fatbinary` writes it; the rest is not looked at */
	uint16_t kind, version;
	uint32_t header_bytes;
	uint64_t bytes;			/* of what follows the header */
	uint32_t packed_bytes, unknown;
	uint16_t minor, major;		/* of the format */
	uint32_t arch;			/* 90 for sm_90 and sm_90a */
};

#define FATBIN_ELF	2
#define IMAGE_MAX	(1ull << 32)

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

/* Of what is not wrapped. */
static CUresult length(const void *image, size_t *bytes)
{
	uint32_t magic;

	memcpy(&magic, image, sizeof(magic));
	if (magic == VG_WRAPPER_MAGIC)
		return CUDA_ERROR_INVALID_IMAGE;
	if (magic == VG_FATBIN_MAGIC) {
		struct fatbin f;

		memcpy(&f, image, sizeof(f));
		*bytes = f.header_bytes + f.payload_bytes;
		return f.payload_bytes > IMAGE_MAX ? CUDA_ERROR_INVALID_IMAGE : CUDA_SUCCESS;
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

static bool has_code(const uint8_t *p, const uint8_t *end, uint32_t arch)
{
	struct fatbin_entry e;

	for (; (size_t)(end - p) >= sizeof(e); p += e.header_bytes + e.bytes) {
		memcpy(&e, p, sizeof(e));
		if (e.kind == FATBIN_ELF && e.arch == arch)
			return true;
		if (e.bytes > (uint64_t)(end - p) || e.header_bytes > (uint64_t)(end - p) - e.bytes)
			break;
	}
	return false;
}

/*
 * Whether the linked fat binary is enough, as it is where the program was compiled for
 * the devices there are.  In doubt it is not: that costs time and nothing else.
 */
static bool made_for_all(const void *image)
{
	const uint8_t *p = image;
	struct fatbin f;

	memcpy(&f, image, sizeof(f));
	if (vg_ready() || f.magic != VG_FATBIN_MAGIC)
		return false;
	for (int i = 0; i < vg_device_count; i++) {
		uint32_t arch = 10 * vg_attribute(i, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
				vg_attribute(i, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);

		if (!has_code(p + f.header_bytes, p + f.header_bytes + f.payload_bytes, arch))
			return false;
	}
	return true;
}

static CUresult bundle(const struct vg_wrapper *w, struct vg_image *out)
{
	uint64_t total = 0, at;
	struct vg_bundle *b;
	uint32_t count = 1;
	CUresult r;
	size_t n;

	while (w->list[count - 1])
		if (++count > VG_BUNDLE_COUNT_MAX)
			return CUDA_ERROR_INVALID_IMAGE;
	for (uint32_t i = 0; i < count; i++) {
		r = length(i ? w->list[i - 1] : w->data, &n);
		if (r)
			return r;
		total += vg_bundle_round(n);
	}
	at = vg_bundle_head(count);
	if (total > IMAGE_MAX)
		return CUDA_ERROR_INVALID_IMAGE;
	b = calloc(1, at + total);
	if (!b)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b->magic = VG_BUNDLE_MAGIC;
	b->count = count;
	for (uint32_t i = 0; i < count; i++) {
		const void *piece = i ? w->list[i - 1] : w->data;

		length(piece, &n);
		memcpy((uint8_t *)b + at, piece, n);
		b->bytes[i] = n;
		at += vg_bundle_round(n);
	}
	*out = (struct vg_image){ b, at, b };
	return CUDA_SUCCESS;
}

CUresult vg_image_take(struct vg_image *out, const void *image)
{
	uint32_t magic;

	*out = (struct vg_image){ 0 };
	if (!image)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&magic, image, sizeof(magic));
	if (magic == VG_WRAPPER_MAGIC) {
		struct vg_wrapper w;

		memcpy(&w, image, sizeof(w));
		if (!w.data)
			return CUDA_ERROR_INVALID_IMAGE;
		if (w.version == 2 && w.list && w.list[0] && !made_for_all(w.data))
			return bundle(&w, out);
		image = w.data;
	}
	out->start = image;
	return length(image, &out->bytes);
}

void vg_image_drop(struct vg_image *image)
{
	free(image->own);
}
