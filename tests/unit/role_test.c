// SPDX-License-Identifier: Apache-2.0
/* Who consumes the ring, where the host has no thread to give for a while. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_internal.h"

static struct vgpu_ring ring;
static unsigned int asked, refusals;

/* What the executor's threads do, which these tests have none of. */
void vg_loop_run(struct vg_exec *x)
{
	(void)x;
	for (;;)
		pause();
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	if (asked++ < refusals)
		return EAGAIN;
	return __real_pthread_create(thread, attr, run, arg);
}

int __wrap_usleep(useconds_t us);

int __wrap_usleep(useconds_t us)
{
	(void)us;
	return 0;
}

static void lend(unsigned int no)
{
	struct vg_exec x = { .ch = { .ring = &ring, .doorbell = eventfd(0, EFD_NONBLOCK) } };

	refusals = no;
	x.role = vg_role_new(4);
	vg_role_lend(&x);
	assert_int_equal(asked, no + 1);
	assert_true(vg_role_return(&x));
}

static void thread_at_last(void **state)
{
	(void)state;
	lend(100);
}

/* Without one the ring would stand still for ever, so the process ends. */
static void no_thread(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (!child) {
		lend(1000000);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_thread),
		cmocka_unit_test(thread_at_last),
	};

	return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
