// SPDX-License-Identifier: Apache-2.0
/*
 * The program that boots a guest which can wake up from suspend to RAM.
 *
 * QEMU writes what -kernel names into memory again at each reset, also at the one with
 * which a VM wakes up from S3: a running kernel would be overwritten by what it was
 * before it booted.  An initrd is written once.  So -kernel names this program, and the
 * kernel lies in the initrd, in front of the initramfs.  This program itself may be
 * written again, because Linux keeps the first MiB for the firmware.
 *
 * The initrd: a page with the kernel's size in pages, as decimal text; the kernel, an
 * ELF file; the initramfs.  Each begins on a page.
 *
 * It is entered and enters the kernel as PVH says: 32 bits, no paging, the address of
 * struct start_info in ebx (Xen's include/public/arch-x86/hvm/start_info.h).
 */
#include <stdint.h>

#define PAGE	     4096u
#define PT_LOAD	     1
#define PT_NOTE	     4
#define XEN	     0x006e6558 /* the name of a note: "Xen" */
#define PHYS32_ENTRY 18		/* its type: the address at which PVH enters */

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list;
};

struct module {
	uint64_t start, bytes;
};

struct elf {
	uint8_t ident[32];
	uint64_t parts; /* e_phoff */
	uint8_t skipped[16];
	uint16_t count; /* e_phnum */
};

struct part {
	uint32_t type, flags;
	uint64_t offset, virtual, physical, in_file, in_memory, align;
};

struct note {
	uint32_t name_bytes, value_bytes, type, name;
};

/* A struct note with its value tells QEMU where to enter. */
__asm__("	.pushsection .note.pvh, \"a\", @note\n"
	"	.long	4, 4, 18, 0x006e6558, start\n"
	"	.popsection\n"
	"	.globl	start\n"
	"start:	cld\n"
	"	mov	$stack + 1024, %esp\n"
	"	push	%ebx\n"
	"	call	load\n"
	"	pop	%ebx\n"
	"	jmp	*%eax\n");

static __attribute__((used)) char stack[1024];

static void copy(uint32_t to, const char *from, uint32_t bytes)
{
	uint32_t words = bytes / 4;

	bytes %= 4;
	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static void clear(uint32_t to, uint32_t bytes)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(0) : "memory");
}

static uint32_t entry_of(const char *notes, uint32_t bytes)
{
	const char *end = notes + bytes;

	while (notes < end) {
		const struct note *note = (const void *)notes;
		const char *value = notes + 12 + ((note->name_bytes + 3) & ~3u);

		if (note->name == XEN && note->type == PHYS32_ENTRY)
			return *(const uint32_t *)value;
		notes = value + ((note->value_bytes + 3) & ~3u);
	}
	return 0;
}

/* Put the kernel in its place, and leave the initramfs as the initrd; its entry. */
uint32_t load(struct start_info *info)
{
	struct module *initrd = (void *)(uint32_t)info->module_list;
	const char *size = (void *)(uint32_t)initrd->start, *kernel = size + PAGE;
	const struct elf *elf = (const void *)kernel;
	const struct part *part = (const void *)(kernel + (uint32_t)elf->parts);
	uint32_t pages = 0, entry = 0, i;

	for (; *size >= '0' && *size <= '9'; size++)
		pages = pages * 10 + *size - '0';
	for (i = 0; i < elf->count; i++, part++) {
		uint32_t to = part->physical, bytes = part->in_file;
		const char *from = kernel + (uint32_t)part->offset;

		if (part->type == PT_NOTE && !entry)
			entry = entry_of(from, bytes);
		if (part->type == PT_LOAD) {
			copy(to, from, bytes);
			clear(to + bytes, part->in_memory - bytes);
		}
	}
	initrd->start += (1 + pages) * PAGE;
	initrd->bytes -= (1 + pages) * PAGE;
	return entry;
}
