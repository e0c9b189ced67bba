// SPDX-License-Identifier: Apache-2.0
/*
 * Ask a driver what it answers to each function when one argument makes no sense.
 *
 *	questions [-j N] [-s SECONDS] [-q] [-k FILE] [PATTERN...]
 *
 * One line a question: the function, what was asked, the result, and which parameters point at
 * something that was written ("w0,3"), which of them at something that was cleared ("z0,3").  In
 * place of a result it says
 *	signal N	the process ended so,
 *	nothing		there was no answer in 60 s,
 *	exit N		the process ended with that status, as where the function is missing,
 *	unmade R	an object that the question needs could not be made, for result R.
 * The questions that a driver has to answer come first, those with handles that are no more, or
 * of another kind, after them, for they may spoil the process that asks them.  Patterns name
 * functions; -q leaves the second kind out.  After SECONDS what has been answered is printed;
 * with -k only what FILE has no answer to is asked, and all is printed.
 */
#include <fnmatch.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "questions.h"

/* A loaded machine is slow; no question of those that are asked waits for ever. */
#define ANSWER_SECONDS 60
#define START_SECONDS 300
#define CHUNK 200		/* questions of a process, for starting one takes a second */
#define STALE_CHUNK 60
#define MAX_JOBS 64

enum change {
	INIT, VALID, NO_CONTEXT, ZERO, ONE, HUGE_NUMBER, MAX, MIN, MINUS, BIT, ALL, TOP, NAN_, NOT_THERE,
	HOST, STALE, OTHER,
};
static const char *const change_names[] = {
	"before cuInit", "valid", "no context", "null", "1", "2^60", "max", "min", "-1", "bit 30",
	"all", "past", "nan", "99", "host", "stale", "other",
};

enum progress { UNASKED, MAKING, ASKED, ANSWERED, DONE, SKIPPED, UNMADE };

struct question {
	const struct asked *of;
	int param;
	enum change change;
	/* Written by the process that asks. */
	enum progress progress;
	int result;
	uint32_t written;
	uint32_t cleared;
	const char *kept;	/* an answer of before */
	int ended;		/* the status of its process, where that ended in it */
	bool late;
};

static struct question *questions;
static size_t question_count;

struct chunk { size_t from, to; };
struct job {
	pid_t pid;
	struct chunk *left;
	double since;
	size_t at;
	enum progress progress;
};

/* Shared with the children: the question that each job is at. */
static volatile size_t *at;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void add(const struct asked *of, int param, enum change change)
{
	questions[question_count++] = (struct question){ .of = of, .param = param, .change = change };
}

static void add_sane(const struct asked *f)
{
	add(f, -1, VALID);
	add(f, -1, NO_CONTEXT);
	for (unsigned int i = 0; i < f->count; i++) {
		const struct param *p = &f->params[i];

		if (f->how & ASK_LITTLE && p->kind != KIND_POINTER && p->kind != KIND_HANDLE)
			continue;
		switch (p->kind) {
		case KIND_POINTER:
		case KIND_HANDLE:
			add(f, i, ZERO);
			break;
		case KIND_ADDRESS:
			add(f, i, ZERO);
			add(f, i, MINUS);
			break;
		case KIND_NUMBER:
			add(f, i, ZERO);
			add(f, i, ONE);
			if (p->size == 8)
				add(f, i, HUGE_NUMBER);
			else
				add(f, i, MAX);
			add(f, i, MINUS);
			break;
		case KIND_FLAGS:
			add(f, i, ZERO);
			add(f, i, ONE);
			add(f, i, BIT);
			add(f, i, ALL);
			break;
		case KIND_ENUM:
			add(f, i, ZERO);
			add(f, i, TOP);
			add(f, i, MINUS);
			break;
		case KIND_DEVICE:
			add(f, i, MINUS);
			add(f, i, NOT_THERE);
			break;
		case KIND_FLOAT:
			add(f, i, ZERO);
			add(f, i, NAN_);
			break;
		case KIND_STRUCT:
			add(f, i, ZERO);
			add(f, i, ALL);
			break;
		case KIND_FIXED:
			break;
		}
	}
}

static void add_stale(const struct asked *f)
{
	for (unsigned int i = 0; i < f->count && !(f->how & ASK_LITTLE); i++) {
		if (f->params[i].kind == KIND_ADDRESS)
			add(f, i, HOST);
		if (f->params[i].stale)
			add(f, i, STALE);
		if (f->params[i].kind == KIND_HANDLE)
			add(f, i, OTHER);
	}
}

/* --- asking, in a child --- */

static unsigned char other_things[BUFFER];

/* Whether there is something to ask that `valid` did not. */
static bool change(const struct question *k, union value *v)
{
	const struct param *p = k->param < 0 ? NULL : &k->of->params[k->param];
	uint64_t mask, before;

	if (!p)
		return true;
	mask = p->size >= 8 ? ~0ull : (1ull << 8 * p->size) - 1;
	v += k->param;
	before = v->u;
	switch (k->change) {
	case ZERO:
		v->u = 0;
		if (p->kind == KIND_STRUCT)
			v->p = memset(other_things, 0, sizeof(other_things));
		break;
	case ONE: v->u = 1; break;
	case HUGE_NUMBER: v->u = 1ull << 60; break;
	case MAX: v->u = mask >> 1; break;
	case MIN: v->u = (mask >> 1) + 1; break;
	case BIT: v->u = 1u << 30; break;
	case MINUS: v->u = mask; break;
	case ALL:
		v->u = mask;
		if (p->kind == KIND_STRUCT)
			v->p = memset(other_things, 0xff, sizeof(other_things));
		break;
	case TOP: v->u = p->top; break;
	case NAN_: v->f = __builtin_nanf(""); break;
	case NOT_THERE: v->u = 99; break;
	case HOST: v->p = other_things; break;
	case STALE: v->u = p->stale(); break;
	case OTHER: v->u = p->stale == stale_event ? stream() : event(); break;
	default: break;
	}
	return p->kind == KIND_POINTER || p->kind == KIND_HANDLE || p->kind == KIND_STRUCT ||
	       (v->u & mask) != (before & mask);
}

static bool is_zero(const unsigned char *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

/* Whether the process can go on. */
static bool ask(struct question *k)
{
	static unsigned char before[MAX_PARAMS][BUFFER];
	union value v[MAX_PARAMS];
	bool fit = true;

	k->progress = MAKING;
	memset(v, 0, sizeof(v));
	question_start();
	k->of->set(v);
	if (!change(k, v)) {
		k->progress = SKIPPED;
	} else if (unmade) {
		k->result = unmade;
		k->progress = UNMADE;
		if (getenv("QUESTIONS_WHY"))
			fprintf(stderr, "%s: %d from %s\n", k->of->name, unmade, unmade_what);
	} else {
		memcpy(before, buffers, sizeof(before));
		if (k->change == NO_CONTEXT)
			no_context();
		k->progress = ASKED;
		k->result = k->of->call(v);
		k->progress = ANSWERED;
	}
	if (!bare) {
		context_back();
		question_end();
		fit = !cuCtxSynchronize();
	}
	if (k->progress == ANSWERED) {
		for (unsigned int i = 0; i < k->of->count; i++)
			if (memcmp(before[i], buffers[i], BUFFER)) {
				if (is_zero(buffers[i], k->of->params[i].target))
					k->cleared |= 1u << i;
				else
					k->written |= 1u << i;
			}
		k->progress = DONE;
	}
	return fit;
}

static void child(volatile size_t *here, size_t from, size_t to)
{
	struct rlimit none = { 0, 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &none);
	bare = questions[from].change == INIT;
	if (!bare && state_start())
		_exit(99);
	for (size_t i = from; i < to; i++) {
		if (questions[i].kept)
			continue;
		*here = i;
		if (!ask(&questions[i]))
			_exit(0);
		if (questions[i].of->how & ASK_ALONE && !bare && !questions[i].result)
			_exit(0);
	}
	_exit(0);
}

/* --- the parent --- */

static int starts;

static void start(struct job *j, volatile size_t *here)
{
	*here = j->left->from;
	j->at = j->left->from;
	j->progress = UNASKED;
	j->since = now();
	starts++;
	fflush(stdout);
	j->pid = fork();
	if (!j->pid)
		child(here, j->left->from, j->left->to);
}

/* Skip what is kept. */
static bool to_ask(struct chunk *c)
{
	while (c->from < c->to && questions[c->from].kept)
		c->from++;
	return c->from < c->to;
}

static bool over(const struct question *k)
{
	return k->progress == DONE || k->progress == SKIPPED || k->progress == UNMADE;
}

/* A child has ended: what it was at, and what is left of its questions. */
static void ended(struct job *j, volatile size_t *here, int status, bool late)
{
	struct question *k = &questions[*here];

	if (k->progress == UNASKED) {
		/* It did not get to ask. */
		fprintf(stderr, "questions: no start before %s: status %#x\n", k->of->name, status);
		k->ended = status;
		k->late = late;
	} else if (!over(k)) {
		k->ended = status;
		k->late = late;
	}
	j->left->from = *here + 1;
	j->pid = 0;
}

static void run(struct chunk *chunks, size_t count, unsigned int jobs, double until)
{
	struct job job[MAX_JOBS] = { 0 };
	size_t next = 0, busy = 0;

	for (;;) {
		for (unsigned int i = 0; i < jobs; i++) {
			struct job *j = &job[i];

			if (j->pid || now() > until)
				continue;
			while (!j->left || !to_ask(j->left)) {
				if (next == count)
					break;
				j->left = &chunks[next++];
			}
			if (!j->left || !to_ask(j->left))
				continue;
			start(j, &at[i]);
			busy++;
		}
		if (!busy)
			return;
		usleep(1000);
		for (unsigned int i = 0; i < jobs; i++) {
			struct job *j = &job[i];
			enum progress p;
			int status;

			if (!j->pid)
				continue;
			p = questions[at[i]].progress;
			if (j->at != at[i] || j->progress != p) {
				j->at = at[i];
				j->progress = p;
				j->since = now();
			}
			if (waitpid(j->pid, &status, WNOHANG) == j->pid) {
				ended(j, &at[i], status, false);
				busy--;
			} else if (now() > until) {
				/* The driver may keep it for long; its question stays without an answer. */
				kill(j->pid, SIGKILL);
				j->pid = 0;
				busy--;
			} else if (now() > j->since + (p == UNASKED ? START_SECONDS : ANSWER_SECONDS)) {
				kill(j->pid, SIGKILL);
				waitpid(j->pid, &status, 0);
				ended(j, &at[i], status, true);
				busy--;
			}
		}
	}
}

static void name(const struct question *k, char *text, size_t bytes)
{
	const struct param *p = k->param < 0 ? NULL : &k->of->params[k->param];
	bool number = p && p->kind != KIND_POINTER && p->kind != KIND_HANDLE;

	snprintf(text, bytes, "%s %s%s%s: ", k->of->name, p ? p->name : "", p ? " " : "",
		 k->change == ZERO && number ? "0" : change_names[k->change]);
}

static void print_set(char letter, uint32_t set)
{
	char sep = letter;

	for (unsigned int i = 0; set; i++, set >>= 1)
		if (set & 1) {
			printf(sep == letter ? " %c%u" : "%c%u", sep, i);
			sep = ',';
		}
}

static void print(const struct question *k)
{
	char text[256];

	if (k->progress == SKIPPED)
		return;
	name(k, text, sizeof(text));
	fputs(text, stdout);
	if (k->kept) {
		fputs(k->kept, stdout);
		return;
	}
	if (k->progress == UNMADE) {
		printf("unmade %d\n", k->result);
		return;
	}
	if (k->progress >= ANSWERED)
		printf("%d", k->result);
	print_set('w', k->written);
	print_set('z', k->cleared);
	if (k->progress != DONE && !k->late && !k->ended) {
		printf("not asked");
	} else if (k->progress != DONE) {
		printf("%s", k->progress == ANSWERED ? " then " : "");
		if (k->late)
			printf("nothing");
		else if (WIFSIGNALED(k->ended))
			printf("signal %d", WTERMSIG(k->ended));
		else
			printf("exit %d", WEXITSTATUS(k->ended));
		if (k->progress == MAKING)
			printf(" in making");
	}
	printf("\n");
}

/* Answers of before; what was not asked then is asked now. */
static void keep(const char *path)
{
	static char lines[32768][160];
	FILE *f = fopen(path, "r");
	size_t count = 0;
	char text[256];

	while (f && count < 32768 && fgets(lines[count], sizeof(lines[0]), f))
		count++;
	if (f)
		fclose(f);
	for (size_t i = 0; i < question_count; i++) {
		size_t n;

		name(&questions[i], text, sizeof(text));
		n = strlen(text);
		for (size_t k = 0; k < count; k++)
			if (!strncmp(lines[k], text, n) && strncmp(lines[k] + n, "not asked", 9)) {
				questions[i].kept = lines[k] + n;
				break;
			}
	}
}

/* The processes that questions from..question_count are asked by. */
static size_t cut(struct chunk *c, size_t from, size_t most)
{
	size_t n = 0;

	while (from < question_count) {
		size_t to = from + 1;

		while (to < question_count && (to - from < most ||
					       questions[to].of == questions[to - 1].of))
			to++;
		c[n++] = (struct chunk){ from, to };
		from = to;
	}
	return n;
}

static bool wanted(const struct asked *f, char **patterns, int count)
{
	for (int i = 0; i < count; i++)
		if (!fnmatch(patterns[i], f->name, 0))
			return true;
	return !count;
}

int main(int argc, char **argv)
{
	unsigned int jobs = 1;
	double seconds = 1e9, began = now();
	const char *kept = NULL;
	bool quick = false;
	struct chunk *chunks;
	size_t count = 0, from = 0;
	int option;
	FILE *f;

	while ((option = getopt(argc, argv, "j:s:k:q")) != -1) {
		if (option == 'j')
			jobs = atoi(optarg);
		else if (option == 's')
			seconds = atof(optarg);
		else if (option == 'k')
			kept = optarg;
		else if (option == 'q')
			quick = true;
		else
			return 2;
	}
	if (jobs < 1 || jobs > MAX_JOBS)
		return 2;
	argv += optind;
	argc -= optind;
	questions = mmap(NULL, asked_count * 100ul * sizeof(*questions), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	chunks = calloc(asked_count * 100ul, sizeof(*chunks));
	if (questions == MAP_FAILED || at == MAP_FAILED || !chunks)
		return 2;
	snprintf(code_file, 64, "/tmp/questions.%d.ptx", getpid());
	f = fopen(code_file, "w");
	if (!f)
		return 2;
	fwrite(code, 1, code_bytes - 1, f);
	fclose(f);
	for (unsigned int i = 0; i < asked_count; i++)
		if (wanted(&asked[i], argv, argc) && strcmp(asked[i].name, "cuInit"))
			add(&asked[i], -1, INIT);
	count = cut(chunks, from, 10000);
	from = question_count;
	for (unsigned int i = 0; i < asked_count; i++)
		if (wanted(&asked[i], argv, argc))
			add_sane(&asked[i]);
	count += cut(chunks + count, from, CHUNK);
	from = question_count;
	for (unsigned int i = 0; i < asked_count && !quick; i++)
		if (wanted(&asked[i], argv, argc))
			add_stale(&asked[i]);
	count += cut(chunks + count, from, STALE_CHUNK);
	if (kept)
		keep(kept);
	run(chunks, count, jobs, began + seconds);
	for (size_t i = 0; i < question_count; i++)
		print(&questions[i]);
	unlink(code_file);
	fprintf(stderr, "questions: %zu, %d processes, %.1f s\n", question_count, starts,
		now() - began);
	return 0;
}
