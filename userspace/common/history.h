/* SPDX-License-Identifier: Apache-2.0 */
/* The history's file: a SQLite database that the mediator writes and vgpuctl reads. */
#ifndef VG_HISTORY_H
#define VG_HISTORY_H

#define VG_HISTORY_DEFAULT "/var/lib/vgpu/history.db"

/* PRAGMA user_version of a file that either understands. */
#define VG_HISTORY_VERSION 2

/* From version 1 to 2.  Who reads a file of version 1 takes NULL for the column. */
#define VG_HISTORY_FROM_1 "ALTER TABLE events ADD COLUMN waited_ms INTEGER"

/*
 * time_ms is since 1970, UTC; duration_ms and waited_ms too are in milliseconds; memory_peak and bytes_* are
 * bytes. A column that an event has no value for is NULL.
 */
#define VG_HISTORY_SCHEMA                                                                        \
	"CREATE TABLE IF NOT EXISTS events("                                                     \
	"id INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, event TEXT NOT NULL, "  \
	"vgpu TEXT, executor INTEGER, pid INTEGER, uid INTEGER, name TEXT, why TEXT, "           \
	"duration_ms INTEGER, calls INTEGER, bytes_to_device INTEGER, "                          \
	"bytes_from_device INTEGER, memory_peak INTEGER, memory_refused INTEGER, "               \
	"faults INTEGER, count INTEGER, waited_ms INTEGER);"                                     \
	"CREATE INDEX IF NOT EXISTS events_vgpu ON events(vgpu, id);"

#define VG_HISTORY_COLUMNS                                                                       \
	"time_ms, event, vgpu, executor, pid, uid, name, why, duration_ms, calls, "              \
	"bytes_to_device, bytes_from_device, memory_peak, memory_refused, faults, count, waited_ms"

#endif /* VG_HISTORY_H */
