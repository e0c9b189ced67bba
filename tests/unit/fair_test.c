// SPDX-License-Identifier: Apache-2.0
/*
 * Who has the GPU when (mediator/fair.c), on a device and programs that are made up here: time goes
 * in steps of 10 us, and programs have kernels of a certain length, which run to their end.
 */
#include "unit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mediator/fair.h"

#define TICK	10000u
#define SECOND	1000000000ull
#define MOST	4

struct program {
	struct vg_fair fair;
	uint64_t kernel_ns;	/* how long its kernels are */
	uint64_t pause_ns;	/* how long it rests after each; 0: it always has another one */
	uint64_t runs_until, rests_until;
	bool running, gone;
	uint64_t got;		/* of the device, ns */
	uint64_t most_waited, asked;
	int gpu;
};

static struct program *programs[MOST];
static struct vg_fair *all[MOST];
static unsigned int count;
static uint64_t clock_ns, next_step;

static bool apart(const struct vg_fair *a, const struct vg_fair *b)
{
	return ((const struct program *)a)->gpu != ((const struct program *)b)->gpu;
}

static int set_up(void **state)
{
	(void)state;
	count = 0;
	clock_ns = SECOND;
	next_step = 0;
	return 0;
}

static void add(struct program *p, const char *pool, unsigned int share, unsigned int weight,
		uint64_t kernel_ns, uint64_t pause_ns)
{
	memset(p, 0, sizeof(*p));
	p->fair.pool = pool;
	p->fair.share = share;
	p->fair.weight = weight;
	p->kernel_ns = kernel_ns;
	p->pause_ns = pause_ns;
	programs[count] = p;
	all[count++] = &p->fair;
}

/* What its executor does; true: the mediator hears of it. */
static bool act(struct program *p)
{
	bool was_busy = p->fair.busy, wanted = p->fair.wants;

	if (p->running && clock_ns >= p->runs_until) {
		p->running = false;
		p->rests_until = p->runs_until + p->pause_ns;
	}
	p->fair.wants = false;
	if (!p->running && !p->gone && clock_ns >= p->rests_until) {
		if (p->fair.has_turn && clock_ns < p->fair.until) {
			p->running = true;
			p->runs_until = clock_ns + p->kernel_ns;
			if (p->asked && clock_ns - p->asked > p->most_waited)
				p->most_waited = clock_ns - p->asked;
			p->asked = 0;
		} else {
			p->fair.wants = true;
			p->asked = p->asked ? p->asked : clock_ns;
		}
	}
	p->fair.busy = p->running;
	p->got += p->running ? TICK : 0;
	return p->fair.busy != was_busy || p->fair.wants != wanted;
}

static void go_on_for(uint64_t ns)
{
	uint64_t end = clock_ns + ns;

	for (; clock_ns < end; clock_ns += TICK) {
		bool rings = clock_ns >= next_step;

		for (unsigned int i = 0; i < count; i++)
			rings |= act(programs[i]);
		for (int i = 0; i < 16 && rings; i++)
			if (!vg_fair_step(all, count, clock_ns, apart, &next_step))
				break;
	}
}

static double part(const struct program *p)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		sum += programs[i]->got;
	return (double)p->got / sum;
}

static void forget(void)
{
	for (unsigned int i = 0; i < count; i++)
		programs[i]->got = programs[i]->most_waited = 0;
}

static void is_part(const struct program *p, double want, double within)
{
	if (part(p) < want - within || part(p) > want + within)
		fail_msg("%.3f of the device, not %.3f", part(p), want);
}

/* The device has work all the time but for what a turn takes to be passed on. */
static void is_full(uint64_t ns)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		sum += programs[i]->got;
	if (sum < ns / 100 * 97 || sum > ns + ns / 100)
		fail_msg("%.3f of the device's time was used", (double)sum / ns);
}

/* The kernels' lengths do not count. */
static void shares_hold(void **state)
{
	static const uint64_t lengths[][2] = {
		{ 20000, 20000 }, { 20000000, 20000000 }, { 20000, 20000000 }, { 20000000, 20000 },
		{ 300000000, 20000 },
	};
	static const unsigned int shares[][2] = { { 30, 70 }, { 50, 50 }, { 10, 90 } };
	struct program a, b;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (size_t k = 0; k < sizeof(shares) / sizeof(shares[0]); k++) {
			set_up(state);
			add(&a, "A", shares[k][0], 100, lengths[i][0], 0);
			add(&b, "B", shares[k][1], 100, lengths[i][1], 0);
			go_on_for(SECOND);
			forget();
			go_on_for(20 * SECOND);
			is_part(&a, shares[k][0] / 100.0, 0.02);
			is_full(20 * SECOND);
		}
	}
}

static void three_shares_and_weights(void **state)
{
	struct program a, b, c, d;

	(void)state;
	add(&a, "A", 20, 100, 20000, 0);
	add(&b, "B", 80, 100, 50000, 0);
	add(&c, "B", 80, 300, 2000000, 0);
	add(&d, "A", 20, 100, 20000, 0);
	go_on_for(10 * SECOND);
	is_part(&a, 0.1, 0.01);
	is_part(&d, 0.1, 0.01);
	is_part(&b, 0.2, 0.02);
	is_part(&c, 0.6, 0.02);
	is_full(10 * SECOND);
}

/* Whoever wants more than it is due gets what others leave. */
static void nothing_is_left_over(void **state)
{
	struct program a, b;

	(void)state;
	add(&a, "A", 10, 100, 20000, 0);
	add(&b, "B", 90, 100, 1000000, 9000000);
	go_on_for(10 * SECOND);
	/* b wants a tenth. */
	assert_true(b.got >= 5 * SECOND / 10);
	assert_true(a.got + b.got >= 95 * SECOND / 10);
	b.gone = true;
	go_on_for(SECOND);
	/* Also if nobody rings any more. */
	assert_true(vg_fair_part(all, count, &a.fair, apart) == 1);
	forget();
	go_on_for(SECOND);
	is_part(&a, 1, 0);
	assert_true(a.got > 99 * SECOND / 100);
}

/* Nobody saves up what it did not want, and changes count at once. */
static void no_debts(void **state)
{
	struct program a, b;

	(void)state;
	add(&a, "A", 50, 100, 20000, 0);
	add(&b, "B", 50, 100, 20000, 0);
	b.gone = true;
	go_on_for(10 * SECOND);
	b.gone = false;
	go_on_for(SECOND / 10);
	forget();
	go_on_for(SECOND);
	is_part(&a, 0.5, 0.02);
	a.fair.share = 90;
	b.fair.share = 10;
	forget();
	go_on_for(SECOND);
	is_part(&a, 0.9, 0.03);
}

/*
 * Nor does anybody pay for what it had while nobody else wanted the device; a third one, on another
 * GPU, makes that this is looked at meanwhile.
 */
static void no_debts_for_what_was_free(void **state)
{
	struct program a, b, c;

	(void)state;
	add(&a, "A", 50, 100, 20000, 0);
	add(&b, "B", 50, 100, 20000, 0);
	add(&c, "C", 50, 100, 20000, 1000000);
	c.gpu = 1;
	b.gone = true;
	go_on_for(10 * SECOND);
	a.gone = true;
	go_on_for(SECOND / 10);
	b.gone = false;
	go_on_for(SECOND / 10);
	a.gone = false;
	c.gone = true;
	go_on_for(SECOND / 10);
	forget();
	go_on_for(SECOND);
	is_part(&a, 0.5, 0.02);
}

/* It wants little, and gets that soon; if it wants all, it gets its share. */
static void latency_class(void **state)
{
	struct program a, b;

	(void)state;
	add(&a, "A", 50, 100, 20000, 2000000);
	add(&b, "B", 50, 100, 200000, 0);
	go_on_for(SECOND);
	forget();
	go_on_for(5 * SECOND);
	assert_true(a.most_waited > 2000000);
	a.fair.latency = true;
	go_on_for(SECOND);
	forget();
	go_on_for(5 * SECOND);
	/* No longer than a kernel of the other's. */
	if (a.most_waited > 300000)
		fail_msg("it has waited for %llu ns", (unsigned long long)a.most_waited);
	a.pause_ns = 0;
	go_on_for(SECOND);
	forget();
	go_on_for(10 * SECOND);
	is_part(&a, 0.5, 0.03);
}

/* On another GPU nobody waits. */
static void gpus_apart(void **state)
{
	struct program a, b, c;

	(void)state;
	add(&a, "A", 10, 100, 20000, 0);
	add(&b, "B", 90, 100, 20000, 0);
	add(&c, "A", 10, 100, 20000, 0);
	b.gpu = 1;
	go_on_for(10 * SECOND);
	assert_true(b.got > 99 * SECOND / 10);
	assert_true(a.got > 47 * SECOND / 10 && a.got < 53 * SECOND / 10);
	/* And those of a pool on one GPU take nothing of its share on another. */
	b.gpu = 0;
	b.fair.share = 10;
	c.gpu = 1;
	go_on_for(SECOND);
	forget();
	go_on_for(10 * SECOND);
	assert_true(c.got > 99 * SECOND / 10);
	assert_true(a.got > 47 * SECOND / 10 && a.got < 53 * SECOND / 10);
}

/* A kernel that never ends costs its own vGPU its turns, and others one wait. */
static void endless_kernel(void **state)
{
	struct program a, b;

	(void)state;
	add(&a, "A", 50, 100, 1000 * SECOND, 0);
	add(&b, "B", 50, 100, 20000, 0);
	go_on_for(3 * SECOND);
	b.got = 0;
	go_on_for(5 * SECOND);
	assert_true(b.got > 49 * SECOND / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(shares_hold, set_up),
		cmocka_unit_test_setup(three_shares_and_weights, set_up),
		cmocka_unit_test_setup(nothing_is_left_over, set_up),
		cmocka_unit_test_setup(no_debts, set_up),
		cmocka_unit_test_setup(no_debts_for_what_was_free, set_up),
		cmocka_unit_test_setup(latency_class, set_up),
		cmocka_unit_test_setup(gpus_apart, set_up),
		cmocka_unit_test_setup(endless_kernel, set_up),
	};

	return cmocka_run_group_tests_name("fair", tests, NULL, NULL);
}
