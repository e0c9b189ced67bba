/* SPDX-License-Identifier: Apache-2.0 */
/* The mediator's status as metrics for Prometheus. */
#ifndef VG_METRICS_H
#define VG_METRICS_H

#include <json-c/json.h>

/*
 * All metrics in Prometheus' text format, version 0.0.4; the caller frees the text. `status` is
 * the answer to "status", or NULL if the mediator gives none. NULL: no memory.
 */
char *vg_metrics(struct json_object *status);

#endif /* VG_METRICS_H */
