// SPDX-License-Identifier: Apache-2.0
/*
 * Linking.  PTX is linked by putting one text behind the other: a name that one of them
 * declares and another defines is one thing then, and the others are each text's own.  What comes out is an
 * ELF file, as programs expect, that holds the text (image_file.c).
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

struct CUlinkState_st {
	uint32_t magic;
	CUcontext ctx;
	CUlinkState next;
	struct sg_jit_log log;
	char *text;			/* of all inputs */
	size_t len;
	void *cubin;
};

static CUlinkState link_of(CUlinkState l)
{
	return l && l->magic == MAGIC_LINK ? l : NULL;
}

static void link_free(CUlinkState l)
{
	l->magic = 0;
	free(l->text);
	free(l->cubin);
	free(l);
}

SG_API CUresult cuLinkCreate_v2(unsigned int n, CUjit_option *options, void **values,
				CUlinkState *out)
{
	CUlinkState l;

	SG_ENTER(ctx);
	if (!out || (n && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	l->magic = MAGIC_LINK;
	l->ctx = ctx;
	sg_jit_options(&l->log, n, options, values);
	pthread_mutex_lock(&ctx->lock);
	l->next = ctx->links;
	ctx->links = l;
	pthread_mutex_unlock(&ctx->lock);
	*out = l;
	return CUDA_SUCCESS;
}

/* NVIDIA's driver refuses the others for an input: they are of the link, or of NVVM. */
static bool of_input(CUjit_option o)
{
	return o <= CU_JIT_THREADS_PER_BLOCK || o == CU_JIT_OPTIMIZATION_LEVEL ||
	       (o >= CU_JIT_GENERATE_DEBUG_INFO && o <= CU_JIT_FAST_COMPILE) ||
	       (o >= CU_JIT_POSITION_INDEPENDENT_CODE && o < CU_JIT_NUM_OPTIONS);
}

/* Whether it is right by itself; what another text has to define is missing yet. */
static CUresult check(CUlinkState l, const char *text, size_t len, bool partial)
{
	struct sg_error err = { 0 };
	CUresult rc = sg_image_check(text, len, &l->ctx->dev->heap, l->ctx, partial, &err);

	sg_jit_fill(&l->log, NULL, &err);
	return rc;
}

SG_API CUresult cuLinkAddData_v2(CUlinkState l, CUjitInputType type, void *data, size_t bytes,
				 const char *name, unsigned int n, CUjit_option *options,
				 void **values)
{
	char *copy, *text;
	CUresult rc;
	size_t len;

	SG_NEED_INIT();
	(void)name;
	if (!link_of(l) || l->cubin)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!data || !bytes || (n && (!options || !values)) || type >= CU_JIT_NUM_INPUT_TYPES)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n; i++)
		if (!of_input(options[i]))
			return CUDA_ERROR_INVALID_VALUE;
	if (type == CU_JIT_INPUT_LIBRARY || type == CU_JIT_INPUT_NVVM)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Text may come without the NUL at its end. */
	copy = calloc(1, bytes + 8);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(copy, data, bytes);
	rc = sg_image_text(copy, bytes, &text, &len);
	free(copy);
	if (rc)
		return type == CU_JIT_INPUT_PTX ? CUDA_ERROR_INVALID_PTX : rc;
	rc = check(l, text, len, true);
	if (!rc)
		rc = sg_append_text(&l->text, &l->len, text, len);
	free(text);
	return rc;
}

SG_API CUresult cuLinkAddFile_v2(CUlinkState l, CUjitInputType type, const char *path,
				 unsigned int n, CUjit_option *options, void **values)
{
	CUresult rc;
	size_t bytes;
	void *data;

	SG_NEED_INIT();
	if (!link_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_read_file(path, &data, &bytes);
	if (rc)
		return rc;
	rc = cuLinkAddData_v2(l, type, data, bytes, path, n, options, values);
	free(data);
	return rc;
}

SG_API CUresult cuLinkComplete(CUlinkState l, void **cubin, size_t *bytes)
{
	struct sg_elf *elf;
	CUresult rc;

	SG_NEED_INIT();
	if (!link_of(l) || l->cubin)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!cubin)
		return CUDA_ERROR_INVALID_VALUE;
	rc = l->text ? check(l, l->text, l->len, false) : CUDA_ERROR_INVALID_VALUE;
	if (rc)
		return rc;
	elf = calloc(1, sizeof(*elf) + l->len + 1);
	if (!elf)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(elf->head.e_ident, SG_ELF_IDENT, EI_NIDENT);
	elf->head.e_type = ET_EXEC;
	elf->head.e_machine = EM_CUDA;
	elf->head.e_version = EV_CURRENT;
	elf->head.e_ehsize = sizeof(elf->head);
	elf->head.e_shoff = offsetof(struct sg_elf, section);
	elf->head.e_shentsize = sizeof(Elf64_Shdr);
	elf->head.e_shnum = 2;
	elf->section[1] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS, .sh_addralign = 1,
					.sh_offset = sizeof(*elf), .sh_size = l->len + 1 };
	memcpy(elf->text, l->text, l->len);
	l->cubin = elf;
	*cubin = elf;
	if (bytes)
		*bytes = sizeof(*elf) + l->len + 1;
	return CUDA_SUCCESS;
}

SG_API CUresult cuLinkDestroy(CUlinkState l)
{
	SG_NEED_INIT();
	if (!link_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&l->ctx->lock);
	for (CUlinkState *pp = &l->ctx->links; *pp; pp = &(*pp)->next) {
		if (*pp == l) {
			*pp = l->next;
			break;
		}
	}
	pthread_mutex_unlock(&l->ctx->lock);
	link_free(l);
	return CUDA_SUCCESS;
}

/* A context takes its links along. */
void sg_links_gone(CUcontext ctx)
{
	CUlinkState next;

	for (CUlinkState l = ctx->links; l; l = next) {
		next = l->next;
		link_free(l);
	}
	ctx->links = NULL;
}
