// SPDX-License-Identifier: Apache-2.0
/*
 * Export tables that PyTorch and JAX ask for and of which nothing is known but
 * their size.  They do without the functions, not without the tables.  Each slot
 * is a function of its own, so that VGPU_DEBUG=1 tells which one was called.
 */
#include <stdio.h>
#include <stdlib.h>

#include "export_tables.h"
#include "export_unknown.h"

static CUresult refuse(const char *table, const char *slot)
{
	if (getenv("VGPU_DEBUG"))
		fprintf(stderr, "vgpu: export table %s: slot %s was called\n", table, slot);
	return vg_export_refuse("an export table's function", "nothing is known of it");
}

#define DEFINE(table, slot) \
	static CUresult t##table##_##slot(void) { return refuse(#table, #slot); }
#define DEFINE_9(table, tens) \
	DEFINE(table, tens##1) DEFINE(table, tens##2) DEFINE(table, tens##3) \
	DEFINE(table, tens##4) DEFINE(table, tens##5) DEFINE(table, tens##6) \
	DEFINE(table, tens##7) DEFINE(table, tens##8) DEFINE(table, tens##9)
#define DEFINE_10(table, tens) DEFINE(table, tens##0) DEFINE_9(table, tens)

#define SLOT(table, slot) (void *)t##table##_##slot
#define SLOTS_9(table, tens) \
	SLOT(table, tens##1), SLOT(table, tens##2), SLOT(table, tens##3), \
	SLOT(table, tens##4), SLOT(table, tens##5), SLOT(table, tens##6), \
	SLOT(table, tens##7), SLOT(table, tens##8), SLOT(table, tens##9)
#define SLOTS_10(table, tens) SLOT(table, tens##0), SLOTS_9(table, tens)

DEFINE_9(1734dc26, 0)
DEFINE(1734dc26, 10)
DEFINE(1734dc26, 11)
DEFINE(1734dc26, 12)
DEFINE(1734dc26, 13)
DEFINE(1734dc26, 14)
DEFINE(1734dc26, 15)
DEFINE(1734dc26, 16)

void *const vg_table_1734dc26[17] = {
	(void *)sizeof(vg_table_1734dc26), SLOTS_9(1734dc26, 0), SLOT(1734dc26, 10),
	SLOT(1734dc26, 11), SLOT(1734dc26, 12), SLOT(1734dc26, 13), SLOT(1734dc26, 14),
	SLOT(1734dc26, 15), SLOT(1734dc26, 16),
};

DEFINE_9(69a28e9f, 0)
DEFINE_10(69a28e9f, 1)
DEFINE_10(69a28e9f, 2)
DEFINE(69a28e9f, 30)
DEFINE(69a28e9f, 31)
DEFINE(69a28e9f, 32)
DEFINE(69a28e9f, 33)

void *const vg_table_69a28e9f[34] = {
	(void *)sizeof(vg_table_69a28e9f), SLOTS_9(69a28e9f, 0), SLOTS_10(69a28e9f, 1),
	SLOTS_10(69a28e9f, 2), SLOT(69a28e9f, 30), SLOT(69a28e9f, 31), SLOT(69a28e9f, 32),
	SLOT(69a28e9f, 33),
};
