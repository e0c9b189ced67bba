/* SPDX-License-Identifier: Apache-2.0 */
/* show.c: the mediator's answers, taken apart and made fit for people */
#ifndef VG_SHOW_H
#define VG_SHOW_H

#include <json-c/json.h>
#include <stdint.h>

/* What an object says; NULL, 0 or "-" where it says nothing. */
struct json_object *vg_get(struct json_object *o, const char *key);
uint64_t vg_number(struct json_object *o, const char *key);
const char *vg_string(struct json_object *o, const char *key);

/* Three digits and a binary unit: "1.21 GiB". */
const char *vg_bytes(uint64_t n, char out[16]);

#endif /* VG_SHOW_H */
