/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of our own in the program's process. */
#ifndef VG_THREAD_H
#define VG_THREAD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Nobody joins it, and signals that are sent to the program go to its own threads; only those
 * that a bad address and the like raise are handled where they arise.  `stack` is in bytes, 0
 * what is usual.  False if there can be no more threads.
 */
bool vg_thread_start(void *(*run)(void *), size_t stack);

#endif /* VG_THREAD_H */
