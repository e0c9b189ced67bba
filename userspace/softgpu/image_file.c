// SPDX-License-Identifier: Apache-2.0
/*
 * What a program hands over as a module: PTX text, a fat binary with PTX in it, or machine code,
 * which is of no use here. Fat binary layout: a header, then entries of a header and a payload.
 */
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "api.h"

#define WRAPPER_MAGIC 0x466243b1u
#define FATBIN_MAGIC 0xba55ed50u
#define ELF_MAGIC 0x464c457fu

struct wrapper {
	uint32_t magic, version;
	const void *data;
	const void *const *list;	/* version 2: what `data` has been linked of, and a NULL */
};

struct fatbin {
	uint32_t magic;
	uint16_t version, header_size;
	uint64_t size;		/* of all entries */
};

#define FATBIN_MAX (8ull << 30)	/* bytes; a larger size is no size */

#define KIND_PTX 1
#define FLAG_LZ4 0x2000
#define FLAG_ZSTD 0x8000

struct entry {
	uint16_t kind, attr;
	uint32_t header_size;
	uint64_t size;		/* of the payload with its padding */
	uint32_t packed_size, unknown;
	uint16_t minor, major;
	uint32_t arch;
	uint32_t name_offset, name_size;
	uint64_t flags, zero;
	uint64_t full_size;	/* unpacked */
} __attribute__((packed));

#define TEXT_MAX (1u << 30)

static CUresult unpack(const struct entry *e, char **text, size_t *len)
{
	const char *payload = (const char *)e + e->header_size;
	uint64_t full = e->size;
	char *out;
	size_t got;

	if (e->flags & (FLAG_LZ4 | FLAG_ZSTD)) {
		full = e->full_size;
		/* The payload is as long as the entry says, whatever is packed in it. */
		if (e->packed_size > e->size)
			return CUDA_ERROR_INVALID_IMAGE;
	}
	if (full > TEXT_MAX || e->packed_size > TEXT_MAX)
		return CUDA_ERROR_INVALID_IMAGE;
	out = malloc(full + 1);
	if (!out)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (e->flags & FLAG_ZSTD) {
		got = ZSTD_decompress(out, full, payload, e->packed_size);
		if (ZSTD_isError(got))
			got = 0;
	} else if (e->flags & FLAG_LZ4) {
		int n = LZ4_decompress_safe(payload, out, e->packed_size, full);

		got = n > 0 ? n : 0;
	} else {
		memcpy(out, payload, full);
		got = full;
	}
	if (!got) {
		free(out);
		return CUDA_ERROR_INVALID_IMAGE;
	}
	out[got] = 0;
	*text = out;
	*len = strlen(out);
	return CUDA_SUCCESS;
}

/*
 * The newest PTX that a device of capability 9.0 may take.  `most`: bytes that there are,
 * where that is known; CUDA's own interface has no length.
 */
static CUresult from_fatbin(const struct fatbin *f, size_t most, char **text, size_t *len)
{
	const struct entry *best = NULL;
	const char *p, *end;

	if (most < sizeof(*f) || f->header_size < sizeof(*f) || f->header_size > most ||
	    f->size > FATBIN_MAX || f->size > most - f->header_size)
		return CUDA_ERROR_INVALID_IMAGE;
	p = (const char *)f + f->header_size;
	end = p + f->size;
	while (p + sizeof(struct entry) <= end) {
		const struct entry *e = (const struct entry *)p;

		if (e->header_size < sizeof(*e) || e->size > (uint64_t)(end - p) ||
		    e->header_size > (uint64_t)(end - p) - e->size)
			return CUDA_ERROR_INVALID_IMAGE;
		if (e->kind == KIND_PTX && e->arch <= 90 && (!best || e->arch > best->arch))
			best = e;
		p += e->header_size + e->size;
	}
	return best ? unpack(best, text, len) : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

CUresult sg_append_text(char **text, size_t *len, const char *more, size_t n)
{
	char *all = realloc(*text, *len + n + 2);

	if (!all)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(all + *len, more, n);
	*len += n;
	all[(*len)++] = '\n';
	all[*len] = 0;
	*text = all;
	return CUDA_SUCCESS;
}

/* What nvcc has put together of several files: those of them that have PTX for this device. */
static CUresult from_list(const void *const *list, char **text, size_t *len)
{
	char *one;
	size_t n;

	*text = NULL;
	*len = 0;
	for (; *list; list++) {
		CUresult rc = from_fatbin(*list, SIZE_MAX, &one, &n);

		if (rc == CUDA_ERROR_NO_BINARY_FOR_GPU)
			continue;
		if (!rc) {
			rc = sg_append_text(text, len, one, n);
			free(one);
		}
		if (rc) {
			free(*text);
			*text = NULL;
			return rc;
		}
	}
	return *text ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

/* Machine code, but for what api_link.c has made. */
static CUresult from_elf(const struct sg_elf *e, size_t most, char **text, size_t *len)
{
	size_t n;

	if (most < EI_NIDENT || memcmp(e->head.e_ident, SG_ELF_IDENT, EI_NIDENT))
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	if (most < sizeof(*e) || e->head.e_shoff != offsetof(struct sg_elf, section) ||
	    e->head.e_shnum != 2 || e->head.e_shentsize != sizeof(Elf64_Shdr) ||
	    e->section[1].sh_type != SHT_PROGBITS || e->section[1].sh_offset != sizeof(*e) ||
	    !e->section[1].sh_size || e->section[1].sh_size > most - sizeof(*e))
		return CUDA_ERROR_INVALID_IMAGE;
	n = strnlen(e->text, e->section[1].sh_size);
	*text = malloc(n + 1);
	if (!*text)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(*text, e->text, n);
	(*text)[n] = 0;
	*len = n;
	return CUDA_SUCCESS;
}

CUresult sg_image_text(const void *image, size_t most, char **text, size_t *len)
{
	uint32_t magic;

	memcpy(&magic, image, 4);
	/* A wrapper holds addresses, which a file cannot have. */
	if (magic == WRAPPER_MAGIC && most == SIZE_MAX) {
		const struct wrapper *w = image;
		CUresult r;

		if (!w->data)
			return CUDA_ERROR_INVALID_IMAGE;
		if (w->version == 2 && w->list) {
			r = from_fatbin(w->data, SIZE_MAX, text, len);
			return r == CUDA_ERROR_NO_BINARY_FOR_GPU ? from_list(w->list, text, len) : r;
		}
		image = w->data;
		memcpy(&magic, image, 4);
	}
	if (magic == FATBIN_MAGIC)
		return from_fatbin(image, most, text, len);
	if (magic == ELF_MAGIC)
		return from_elf(image, most, text, len);
	/* text; the version directive is what tells it from anything else */
	*len = strlen(image);
	if (!strstr(image, ".version"))
		return CUDA_ERROR_INVALID_IMAGE;
	*text = strdup(image);
	return *text ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sg_read_file(const char *name, void **data, size_t *bytes)
{
	FILE *f = fopen(name, "rb");
	char *p = NULL;
	size_t n = 0, cap = 0;

	if (!f)
		return CUDA_ERROR_FILE_NOT_FOUND;
	for (;;) {
		size_t got;

		if (cap - n < 4096) {
			char *bigger = realloc(p, (cap = 2 * cap + 8192));

			if (!bigger) {
				free(p);
				fclose(f);
				return CUDA_ERROR_OUT_OF_MEMORY;
			}
			p = bigger;
		}
		got = fread(p + n, 1, cap - n - 8, f);
		if (!got)
			break;
		n += got;
	}
	fclose(f);
	memset(p + n, 0, 8);
	*data = p;
	*bytes = n;
	return CUDA_SUCCESS;
}
