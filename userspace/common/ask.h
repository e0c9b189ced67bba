/* SPDX-License-Identifier: Apache-2.0 */
/* A question to the mediator, by its control socket. */
#ifndef VG_ASK_H
#define VG_ASK_H

#include <json-c/json.h>
#include <stddef.h>

#define VG_CONTROL_DEFAULT "/run/vgpu/control.sock"

/*
 * Send a request ("status") and wait for the answer, a JSON object that the caller puts. NULL:
 * there is none, or it says "error"; `why` then has one line that names the cause, and errno is
 * that of the socket, ENAMETOOLONG for its path, or EPROTO for an answer that is none.
 */
struct json_object *vg_ask(const char *path, const char *request, char *why, size_t size);
/* The same, with more than a name; it stays the caller's. */
struct json_object *vg_ask_for(const char *path, struct json_object *request, char *why,
			       size_t size);

#endif /* VG_ASK_H */
