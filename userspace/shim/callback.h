/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of the program that the executor has run here, by a number that crosses. */
#ifndef VG_CALLBACK_H
#define VG_CALLBACK_H

#include "shim.h"

/* One that will run once; drop it if it has not crossed. */
CUresult vg_callback_new(CUhostFn function, void *data, uint32_t *cookie);
void vg_callback_drop(uint32_t cookie);
/* One that a graph has, which may run any number of times until it is dropped. */
CUresult vg_callback_keep(CUhostFn function, void *data, uint32_t *cookie);
/* The data of one that a graph has, if it is this function; else NULL. */
void *vg_callback_kept(uint32_t cookie, CUhostFn function);
/* When it runs, this user object is no more. */
void vg_callback_ends(uint32_t cookie, struct vg_object *o);

#endif /* VG_CALLBACK_H */
