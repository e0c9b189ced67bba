/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time. */
#ifndef VG_CLOCK_H
#define VG_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t vg_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline uint64_t vg_now_us(void)
{
	return vg_now_ns() / 1000;
}

#endif /* VG_CLOCK_H */
