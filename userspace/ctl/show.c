// SPDX-License-Identifier: Apache-2.0
/* The mediator's answers, taken apart and made fit for people. */
#include <stdio.h>

#include "show.h"

struct json_object *vg_get(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, key, &value);
	return value;
}

uint64_t vg_number(struct json_object *o, const char *key)
{
	return json_object_get_uint64(vg_get(o, key));
}

const char *vg_string(struct json_object *o, const char *key)
{
	const char *s = json_object_get_string(vg_get(o, key));

	return s ? s : "-";
}

/* Three digits and a binary unit: "1.21 GiB". */
const char *vg_bytes(uint64_t n, char out[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v = n;
	unsigned int i = 0;

	while (v >= 1000 && i < 5) {
		v /= 1024;
		i++;
	}
	snprintf(out, 16, "%.*f %s", !i || v >= 100 ? 0 : v >= 10 ? 1 : 2, v, units[i]);
	return out;
}
