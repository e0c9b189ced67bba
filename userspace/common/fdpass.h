/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors over a SOCK_SEQPACKET socket. */
#ifndef VG_FDPASS_H
#define VG_FDPASS_H

#include <stddef.h>

#define VG_FDS_MAX 4
#define VG_FDS_ALL 253		/* as many as the kernel takes with one message (SCM_MAX_FD) */

/* Send `len` bytes and `count` descriptors.  0, or a negative errno. */
int vg_send_fds(int sock, const void *msg, size_t len, const int *fds, int count);

/*
 * Receive one message of exactly `len` bytes and at most `max` descriptors
 * (close-on-exec; the caller owns them).  The number of descriptors, or a
 * negative errno: -EPIPE at the end, -EBADMSG for a message of another size.
 */
int vg_recv_fds(int sock, void *msg, size_t len, int *fds, int max);

/*
 * As vg_recv_fds(), for who must not close what others sent: all *count descriptors that came
 * are the caller's, also after an error.  0 or a negative errno.
 */
int vg_recv_all_fds(int sock, void *msg, size_t len, int fds[VG_FDS_ALL], int *count);

#endif /* VG_FDPASS_H */
