/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors over a SOCK_SEQPACKET socket. */
#ifndef VG_FDPASS_H
#define VG_FDPASS_H

#include <stdbool.h>
#include <stddef.h>

#define VG_FDS_MAX 5

/* Send `len` bytes and `count` descriptors.  0, or a negative errno. */
int vg_send_fds(int sock, const void *msg, size_t len, const int *fds, int count);

/*
 * Receive one message of exactly `len` bytes and at most `max` descriptors
 * (close-on-exec; the caller owns them).  The number of descriptors, or a
 * negative errno: -EPIPE at the end, -EBADMSG for a message of another size.
 */
int vg_recv_fds(int sock, void *msg, size_t len, int *fds, int max);

/*
 * As vg_recv_fds() with at most one descriptor, or none if `fd` is NULL, for who must not wait
 * while a file of another's is closed: neither this nor the kernel closes any here.  0, and
 * *fd is the caller's, or -1.  After an error the message is still in the socket, and *fd may
 * be the caller's too; -EMFILE: there is no room for the descriptor that comes with it.
 */
int vg_recv_one_fd(int sock, void *msg, size_t len, int *fd);

/* The same for bytes of a stream, at most `max`.  How many, or a negative errno; 0 at the end. */
int vg_recv_bytes(int sock, void *buf, int max);

/*
 * Read and forget what is in a socket that has been shut down, up to the first message with
 * descriptors.  Whether there is none, so that to close the socket closes no file.
 */
bool vg_recv_rest(int sock);

#endif /* VG_FDPASS_H */
