/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VG_CTL_H
#define VG_CTL_H

#include <stdbool.h>
#include <stdint.h>

/* status.c: prints who uses which vGPU.  `socket` is the mediator's. The exit status. */
int vg_ctl_status(const char *socket, bool json);

/*
 * top.c: prints the same with rates, every `interval` seconds until it is told to end, or
 * `once`, sorted `by` a key that vg_ctl_top_order() has found (false: there is no such order).
 */
int vg_ctl_top(const char *socket, bool json, bool once, double interval, char by);
bool vg_ctl_top_order(const char *name, char *by);

/*
 * set.c: change settings of a vGPU, each of `words` a KEY=VALUE, or (`unset`) a KEY; and print
 * those that are in force, of one (NULL: of all), and where they come from. The exit status.
 */
int vg_ctl_set(const char *socket, const char *vgpu, char *const *words, int count, bool unset);
int vg_ctl_release(const char *socket, const char *name);	/* from quarantine */
int vg_ctl_show(const char *socket, const char *vgpu, bool json);

/*
 * drain.c: let a vGPU (NULL: all) have no new programs, or have them again.  With `wait`, which is
 * not negative, wait so many seconds until none runs.  The exit status.
 * vg_ctl_wait() reads a number of seconds; false: it is none.
 */
int vg_ctl_drain(const char *socket, const char *vgpu, bool on, double wait);
bool vg_ctl_wait(const char *text, double *seconds);

/*
 * events.c: prints what the history has, of one vGPU (NULL: of all) and from `since` on, in
 * milliseconds since 1970.  `history` is its file; NULL: the mediator knows.  The exit status.
 * vg_ctl_since() reads a time; false: it is none.
 */
int vg_ctl_events(const char *socket, const char *history, uint64_t since, const char *vgpu,
		  bool json);
bool vg_ctl_since(const char *text, uint64_t *ms);

/*
 * doctor.c: looks at this machine, as a host, as a guest, or as what it seems to be, and prints
 * what is wrong and what to do.  `root` is put before each path that is looked at.  The exit
 * status: 0 if nothing is wrong.
 */
enum vg_role { VG_ROLE_FOUND, VG_ROLE_HOST, VG_ROLE_GUEST };
int vg_ctl_doctor(const char *socket, const char *root, enum vg_role role, bool json);

/*
 * cdi.c: prints a CDI specification for this machine's vGPUs, or for the mediator's socket where
 * there are none. `libraries` is the folder of the guest's libraries; `root` as above. The exit
 * status: 0, or 1 if there is nothing to be given to a container.
 */
int vg_ctl_cdi(const char *root, const char *libraries);

#endif /* VG_CTL_H */
