/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SG_LOG_H
#define SG_LOG_H

/* One line to stderr, with the library's name in front. VGPU_SOFTGPU_LOG=0 silences it. */
void sg_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
