/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is a program with these two functions.  libFuzzer calls them with inputs
 * of its own (`make fuzz`), replay.c with those that are kept (`make check-fuzz`).
 */
#ifndef VG_FUZZ_H
#define VG_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif /* VG_FUZZ_H */
