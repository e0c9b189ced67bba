// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzz target: what executors say to the mediator about shared things, in sequences.
 * Each step of the input: who speaks, what kind of request, and either the raw bytes of
 * the request or one that names a token which was given out before.  After each step the
 * counts that the mediator keeps have to be within their bounds.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "mediator/mediator.h"

#define PROCS 4				/* two of each of two vGPUs */
#define NAMES 16

int vg_source_add(struct vg_source *s, uint32_t events)
{
	(void)s;
	(void)events;
	return 0;
}

void vg_source_remove(struct vg_source *s)
{
	(void)s;
}

int64_t vg_now_ms(void)
{
	return 0;
}

static struct vg_tenant *tenants[2];
static int null_fd, memory_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	vg_log_init("fuzz", VG_ERROR);
	null_fd = open("/dev/null", O_RDONLY);
	memory_fd = memfd_create("fuzz", MFD_CLOEXEC);
	return 0;
}

struct input {
	const uint8_t *data;
	size_t bytes;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	if (n > in->bytes)
		n = in->bytes;
	memcpy(&v, in->data, n);
	in->data += n;
	in->bytes -= n;
	return v;
}

static void step(struct input *in, struct vg_proc *procs, uint8_t (*names)[VG_TOKEN_BYTES],
		 unsigned int *given)
{
	struct vg_token_request rq = { .size = sizeof(rq) };
	struct vg_token_answer answer;
	uint64_t how = take(in, 2);
	struct vg_proc *p = &procs[how % PROCS];
	int fd = how & 0x100 ? dup(how & 0x2000 ? null_fd : memory_fd) : -1, out = -1;

	rq.op = how >> 2 & 7;
	rq.kind = how >> 5 & 7;
	if (how & 0x200) {
		for (size_t i = 0; i < sizeof(rq); i += 8) {
			uint64_t v = take(in, 8);

			memcpy((uint8_t *)&rq + i, &v, sizeof(rq) - i < 8 ? sizeof(rq) - i : 8);
		}
	} else {
		memcpy(rq.token, names[how >> 10 & (NAMES - 1)], sizeof(rq.token));
		rq.bytes = take(in, 1 + (how >> 14 & 3) * 2);
	}
	if (how >> 12 == 15) {
		vg_tokens_forget(p);	/* its process has ended */
	} else if (!vg_token_serve(p, &rq, fd, &answer, &out) && rq.op == VG_TOKEN_OFFER &&
		   !answer.status) {
		memcpy(names[(*given)++ % NAMES], answer.token, VG_TOKEN_BYTES);
	}
	if (fd >= 0)
		close(fd);
	if (rq.op == VG_TOKEN_WITHDRAW && out >= 0)
		close(out);		/* the executor's again */
	if (p->tenant->token_count > 4096 || p->tenant->token_fds > 512)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t names[NAMES][VG_TOKEN_BYTES] = { { 0 } };
	struct vg_proc procs[PROCS] = { 0 };
	struct input in = { data, bytes };
	unsigned int given = 0;

	for (int i = 0; i < 2; i++)
		tenants[i] = vg_tenant_new(i ? "b" : "a", "A", "t", "", UINT64_MAX);
	for (int i = 0; i < PROCS; i++) {
		procs[i].tenant = tenants[i / 2];
		procs[i].state = VG_PROC_SERVING;
		procs[i].control.fd = procs[i].client.fd = -1;
		procs[i].account = vg_tenant_entry(tenants[i / 2]);
	}
	while (in.bytes)
		step(&in, procs, names, &given);
	for (int i = 0; i < PROCS; i++)
		vg_tokens_forget(&procs[i]);
	for (int i = 0; i < 2; i++) {
		if (tenants[i]->token_count || tenants[i]->token_fds)
			abort();
		vg_tenant_free(tenants[i]);
	}
	return 0;
}
