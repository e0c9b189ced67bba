// SPDX-License-Identifier: Apache-2.0
/* What a vfio-user server says of pages, to an executor: a server is trusted no more than its VM. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fdpass.h"
#include "executor/exec_internal.h"

#define PAGE 4096u
#define PAGES 8u

static int pair[2];
static struct vg_channel ch;

static int memory(int seals)
{
	int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_int_equal(pwrite(fd, &i, sizeof(i), i * PAGE), sizeof(i));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int list(const struct vg_vfu_run *run, size_t count)
{
	int fd = memfd_create("runs", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, run, count * sizeof(*run), 0), count * sizeof(*run));
	return fd;
}

static int setup(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	ch.fd = pair[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

/* The answer is in the socket before the question is asked. */
static void answer(struct vg_vfu_memory m, const int *fds, int count)
{
	m.size = sizeof(m);
	assert_int_equal(vg_send_fds(pair[1], &m, sizeof(m), fds, count), 0);
}

static int first_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* What the server has is taken or closed, whatever it is. */
static void answers(void **state)
{
	int fds[5], before;
	struct vg_vfu_ask ask;
	struct vg_pages p;

	(void)state;
	for (int i = 0; i < 5; i++)
		fds[i] = memory(F_SEAL_SHRINK);
	before = first_free();
	answer((struct vg_vfu_memory){ .status = ENOENT }, NULL, 0);
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_REGION, 7, &p), -ENOENT);
	assert_int_equal(read(pair[1], &ask, sizeof(ask)), sizeof(ask));
	assert_int_equal(ask.op, VG_VFU_ASK_REGION);
	assert_int_equal(ask.region, 7);
	answer((struct vg_vfu_memory){ .status = ENOENT }, fds, 3);
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_REGION, 7, &p), -ENOENT);
	answer((struct vg_vfu_memory){ 0 }, NULL, 0);
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_REGION, 7, &p), -EPROTO);
	answer((struct vg_vfu_memory){ 0 }, fds, 2);
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_MEMORY, 0, &p), -EPROTO);
	/* One file more than a region may have. */
	answer((struct vg_vfu_memory){ 0 }, fds, 4);
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_REGION, 7, &p), -EBADMSG);
	assert_int_equal(write(pair[1], &ask, sizeof(ask)), sizeof(ask));
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_REGION, 7, &p), -EBADMSG);
	assert_int_equal(first_free(), before);

	answer((struct vg_vfu_memory){ .runs = 1, .va = 2, .bytes = 3 }, fds, 5);
	assert_int_equal(vg_pages_ask(&ch, VG_VFU_ASK_MEMORY, 0, &p), 0);
	assert_int_equal(p.files, 2);
	assert_true(p.runs == 1 && p.va == 2 && p.bytes == 3 && p.doorbell >= 0 && p.raise >= 0);
	close(p.doorbell);
	close(p.raise);
	vg_pages_close(&p);
	assert_int_equal(first_free(), before);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

static void mapped(void **state)
{
	const struct vg_vfu_run run[] = {
		{ .offset = 5 * PAGE, .bytes = PAGE }, { .offset = PAGE, .bytes = 2 * PAGE, .file = 1 },
		{ .offset = 7 * PAGE, .bytes = PAGE },
	};
	const uint32_t want[] = { 5, 1, 2, 7 };
	int file = memory(F_SEAL_SHRINK);
	struct vg_pages p = { .bytes = 4 * PAGE, .runs = 3, .list = list(run, 3), .files = 2,
			      .file = { file, dup(file) } };
	uint8_t *base = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_int_equal(vg_pages_map(&p, base), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(*(uint32_t *)(base + i * PAGE), want[i]);
	*(uint32_t *)base = 99;
	assert_int_equal(pread(file, base + PAGE, 4, 5 * PAGE), 4);
	assert_int_equal(*(uint32_t *)(base + PAGE), 99);
	munmap(base, 4 * PAGE);
	vg_pages_close(&p);
}

/* Each is one page of two that are asked for, and a second run that is right. */
static void refused(void **state)
{
	static const struct {
		const char *what;
		struct vg_vfu_run run;
		uint32_t runs;
		int seals;
	} bad[] = {
		{ "no bytes", { 0, 0, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "a part of a page", { 0, 100, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "an offset between pages", { 8, PAGE, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "another file", { 0, PAGE, 1, 0 }, 2, F_SEAL_SHRINK },
		{ "no file", { 0, PAGE, UINT32_MAX, 0 }, 2, F_SEAL_SHRINK },
		{ "reserved bits", { 0, PAGE, 0, 1 }, 2, F_SEAL_SHRINK },
		{ "beyond the file", { PAGES * PAGE, PAGE, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "far beyond the file", { UINT64_MAX - PAGE + 1, PAGE, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "more than there is room for", { 0, 2 * PAGE, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "very much more", { 0, UINT64_MAX - PAGE + 1, 0, 0 }, 2, F_SEAL_SHRINK },
		{ "less than was said", { 0, PAGE, 0, 0 }, 1, F_SEAL_SHRINK },
		{ "fewer runs than were said", { 0, PAGE, 0, 0 }, 3, F_SEAL_SHRINK },
		{ "more runs than may be", { 0, PAGE, 0, 0 }, VG_VFU_RUNS_MAX + 1, F_SEAL_SHRINK },
		{ "a file that can shrink", { 0, PAGE, 0, 0 }, 2, F_SEAL_GROW },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct vg_vfu_run run[] = { bad[i].run, { .offset = PAGE, .bytes = PAGE } };
		struct vg_pages p = { .bytes = 2 * PAGE, .runs = bad[i].runs, .list = list(run, 2),
				      .files = 1, .file = { memory(bad[i].seals) } };
		uint8_t *base = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (vg_pages_map(&p, base) != -EPROTO)
			fail_msg("mapped: %s", bad[i].what);
		/* Nothing beyond what was to be mapped is touched. */
		assert_int_equal(mprotect(base + 2 * PAGE, 2 * PAGE, PROT_READ), 0);
		assert_int_equal(base[2 * PAGE] | base[3 * PAGE], 0);
		munmap(base, 4 * PAGE);
		vg_pages_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test(mapped),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
