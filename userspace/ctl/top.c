// SPDX-License-Identifier: Apache-2.0
/*
 * vgpuctl top: who uses which vGPU now.  Rates are the difference of two answers to "status",
 * over the mediator's own clock between them.  GPU time is measured only while pools have shares,
 * so there are columns for it only then.
 */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "common/ask.h"
#include "common/clock.h"
#include "ctl.h"
#include "show.h"

#define WIDTH_MIN	80
#define NAME_WIDTH	24		/* at WIDTH_MIN */
#define NAME_MAX	40		/* an UUID and the pool */
#define DATE_WIDTH	21
#define GPU_WIDTH	12

static volatile sig_atomic_t ended;

/* The terminal's new size is asked for when the screen is drawn again. */
static void on_signal(int number)
{
	if (number != SIGWINCH)
		ended = 1;
}

/* A vGPU, or a process of one. */
struct row {
	struct json_object *of;
	uint64_t memory, limit, contexts, faults, since;
	double calls, to, from;		/* a second */
	double gpu, due;		/* of its time, 0 to 1 */
	bool shared;
	double waited;			/* microseconds of its threads in a second, for rates */
	bool limited, quarantined, drained;
	struct row *processes;
	size_t count;
};

struct table {
	struct row *vgpus;
	size_t count;
};

/* -- from two answers to rows */

/* A counter that has gone back has begun again. */
static double rate(struct json_object *now, struct json_object *before, const char *key,
		   double seconds)
{
	uint64_t n = vg_number(now, key), old = before ? vg_number(before, key) : 0;

	return seconds > 0 ? (n >= old ? n - old : n) / seconds : 0;
}

static void fill(struct row *r, struct json_object *now, struct json_object *before,
		 double seconds)
{
	*r = (struct row){
		.of = now,
		.memory = vg_number(now, "memory"),
		.limit = vg_number(now, "memory_limit"),
		.limited = vg_get(now, "memory_limit"),
		.quarantined = vg_number(now, "quarantined"),
		.drained = vg_number(now, "drained"),
		.contexts = vg_number(now, "contexts"),
		.faults = vg_number(now, "faults"),
		.since = vg_number(now, "since_ms"),
		.calls = rate(now, before, "calls", seconds),
		.gpu = rate(now, before, "device_ns", seconds) / 1e9,
		.due = vg_get(now, "gpu_due") ? json_object_get_double(vg_get(now, "gpu_due")) : 0,
		.shared = vg_get(now, "gpu_due"),
		.to = rate(now, before, "bytes_to_device", seconds),
		.from = rate(now, before, "bytes_from_device", seconds),
		.waited = rate(now, before, "call_waited_us", seconds) +
			  rate(now, before, "byte_waited_us", seconds),
	};
}

/* The element of a list with the same values of these two keys. */
static struct json_object *same(struct json_object *list, struct json_object *o, const char *a,
				const char *b)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *old = json_object_array_get_idx(list, i);

		if (!strcmp(vg_string(old, a), vg_string(o, a)) &&
		    (!b || !strcmp(vg_string(old, b), vg_string(o, b))))
			return old;
	}
	return NULL;
}

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->vgpus[i].processes);
	free(t->vgpus);
	*t = (struct table){ 0 };
}

static bool table_make(struct table *t, struct json_object *now, struct json_object *before)
{
	struct json_object *list = vg_get(now, "vgpus");
	uint64_t a = vg_number(before, "monotonic_us"), b = vg_number(now, "monotonic_us");
	/* A mediator that has been started again counts from the beginning. */
	double seconds = a && b > a ? (b - a) / 1e6 : 0;

	*t = (struct table){ 0 };
	if (!list)
		return true;
	t->vgpus = calloc(json_object_array_length(list) + 1, sizeof(*t->vgpus));
	if (!t->vgpus)
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		struct json_object *old = same(vg_get(before, "vgpus"), v, "vgpu", NULL);
		struct json_object *procs = vg_get(v, "processes");
		struct row *r = &t->vgpus[t->count++];

		fill(r, v, old, seconds);
		r->count = procs ? json_object_array_length(procs) : 0;
		r->processes = calloc(r->count + 1, sizeof(*r->processes));
		if (!r->processes) {
			table_free(t);
			return false;
		}
		for (size_t k = 0; k < r->count; k++) {
			struct json_object *p = json_object_array_get_idx(procs, k);

			fill(&r->processes[k], p,
			     old ? same(vg_get(old, "processes"), p, "executor", "since_ms") : NULL,
			     seconds);
		}
	}
	return true;
}

/* -- their order */

static char order = 'm';

static const struct {
	char key;
	const char *what;
} orders[] = {
	{ 'm', "memory" }, { 'c', "calls" },  { 't', "to" }, { 'f', "from" },
	{ 'x', "faults" }, { 's', "since" },  { 'n', "name" }, { 'g', "gpu" },
};

static const char *order_name(char key)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (orders[i].key == key)
			return orders[i].what;
	return NULL;
}

static const char *row_name(const struct row *r)
{
	return vg_string(r->of, vg_get(r->of, "vgpu") ? "vgpu" : "name");
}

static double weight(const struct row *r)
{
	switch (order) {
	case 'c':
		return r->calls;
	case 't':
		return r->to;
	case 'f':
		return r->from;
	case 'g':
		return r->gpu;
	case 'x':
		return r->faults;
	case 's':
		return r->since;	/* the newest first */
	case 'n':
		return 0;
	default:
		return r->memory;
	}
}

static int compare(const void *a, const void *b)
{
	double x = weight(a), y = weight(b);

	return x != y ? (x < y ? 1 : -1) : strcmp(row_name(a), row_name(b));
}

static void sort(struct table *t)
{
	qsort(t->vgpus, t->count, sizeof(*t->vgpus), compare);
	for (size_t i = 0; i < t->count; i++)
		qsort(t->vgpus[i].processes, t->vgpus[i].count, sizeof(struct row), compare);
}

/* -- for people */

/* At most five characters: "999", "1.21G". */
static const char *scaled(double v, unsigned int base, const char *units, char out[16])
{
	unsigned int i = 0;

	while (v >= 999.5 && units[i]) {
		v /= base;
		i++;
	}
	snprintf(out, 16, "%.*f%.1s", !i || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v,
		 i ? units + i - 1 : "");
	return out;
}

static const char *brief(double bytes, char out[16])
{
	return scaled(bytes, 1024, "KMGTPE", out);
}

static const char *thousands(double v, char out[16])
{
	return scaled(v, 1000, "kMGTPE", out);
}

static const char *elapsed(uint64_t since, char out[16])
{
	uint64_t now = vg_wall_ms(), s = now > since ? (now - since) / 1000 : 0;

	if (!since)
		return "-";
	if (s < 60)
		snprintf(out, 16, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(out, 16, "%" PRIu64 "m%02" PRIu64, s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, 16, "%" PRIu64 "h%02" PRIu64, s / 3600, s / 60 % 60);
	else if (s < 100 * 86400)
		snprintf(out, 16, "%" PRIu64 "d%02" PRIu64, s / 86400, s / 3600 % 24);
	else if (s < 10000 * UINT64_C(86400))
		snprintf(out, 16, "%" PRIu64 "d", s / 86400);
	else
		snprintf(out, 16, "years");
	return out;
}

static const char *date(uint64_t since, char out[32])
{
	time_t s = since / 1000;
	struct tm tm;

	if (!since || !localtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm))
		return "-";
	return out;
}

/* In so many columns, by what a terminal takes for each character. */
static void put_name(FILE *to, const char *name, int columns)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n;
	int used = 0;

	for (; (n = mbrtowc(&c, name, MB_CUR_MAX, &state)) && n < (size_t)-2; name += n) {
		int w = wcwidth(c);

		if (w < 0 || used + w > columns)
			break;
		fwrite(name, 1, n, to);
		used += w;
	}
	fprintf(to, "%*s", columns - used, "");
}

/* "12%"; of a process, no part is due. */
static const char *percent(double part, bool known, char out[16])
{
	snprintf(out, 16, known ? "%.0f%%" : "-", 100 * part);
	return out;
}

static void put_row(FILE *to, const struct row *r, const char *name, int columns, bool shared,
		    bool dated)
{
	char a[16], b[16], c[16], d[16], e[16], f[16], g[16], h[16], i[32];

	put_name(to, name, columns);
	if (shared)
		fprintf(to, " %5s %5s", percent(r->gpu, true, a), percent(r->due, r->shared, b));
	fprintf(to, " %6s %6s %6s %7s %6s %6s %6s %5s", brief(r->memory, a),
		r->limited ? brief(r->limit, b) : "-", brief(r->contexts, c),
		thousands(r->calls, d), brief(r->to, e), brief(r->from, f),
		thousands(r->faults, g), elapsed(r->since, h));
	if (dated)
		fprintf(to, "  %-19s", date(r->since, i));
}

static void put_table(FILE *to, const struct table *t, int width, int height)
{
	int columns = NAME_WIDTH, lines = 0;
	bool dated, shared = false;
	char name[160];

	for (size_t i = 0; i < t->count; i++)
		shared |= t->vgpus[i].shared;
	if (shared)
		width -= GPU_WIDTH;
	if (width < WIDTH_MIN)
		columns -= WIDTH_MIN - width < NAME_WIDTH / 2 ? WIDTH_MIN - width : NAME_WIDTH / 2;
	dated = width >= WIDTH_MIN + DATE_WIDTH;
	if (dated)
		width -= DATE_WIDTH;
	if (width > WIDTH_MIN)
		columns += width - WIDTH_MIN;
	if (columns > NAME_MAX)
		columns = NAME_MAX;
	fprintf(to, "%-*.*s%s %6s %6s %6s %7s %6s %6s %6s %5s", columns, columns,
		"VGPU, PID AND NAME", shared ? "   GPU   DUE" : "", "MEMORY", "LIMIT", "CTX", "CALLS/S", "TO/S", "FROM/S", "FAULTS", "FOR");
	fprintf(to, "%s\n", dated ? "  SINCE" : "");
	for (size_t i = 0; i < t->count; i++) {
		const struct row *v = &t->vgpus[i];

		if (height && ++lines >= height)
			return;
		snprintf(name, sizeof(name), "%s%s%s", v->quarantined ? "! " : "", v->drained ? "- " : "",
			 row_name(v));
		put_row(to, v, name, columns, shared, dated);
		fputc('\n', to);
		for (size_t k = 0; k < v->count; k++) {
			if (height && ++lines >= height)
				return;
			snprintf(name, sizeof(name), "  %7" PRIu64 " %s",
				 vg_number(v->processes[k].of, "pid"), row_name(&v->processes[k]));
			put_row(to, &v->processes[k], name, columns, shared, dated);
			fputc('\n', to);
		}
	}
}

/* -- for programs */

static struct json_object *json_row(const struct row *r, bool vgpu)
{
	struct json_object *o = json_object_new_object(), *list;

	json_object_object_add(o, vgpu ? "vgpu" : "name", json_object_new_string(row_name(r)));
	if (!vgpu)
		json_object_object_add(o, "pid",
				       json_object_new_uint64(vg_number(r->of, "pid")));
	json_object_object_add(o, "memory", json_object_new_uint64(r->memory));
	if (r->limited)
		json_object_object_add(o, "memory_limit", json_object_new_uint64(r->limit));
	json_object_object_add(o, "contexts", json_object_new_uint64(r->contexts));
	json_object_object_add(o, "calls_per_s", json_object_new_double(r->calls));
	if (r->shared)
		json_object_object_add(o, "gpu_due", json_object_new_double(r->due));
	if (vg_get(r->of, "device_ns"))
		json_object_object_add(o, "gpu", json_object_new_double(r->gpu));
	json_object_object_add(o, "bytes_to_device_per_s", json_object_new_double(r->to));
	json_object_object_add(o, "bytes_from_device_per_s", json_object_new_double(r->from));
	json_object_object_add(o, "waited_us_per_s", json_object_new_double(r->waited));
	json_object_object_add(o, "faults", json_object_new_uint64(r->faults));
	if (r->since)
		json_object_object_add(o, "since_ms", json_object_new_uint64(r->since));
	if (!vgpu)
		return o;
	json_object_object_add(o, "quarantined", json_object_new_boolean(r->quarantined));
	json_object_object_add(o, "drained", json_object_new_boolean(r->drained));
	list = json_object_new_array();
	for (size_t k = 0; k < r->count; k++)
		json_object_array_add(list, json_row(&r->processes[k], false));
	json_object_object_add(o, "processes", list);
	return o;
}

/* One object on a line. */
static void put_json(const struct table *t)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < t->count; i++)
		json_object_array_add(list, json_row(&t->vgpus[i], true));
	json_object_object_add(o, "time_ms", json_object_new_uint64(vg_wall_ms()));
	json_object_object_add(o, "vgpus", list);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

/* -- the terminal */

static struct termios cooked;
static bool raw;

static void raw_begin(void)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &cooked))
		return;
	t = cooked;
	t.c_lflag &= ~(ICANON | ECHO);
	raw = !tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static void raw_end(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	raw = false;
}

static void size_of_terminal(bool screen, int *width, int *height)
{
	struct winsize w;

	*width = WIDTH_MIN;
	*height = 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col)
		return;
	*width = w.ws_col;
	if (screen)
		*height = w.ws_row > 3 ? w.ws_row - 2 : 1;
}

static void show(const struct table *t, bool screen)
{
	char line[160], *text = NULL;
	int width, height;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return;
	size_of_terminal(screen, &width, &height);
	if (screen) {
		fputs("\033[H\033[2J", to);
		snprintf(line, sizeof(line), "vgpuctl top, by %s; keys: q m c t f x s n",
			 order_name(order));
		fprintf(to, "%.*s\n", width, line);
	}
	put_table(to, t, width, height);
	fclose(to);
	/* In one write, so that the screen does not flicker. */
	fwrite(text, 1, size, stdout);
	fflush(stdout);
	free(text);
}

/* Wait for the time of the next answer; true: show what there is again, in another order. */
static bool wait_for(uint64_t until_ms)
{
	struct pollfd in = { .fd = raw ? STDIN_FILENO : -1, .events = POLLIN };
	uint64_t now = vg_now_us() / 1000;
	char key;

	if (ended || now >= until_ms)
		return false;
	errno = 0;
	if (poll(&in, 1, until_ms - now) <= 0)
		return errno == EINTR && !ended;
	if (read(STDIN_FILENO, &key, 1) != 1) {
		raw_end();
		ended = 1;
	} else if (key == 'q' || key == 'Q') {
		ended = 1;
	} else if (order_name(key)) {
		order = key;
	}
	return !ended;
}

static struct json_object *ask(const char *path)
{
	char why[200];
	struct json_object *answer = vg_ask(path, "status", why, sizeof(why));

	if (!answer) {
		raw_end();
		fprintf(stderr, "vgpuctl: %s\n", why);
	}
	return answer;
}

static void on_signals(void)
{
	struct sigaction end = { .sa_handler = on_signal };

	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGWINCH, &end, NULL);
}

int vg_ctl_top(const char *path, bool json, bool once, double interval, char by)
{
	bool screen = !json && !once && isatty(STDOUT_FILENO);
	struct json_object *before, *now;
	struct table t;
	uint64_t due;

	order = by;
	setlocale(LC_CTYPE, "C.UTF-8");
	before = ask(path);
	if (!before)
		return EXIT_FAILURE;
	on_signals();
	if (screen)
		raw_begin();
	for (bool first = true; !ended; first = false) {
		due = vg_now_us() / 1000 + (uint64_t)(interval * 1000);
		/* Rates need two answers; the screen shows the rest at once. */
		if (first && screen && table_make(&t, before, before)) {
			do {
				sort(&t);
				show(&t, screen);
			} while (wait_for(due));
			table_free(&t);
		} else if (first) {
			while (wait_for(due))
				;
		}
		if (ended)
			break;
		now = ask(path);
		if (!now || !table_make(&t, now, before)) {
			raw_end();
			json_object_put(before);
			json_object_put(now);
			return EXIT_FAILURE;
		}
		due = vg_now_us() / 1000 + (uint64_t)(interval * 1000);
		sort(&t);
		if (json)
			put_json(&t);
		else
			show(&t, screen);
		if (fflush(stdout) || once)
			ended = 1;
		while (wait_for(due)) {
			sort(&t);
			if (screen)
				show(&t, screen);
		}
		table_free(&t);
		json_object_put(before);
		before = now;
	}
	raw_end();
	json_object_put(before);
	return EXIT_SUCCESS;
}

bool vg_ctl_top_order(const char *name, char *by)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (!strcmp(orders[i].what, name) || (name[0] == orders[i].key && !name[1])) {
			*by = orders[i].key;
			return true;
		}
	return false;
}
