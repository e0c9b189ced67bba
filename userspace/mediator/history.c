// SPDX-License-Identifier: Apache-2.0
/*
 * The history: a thread writes events to a SQLite file.
 *
 * The loop puts an event into a queue of fixed size, which takes a lock that the thread never
 * holds while it writes. If the disk is slower than events come, those that find the queue full
 * are counted, and a row says how many there were. All that waits is written in one transaction.
 *
 * The file has a bound on its rows. Past it, the oldest rows go of whoever has the most, so that
 * a guest which makes as many events as it can pushes out its own, and no other vGPU's.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/history.h"
#include "mediator.h"

#define QUEUE		1024u	/* events that wait */
#define BATCH		128u	/* in one transaction */
#define BUSY_MS		2000	/* for somebody else who has the file locked */
#define CLOSE_S		2	/* for what waits, at the end */
#define RETRY_S		1	/* after a write has failed */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* the next five */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct vg_event queue[QUEUE];
static unsigned int first, count;
static uint64_t lost;		/* and no row says so yet */
static bool runs, closing;

static atomic_uint_fast64_t dropped;
static struct vg_log_rate failures;	/* the thread's */

uint64_t vg_history_dropped(void)
{
	return atomic_load(&dropped);
}

void vg_history_put(const struct vg_event *e)
{
	pthread_mutex_lock(&lock);
	if (!runs) {
		/* None is kept. */
	} else if (count < QUEUE) {
		queue[(first + count++) % QUEUE] = *e;
		pthread_cond_broadcast(&changed);
	} else {
		lost++;
		atomic_fetch_add(&dropped, 1);
	}
	pthread_mutex_unlock(&lock);
}

/* -- the file; all of this is the thread's */

static bool failed(sqlite3 *db, const char *what, int code)
{
	if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
		return false;
	vg_log_some(&failures, VG_ERROR, "history: %s: cannot %s: %s", vg_config.history, what,
		    db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
	return true;
}

static bool run(sqlite3 *db, const char *sql, const char *what)
{
	return !failed(db, what, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static int64_t ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

static sqlite3 *open_file(void)
{
	int fd = open(vg_config.history, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	sqlite3 *db = NULL;
	char sql[64];
	int64_t version;

	/* SQLite would make it readable to all. */
	if (fd < 0) {
		vg_log_some(&failures, VG_ERROR, "history: %s: %s", vg_config.history,
			    strerror(errno));
		return NULL;
	}
	close(fd);
	if (failed(db, "open it",
		   sqlite3_open_v2(vg_config.history, &db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
					   SQLITE_OPEN_NOFOLLOW, NULL)))
		goto fail;
	sqlite3_busy_timeout(db, BUSY_MS);
	version = ask(db, "PRAGMA user_version");
	if (version > VG_HISTORY_VERSION) {
		vg_log_some(&failures, VG_ERROR, "history: %s: written by a newer vgpu-mediatord",
			    vg_config.history);
		goto fail;
	}
	/* Whoever reads does not hold up the thread, nor the other way round. */
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", VG_HISTORY_VERSION);
	if (!run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", "set its mode") ||
	    (version == 1 && !run(db, VG_HISTORY_FROM_1, "bring it to this version")) ||
	    !run(db, VG_HISTORY_SCHEMA, "make its table") || !run(db, sql, "set its version"))
		goto fail;
	return db;
fail:
	sqlite3_close(db);
	return NULL;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
	if (*text)
		sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static void bind_some(sqlite3_stmt *s, int at, uint64_t n)
{
	if (n)
		sqlite3_bind_int64(s, at, n);
}

static int insert(sqlite3_stmt *s, const struct vg_event *e)
{
	const uint64_t ended[] = { e->duration_ms, e->calls, e->bytes_in, e->bytes_out,
				   e->memory_peak, e->memory_refused, e->faults };
	unsigned int n = e->kind == VG_EVENT_END ? 7 : e->kind == VG_EVENT_DISCONNECT;

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	sqlite3_bind_int64(s, 1, e->time_ms);
	bind_text(s, 2, vg_event_name(e->kind));
	bind_text(s, 3, e->vgpu);
	bind_some(s, 4, e->executor);
	bind_some(s, 5, e->pid);
	if (e->uid >= 0)
		sqlite3_bind_int64(s, 6, e->uid);
	bind_text(s, 7, e->name);
	bind_text(s, 8, e->why);
	for (unsigned int i = 0; i < n; i++)
		sqlite3_bind_int64(s, 9 + i, ended[i]);
	bind_some(s, 16, e->count);
	bind_some(s, 17, e->waited_ms);
	return sqlite3_step(s);
}

/* A little more than what is over, so that not every event has to do it. */
static bool trim(sqlite3 *db)
{
	int64_t rows = ask(db, "SELECT count(*) FROM events"), over = rows - vg_config.history_rows;
	char sql[300];

	while (over > 0) {
		snprintf(sql, sizeof(sql),
			 "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE vgpu IS "
			 "(SELECT vgpu FROM events GROUP BY vgpu ORDER BY count(*) DESC LIMIT 1) "
			 "ORDER BY id LIMIT %lld)",
			 (long long)(over < 16 ? 16 : over > 256 ? 256 : over));
		if (!run(db, sql, "remove its oldest rows"))
			return false;
		over -= sqlite3_changes(db);
	}
	return true;
}

static bool write_batch(sqlite3 *db, const struct vg_event *events, unsigned int n)
{
	static const char sql[] = "INSERT INTO events(" VG_HISTORY_COLUMNS ") "
				  "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
	sqlite3_stmt *s = NULL;
	bool good;

	if (!run(db, "BEGIN IMMEDIATE", "write to it"))
		return false;
	good = !failed(db, "write to it", sqlite3_prepare_v2(db, sql, -1, &s, NULL));
	for (unsigned int i = 0; i < n && good; i++)
		good = !failed(db, "write to it", insert(s, &events[i]));
	sqlite3_finalize(s);
	good = good && trim(db) && run(db, "COMMIT", "write to it");
	if (!good)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return good;
}

/* -- the thread */

/* What waits, and first how many did not; 0: it is to end. The lock is held. */
static unsigned int take(struct vg_event *events, uint64_t *told)
{
	unsigned int n = 0;

	while (!count && !lost && !closing)
		pthread_cond_wait(&changed, &lock);
	*told = lost;
	if (lost) {
		events[n++] = (struct vg_event){ .kind = VG_EVENT_LOST, .uid = -1,
						 .time_ms = vg_wall_ms(), .count = lost };
		lost = 0;
	}
	for (; count && n < BATCH; count--) {
		events[n++] = queue[first];
		first = (first + 1) % QUEUE;
	}
	return n;
}

static void *work(void *arg)
{
	static struct vg_event events[BATCH];
	sqlite3 *db = open_file();
	uint64_t told;
	unsigned int n;
	bool good;

	(void)arg;
	pthread_mutex_lock(&lock);
	while ((n = take(events, &told))) {
		pthread_mutex_unlock(&lock);
		if (!db)
			db = open_file();
		good = db && write_batch(db, events, n);
		if (!good) {
			sqlite3_close(db);
			db = NULL;
			/* A disk that is full would be asked all the time. */
			nanosleep(&(struct timespec){ .tv_sec = RETRY_S }, NULL);
		}
		pthread_mutex_lock(&lock);
		if (!good) {
			/* What `told` counts is among the dropped already. */
			atomic_fetch_add(&dropped, n - !!told);
			lost += told + n - !!told;
			if (closing)
				break;
		}
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	sqlite3_close(db);
	pthread_mutex_lock(&lock);
	runs = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int vg_history_open(void)
{
	sigset_t all, was;
	pthread_t thread;
	char folder[4096], *slash;
	int ret;

	if (!*vg_config.history)
		return 0;
	snprintf(folder, sizeof(folder), "%s", vg_config.history);
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		if (access(folder, F_OK)) {
			vg_info("%s: %s; no history is kept", folder, strerror(errno));
			return 0;
		}
	}
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	runs = true;
	ret = pthread_create(&thread, NULL, work, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (ret) {
		runs = false;
		vg_err("cannot make the thread that writes the history: %s", strerror(ret));
		return -ret;
	}
	pthread_detach(thread);
	return 0;
}

void vg_history_close(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_S;
	pthread_mutex_lock(&lock);
	closing = true;
	pthread_cond_broadcast(&changed);
	while (runs && !pthread_cond_timedwait(&changed, &lock, &until))
		;
	if (runs)
		vg_warn("history: %s: %u events could not be written in time", vg_config.history,
			count);
	pthread_mutex_unlock(&lock);
}
