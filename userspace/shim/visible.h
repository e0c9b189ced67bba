/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA_VISIBLE_DEVICES: which of the devices a process sees, and in which order.
 *
 * The rules are NVIDIA's, as driver 580.159 answers them: the value is a list with
 * commas, read from its start to the first word that names no device; what follows that
 * word does not count.  A word is a number as strtol() with base 10 reads it (what stands
 * behind the digits is ignored) or the beginning of a device's UUID ("GPU-" and at least
 * one digit more) that no other device's begins with.  A device that is named twice is an
 * error.
 */
#ifndef VG_VISIBLE_H
#define VG_VISIBLE_H

#include "cuda_abi.h"

/*
 * Puts the numbers of the devices that `value` names into `seen`, which has room for
 * `count`, and how many there are into *n; all in their order if value is NULL.
 * CUDA_ERROR_NO_DEVICE if there is none, CUDA_ERROR_INVALID_DEVICE if one is named twice.
 */
CUresult vg_visible(const char *value, const CUuuid *uuids, int count, int *seen, int *n);

#endif
