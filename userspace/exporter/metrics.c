// SPDX-License-Identifier: Apache-2.0
/*
 * One table says which number of the status is which metric. Processes in guests are no labels:
 * a guest can start as many as it likes, under any name, and each would be a series for ever.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"

#define COUNTER "counter"
#define GAUGE "gauge"

struct metric {
	const char *name, *type, *help, *key;
	const char *label;	/* one more, as it stands in the text, or NULL */
	const char *less;	/* key of a number to be subtracted, or NULL */
};

/* Lines of one name are one metric, and stand together. */
static const struct metric of_vgpus[] = {
	{ "vgpu_in_use", GAUGE, "1 while a VM has the vGPU open.", "in_use", NULL, NULL },
	{ "vgpu_processes_ended_total", COUNTER, "Processes that used the vGPU and have ended.",
	  "processes_ended", NULL, NULL },
	{ "vgpu_calls_total", COUNTER, "Calls of the CUDA driver API.", "calls", NULL, NULL },
	{ "vgpu_copied_bytes_total", COUNTER,
	  "Bytes copied between programs and the device, by the device itself or by a CPU.",
	  "direct_to_device", "direction=\"to_device\",by=\"device\"", NULL },
	{ "vgpu_copied_bytes_total", COUNTER, NULL, "bytes_to_device",
	  "direction=\"to_device\",by=\"cpu\"", "direct_to_device" },
	{ "vgpu_copied_bytes_total", COUNTER, NULL, "direct_from_device",
	  "direction=\"from_device\",by=\"device\"", NULL },
	{ "vgpu_copied_bytes_total", COUNTER, NULL, "bytes_from_device",
	  "direction=\"from_device\",by=\"cpu\"", "direct_from_device" },
	{ "vgpu_fb_used_bytes", GAUGE, "Device memory in use.", "memory", NULL, NULL },
	{ "vgpu_fb_limit_bytes", GAUGE, "Device memory that the vGPU may use.", "memory_limit",
	  NULL, NULL },
	{ "vgpu_context_bytes", GAUGE, "Device memory of the contexts themselves.", "contexts",
	  NULL, NULL },
	{ "vgpu_context_limit_bytes", GAUGE, "Device memory that contexts may take.",
	  "contexts_limit", NULL, NULL },
	{ "vgpu_faults_total", COUNTER,
	  "Malformed records, and errors that lost a program its context.", "faults", NULL, NULL },
	{ "vgpu_quarantined", GAUGE,
	  "1 if the vGPU gets no new programs; of the socket, how many users get none.", "quarantined",
	  NULL, NULL },
	{ "vgpu_drained", GAUGE, "1 if the operator lets the vGPU have no new programs.", "drained",
	  NULL, NULL },
	{ "vgpu_waits_total", COUNTER, "Waits for a rate of the vGPU.", "call_waits",
	  "for=\"calls\"", NULL },
	{ "vgpu_waits_total", COUNTER, NULL, "byte_waits", "for=\"bytes\"", NULL },
	{ "vgpu_waits_total", COUNTER, NULL, "start_waits", "for=\"starts\"", NULL },
	{ "vgpu_waited_seconds_total", COUNTER, "Time in such waits, of all threads together.",
	  "call_waited_us", "for=\"calls\"", NULL },
	{ "vgpu_waited_seconds_total", COUNTER, NULL, "byte_waited_us", "for=\"bytes\"", NULL },
	{ "vgpu_traps_total", COUNTER, "Accesses of the guest that trapped into the host.", "traps",
	  NULL, NULL },
	{ "vgpu_doorbells_total", COUNTER, "Traps that woke an executor.", "doorbells", NULL,
	  NULL },
	{ "vgpu_interrupts_total", COUNTER, "Interrupts raised in the guest.", "interrupts", NULL,
	  NULL },
	{ "vgpu_gpu_seconds_total", COUNTER, "Time on the GPU, while pools have shares.",
	  "device_ns", NULL, NULL },
	{ "vgpu_pinned_bytes", GAUGE, "Guest memory that the host has pinned.", "pinned", NULL,
	  NULL },
};

/* A value of a label: Prometheus wants three characters escaped. */
static void put_value(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static const char *string(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void labels(FILE *out, struct json_object *vgpu)
{
	fputs("{UUID=", out);
	put_value(out, string(vgpu, "vgpu"));
	fputs(",pool=", out);
	put_value(out, string(vgpu, "pool"));
	fputs(",type=", out);
	put_value(out, string(vgpu, "type"));
	fputs(",gpu=", out);
	put_value(out, string(vgpu, "parent"));
}

/* Prometheus wants seconds: how many of the mediator's units these are; 0 if it is no time. */
static double in_a_second(const char *key)
{
	size_t n = strlen(key);

	return n < 3 ? 0 : !strcmp(key + n - 3, "_us") ? 1e6 : !strcmp(key + n - 3, "_ns") ? 1e9 : 0;
}

static void one(FILE *out, const struct metric *m, struct json_object *vgpu)
{
	struct json_object *value, *less;
	uint64_t n;

	/* A vGPU that has no such number has no such line. */
	if (!json_object_object_get_ex(vgpu, m->key, &value))
		return;
	n = json_object_get_uint64(value);	/* of a truth, too: 0 or 1 */
	if (m->less && json_object_object_get_ex(vgpu, m->less, &less))
		n -= json_object_get_uint64(less) < n ? json_object_get_uint64(less) : n;
	fputs(m->name, out);
	labels(out, vgpu);
	fprintf(out, "%s%s} ", m->label ? "," : "", m->label ? m->label : "");
	if (in_a_second(m->key) > 0)
		fprintf(out, "%.6f\n", n / in_a_second(m->key));
	else
		fprintf(out, "%" PRIu64 "\n", n);
}

static void vgpus(FILE *out, struct json_object *list)
{
	size_t count = json_object_array_length(list);

	head(out, "vgpu_processes", GAUGE, "Processes that use the vGPU now.");
	for (size_t i = 0; i < count; i++) {
		struct json_object *v = json_object_array_get_idx(list, i), *processes = NULL;

		json_object_object_get_ex(v, "processes", &processes);
		fputs("vgpu_processes", out);
		labels(out, v);
		fprintf(out, "} %zu\n", processes ? json_object_array_length(processes) : 0);
	}
	for (size_t k = 0; k < sizeof(of_vgpus) / sizeof(of_vgpus[0]); k++) {
		if (of_vgpus[k].help)
			head(out, of_vgpus[k].name, of_vgpus[k].type, of_vgpus[k].help);
		for (size_t i = 0; i < count; i++)
			one(out, &of_vgpus[k], json_object_array_get_idx(list, i));
	}
}

static void number(FILE *out, struct json_object *status, const char *key, const char *name,
		   const char *help)
{
	struct json_object *value;

	if (!json_object_object_get_ex(status, key, &value))
		return;
	head(out, name, GAUGE, help);
	fprintf(out, "%s %" PRIu64 "\n", name, json_object_get_uint64(value));
}

char *vg_metrics(struct json_object *status)
{
	struct json_object *list;
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	head(out, "vgpu_up", GAUGE, "1 if the mediator answers.");
	fprintf(out, "vgpu_up %d\n", status != NULL);
	if (status) {
		head(out, "vgpu_driver_info", GAUGE, "The driver that executors load.");
		fputs("vgpu_driver_info{libcuda=", out);
		put_value(out, string(status, "libcuda"));
		fputs(",version=", out);
		put_value(out, string(status, "driver_version"));
		fputs("} 1\n", out);
		number(out, status, "devices", "vgpu_devices", "GPUs that executors see.");
		number(out, status, "spares", "vgpu_executors_ready",
		       "Executors that wait for a program.");
		if (json_object_object_get_ex(status, "vgpus", &list))
			vgpus(out, list);
	}
	/* The text is there only once the stream has been closed. */
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
