/* SPDX-License-Identifier: Apache-2.0 */
/* Export tables of which nothing is known but their size. */
#ifndef VG_EXPORT_UNKNOWN_H
#define VG_EXPORT_UNKNOWN_H

extern void *const vg_table_1734dc26[17];
extern void *const vg_table_69a28e9f[34];

#endif /* VG_EXPORT_UNKNOWN_H */
