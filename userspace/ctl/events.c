// SPDX-License-Identifier: Apache-2.0
/*
 * vgpuctl events: what the history says.
 *
 * It reads the file itself, and does not ask the mediator: an answer of a hundred thousand rows
 * would hold up the mediator's loop, and the history is wanted most when the mediator is down.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/ask.h"
#include "common/clock.h"
#include "common/history.h"
#include "ctl.h"
#include "show.h"

#define BUSY_MS 5000

/* A number with s, m, h or d: so long ago; or YYYY-MM-DD[ HH:MM[:SS]], local time. */
bool vg_ctl_since(const char *text, uint64_t *ms)
{
	static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
					       "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
	static const char units[] = "smhd";
	static const unsigned int seconds[] = { 1, 60, 3600, 86400 };
	uint64_t n, now = vg_wall_ms();
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (!errno && unit && !end[1]) {
		if (n > now / 1000 / seconds[unit - units])
			n = now / 1000 / seconds[unit - units];
		*ms = now - n * seconds[unit - units] * 1000;
		return true;
	}
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *rest = strptime(text, formats[i], &tm);
		time_t t;

		if (!rest || *rest)
			continue;
		t = mktime(&tm);
		*ms = t > 0 ? (uint64_t)t * 1000 : 0;
		return true;
	}
	return false;
}

/* The mediator knows where it is; without one, it is where it is unless said. */
static char *find(const char *socket)
{
	char why[200];
	struct json_object *status = vg_ask(socket, "status", why, sizeof(why));
	char *path = strdup(status && vg_get(status, "history") ? vg_string(status, "history") :
								  VG_HISTORY_DEFAULT);

	json_object_put(status);
	return path;
}

static void print_json(FILE *to, sqlite3_stmt *s)
{
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < sqlite3_column_count(s); i++) {
		const char *name = sqlite3_column_name(s, i);

		if (sqlite3_column_type(s, i) == SQLITE_INTEGER)
			json_object_object_add(o, name,
					       json_object_new_int64(sqlite3_column_int64(s, i)));
		else if (sqlite3_column_type(s, i) != SQLITE_NULL)
			json_object_object_add(o, name, json_object_new_string(
						(const char *)sqlite3_column_text(s, i)));
	}
	fprintf(to, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static const char *text(sqlite3_stmt *s, int i)
{
	const char *t = (const char *)sqlite3_column_text(s, i);

	return t ? t : "";
}

static bool has(sqlite3_stmt *s, int i)
{
	return sqlite3_column_type(s, i) != SQLITE_NULL;
}

/* Columns as in VG_HISTORY_COLUMNS. */
static void print_row(FILE *to, sqlite3_stmt *s)
{
	time_t seconds = sqlite3_column_int64(s, 0) / 1000;
	char when[32] = "-", a[16], b[16], c[16];
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(to, "%s  %-36s  %-10s", when, has(s, 2) ? text(s, 2) : "-", text(s, 1));
	if (has(s, 4))
		fprintf(to, " %s (%lld)", has(s, 6) ? text(s, 6) : "-",
			(long long)sqlite3_column_int64(s, 4));
	if (has(s, 5))
		fprintf(to, " user %lld", (long long)sqlite3_column_int64(s, 5));
	if (has(s, 8))
		fprintf(to, " after %.1f s", sqlite3_column_int64(s, 8) / 1000.0);
	if (has(s, 9))
		fprintf(to, ", %lld calls, %s to and %s from the device, memory at most %s",
			(long long)sqlite3_column_int64(s, 9),
			vg_bytes(sqlite3_column_int64(s, 10), a),
			vg_bytes(sqlite3_column_int64(s, 11), b),
			vg_bytes(sqlite3_column_int64(s, 12), c));
	if (sqlite3_column_int64(s, 13))
		fprintf(to, ", refused memory %lld times", (long long)sqlite3_column_int64(s, 13));
	if (sqlite3_column_int64(s, 14))
		fprintf(to, ", %lld faults", (long long)sqlite3_column_int64(s, 14));
	if (sqlite3_column_int64(s, 16))
		fprintf(to, ", waited %.1f s for its rates", sqlite3_column_int64(s, 16) / 1000.0);
	if (has(s, 15))
		fprintf(to, " %lld events were not written",
			(long long)sqlite3_column_int64(s, 15));
	if (has(s, 7))
		fprintf(to, ": %s", text(s, 7));
	fputc('\n', to);
}

static int complain(const char *path, const char *why)
{
	fprintf(stderr, "vgpuctl: %s: %s\n", path, why);
	return EXIT_FAILURE;
}

static int version(sqlite3 *db)
{
	sqlite3_stmt *s;
	int n = VG_HISTORY_VERSION;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK)
		return n;
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return n;
}

static int print_all(sqlite3 *db, FILE *to, uint64_t since, const char *vgpu, bool json)
{
	static const char sql[] = "SELECT " VG_HISTORY_COLUMNS " FROM events WHERE time_ms >= ?1 "
				  "AND (?2 IS NULL OR vgpu = ?2 OR vgpu IS NULL) ORDER BY id";
	/* One that an older mediator has written last. */
	static const char old[] = "SELECT " VG_HISTORY_COLUMNS " FROM "
				  "(SELECT *, NULL AS waited_ms FROM events) WHERE time_ms >= ?1 "
				  "AND (?2 IS NULL OR vgpu = ?2 OR vgpu IS NULL) ORDER BY id";
	sqlite3_stmt *s;
	int ret = sqlite3_prepare_v2(db, version(db) < 2 ? old : sql, -1, &s, NULL);

	if (ret != SQLITE_OK)
		return ret;
	sqlite3_bind_int64(s, 1, since);
	if (vgpu)
		sqlite3_bind_text(s, 2, vgpu, -1, SQLITE_STATIC);
	while ((ret = sqlite3_step(s)) == SQLITE_ROW) {
		if (json)
			print_json(to, s);
		else
			print_row(to, s);
	}
	sqlite3_finalize(s);
	return ret;
}

static int show(const char *path, uint64_t since, const char *vgpu, bool json)
{
	char *all = NULL;
	sqlite3 *db;
	size_t size;
	FILE *to;
	int ret;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
		int error = sqlite3_system_errno(db);

		sqlite3_close(db);
		return complain(path, error ? strerror(error) : "it cannot be opened");
	}
	sqlite3_busy_timeout(db, BUSY_MS);
	to = open_memstream(&all, &size);
	if (!to) {
		sqlite3_close(db);
		return complain(path, strerror(ENOMEM));
	}
	/* Whoever reads the output may take his time, and the file is not to wait for him. */
	ret = print_all(db, to, since, vgpu, json);
	if (ret != SQLITE_DONE)
		complain(path, sqlite3_errmsg(db));
	sqlite3_close(db);
	fclose(to);
	fwrite(all, 1, size, stdout);
	free(all);
	return ret == SQLITE_DONE && !fflush(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int vg_ctl_events(const char *socket, const char *history, uint64_t since, const char *vgpu,
		  bool json)
{
	char *path = history ? strdup(history) : find(socket);
	int ret;

	if (!path)
		return complain("history", strerror(ENOMEM));
	ret = *path ? show(path, since, vgpu, json) :
		      complain("history", "none is kept, because [history] path is empty");
	free(path);
	return ret;
}
