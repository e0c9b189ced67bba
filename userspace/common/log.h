/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on standard error.  If that is the journal, they begin with the level as journald
 * reads it; else with the time, in UTC.  A library that does not call vg_log_init() gives no
 * time, because its lines stand between a program's own.
 */
#ifndef VG_LOG_H
#define VG_LOG_H

enum vg_level { VG_ERROR = 3, VG_WARNING = 4, VG_INFO = 6, VG_DEBUG = 7 };

/* Write only lines that are at least as serious as `level`; each line begins with `who`. */
void vg_log_init(const char *who, enum vg_level level);

/* From now on write lines to this descriptor instead of standard error. */
void vg_log_to(int fd);

/* The level of "error", "warning", "info" or "debug"; -1 for any other name. */
int vg_log_level_parse(const char *name);

/* Write one line.  Each control character in it is replaced by a question mark. */
void vg_log(enum vg_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * For lines that a guest or a program can cause as often as it likes: at most five lines are
 * written in ten seconds, and then one line that says how many more there were.  `r` keeps
 * the count; it starts as zeros, and each kind of line has one of its own.
 */
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
