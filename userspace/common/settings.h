/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program's environment tells the CUDA driver, for the variables that only the driver
 * itself can follow.  The driver is in the executor, and reads them once, at cuInit().  So
 * they travel in one word with the request for a channel (struct vgpu_setup), and a program
 * whose word is not 0 gets an executor that is started with them.
 *
 * bits 0 to 31   the variables in the table of settings.c
 * bits 32 to 63  eight numbers of devices plus 1, four bits each; 0 ends the list
 *
 * docs/environment.md lists all variables.  The names and values are those of NVIDIA's CUDA
 * programming guide, "CUDA Environment Variables".
 */
#ifndef VG_SETTINGS_H
#define VG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The word for this process's environment, but for which devices it is to see.  A value that
 * the driver ignores is left out.
 */
uint64_t vg_settings_read(void);

/*
 * The bits for a list of the driver's devices, in the order in which the program is to see
 * them: each is named once.  0: too many (VG_SETTINGS_DEVICES) or too high a number (14).
 */
#define VG_SETTINGS_DEVICES 8
uint64_t vg_settings_devices(const int *device, int count);

/* Whether the word can come from these two. */
bool vg_settings_valid(uint64_t settings);

/* How many variables there are, and so the most that one word holds. */
#define VG_SETTINGS_MAX	16u
#define VG_SETTING_BYTES 64u	/* of "NAME=VALUE" with its NUL */

/* Writes "NAME=VALUE" for each variable of a valid word; returns how many. */
unsigned int vg_settings_write(uint64_t settings, char text[VG_SETTINGS_MAX][VG_SETTING_BYTES]);
/* The list of devices of a valid word; returns how many, 0: all, in the driver's order. */
int vg_settings_list(uint64_t settings, int device[VG_SETTINGS_DEVICES]);

#endif /* VG_SETTINGS_H */
