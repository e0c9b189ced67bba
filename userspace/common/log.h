/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard error, with the level prefix that journald reads. */
#ifndef VG_LOG_H
#define VG_LOG_H

enum vg_level { VG_ERROR = 3, VG_WARNING = 4, VG_INFO = 6, VG_DEBUG = 7 };

/* Lines above `level` are dropped; `who` starts each line. */
void vg_log_init(const char *who, enum vg_level level);

/* Where lines go, in place of standard error. */
void vg_log_to(int fd);

/* "error", "warning", "info", "debug"; -1 for anything else. */
int vg_log_level_parse(const char *name);

/* A control character in what is printed becomes a question mark. */
void vg_log(enum vg_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For lines that somebody else can have written: five in ten seconds, and a count of the rest. */
struct vg_log_rate {
	long since;
	unsigned int lines, kept_back;
};

void vg_log_some(struct vg_log_rate *r, enum vg_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define vg_err(...)	vg_log(VG_ERROR, __VA_ARGS__)
#define vg_warn(...)	vg_log(VG_WARNING, __VA_ARGS__)
#define vg_info(...)	vg_log(VG_INFO, __VA_ARGS__)
#define vg_debug(...)	vg_log(VG_DEBUG, __VA_ARGS__)

#endif /* VG_LOG_H */
