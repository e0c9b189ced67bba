/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time, and the time of day. */
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

/* UTC, since 1970; it may be set. */
static inline uint64_t vg_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif /* VG_CLOCK_H */
