/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program's environment tells the CUDA driver, for the variables that only the driver
 * itself can follow.  The driver is in the executor, and reads them once, at cuInit().  So
 * they travel in one word with the request for a channel (struct vgpu_setup), and a program
 * whose word is not 0 gets an executor that is started with them.
 *
 * docs/environment.md lists all variables.  The names and values are those of NVIDIA's CUDA
 * programming guide, "CUDA Environment Variables".
 */
#ifndef VG_SETTINGS_H
#define VG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The word for this process's environment.  A value that the driver ignores is left out. */
uint32_t vg_settings_read(void);

/* Whether the word can come from vg_settings_read(). */
bool vg_settings_valid(uint32_t settings);

/* How many variables there are, and so the most that one word holds. */
#define VG_SETTINGS_MAX	16u
#define VG_SETTING_BYTES 64u	/* of "NAME=VALUE" with its NUL */

/* Writes "NAME=VALUE" for each variable of a valid word; returns how many. */
unsigned int vg_settings_write(uint32_t settings, char text[VG_SETTINGS_MAX][VG_SETTING_BYTES]);

#endif /* VG_SETTINGS_H */
