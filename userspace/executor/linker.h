/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that links.
 *
 * NVIDIA's linker keeps its memory by thread: a link that is begun on one thread and
 * continued on another ends the process with a segmentation fault, or with "Memory
 * allocation failure" (driver 580.159, also natively).  A guest's calls run on whichever
 * thread consumes the ring, which changes while the machine is busy, so all of them are
 * handed to one.
 */
#ifndef VG_LINKER_H
#define VG_LINKER_H

#include "cuda_abi.h"

/*
 * Calls run(arg) on the linker's thread, with `context` (NULL: none) current there, and
 * returns its result.  Afterwards none is current there, so that the thread keeps none which
 * may be destroyed.  `context` is no green context: the driver may refuse to make one current
 * to a second thread.  CUDA_ERROR_OUT_OF_MEMORY if the thread cannot be started.  One caller
 * at a time; others wait.
 */
CUresult vg_linker_run(CUcontext context, CUresult (*run)(void *arg), void *arg);

#endif
