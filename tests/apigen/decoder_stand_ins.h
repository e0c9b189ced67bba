/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VG_DECODER_STAND_INS_H
#define VG_DECODER_STAND_INS_H

#include "exec.h"

extern struct vg_exec executor;
extern unsigned int reached;	/* how often the driver was called, or memory was charged */
extern bool handles_exist;	/* whether a lookup of a handle or a blob finds something */

/* Let every function of the driver count the call and fail. */
void stand_in_for_driver(void);

#endif /* VG_DECODER_STAND_INS_H */
