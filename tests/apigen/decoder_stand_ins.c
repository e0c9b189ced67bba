// SPDX-License-Identifier: Apache-2.0
/*
 * What stands in for the executor and the driver where the decoders run alone: in the
 * decoder test, and in the fuzz target tests/fuzz/decoder.c.
 */
#include "decoder_stand_ins.h"

#include "calls.h"
#include "exec_calls.h"
#include "vg_cuda.h"

struct vg_channel;
void vg_channel_wake(struct vg_channel *ch, const uint32_t *word);

unsigned int reached;
bool handles_exist;

struct vg_exec {
	int unused;
};

struct vg_exec executor;
static uint64_t thing[128];		/* what a handle stands for */

struct vg_handles *vg_exec_handles(struct vg_exec *x)
{
	return (struct vg_handles *)x;
}

enum vg_reserved vg_handle_reserve(struct vg_handles *h, uint32_t id, enum vg_kind kind,
				   uint32_t owner, uint32_t ctx, uint64_t more, uint64_t *serial)
{
	(void)h;
	(void)kind;
	(void)owner;
	(void)ctx;
	(void)more;
	(void)id;
	*serial = 1;
	return handles_exist ? VG_RESERVED_OK : VG_RESERVED_NOT;
}

bool vg_handle_bind(struct vg_handles *h, uint32_t id, uint64_t serial, enum vg_kind kind,
		    uint64_t value)
{
	(void)h;
	(void)serial;
	(void)kind;
	(void)value;
	(void)id;
	return handles_exist;
}

void vg_handle_give_up(struct vg_handles *h, uint32_t id, uint64_t serial)
{
	(void)h;
	(void)serial;
	(void)id;
}

bool vg_handle_orphan(struct vg_handles *h, uint32_t gone, struct vg_orphan *out)
{
	(void)h;
	(void)gone;
	(void)out;
	return false;
}

bool vg_handle_id_of(struct vg_handles *h, enum vg_kind kind, uint64_t value, uint32_t *id)
{
	(void)h;
	(void)kind;
	(void)value;
	*id = 0;
	return false;
}

bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	(void)h;
	(void)kind;
	*value = (uintptr_t)thing;
	return id && handles_exist;
}

bool vg_handle_take(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	return vg_handle_get(h, id, kind, value);
}

bool vg_handle_lose(struct vg_handles *h, uint32_t id, enum vg_kind kind)
{
	(void)h;
	(void)kind;
	return id && handles_exist;
}

bool vg_handle_weigh(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more)
{
	(void)h;
	(void)kind;
	(void)more;
	return id && handles_exist;
}

bool vg_handle_weigh_at_least(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t bytes)
	__attribute__((alias("vg_handle_weigh")));
bool vg_handle_weigh_held(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more)
	__attribute__((alias("vg_handle_weigh")));

void vg_handle_lighten(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t less)
{
	(void)h;
	(void)id;
	(void)kind;
	(void)less;
}

uint64_t vg_handle_weight(struct vg_handles *h, uint32_t id)
{
	(void)h;
	(void)id;
	return 0;
}

bool vg_handle_set_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t owner)
{
	(void)h;
	(void)id;
	(void)kind;
	(void)owner;
	return true;
}

bool vg_handle_get_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *owner)
{
	(void)h;
	(void)id;
	(void)kind;
	*owner = 0;
	return false;
}

uint32_t vg_handle_root(struct vg_handles *h, uint32_t id)
{
	(void)h;
	return id;
}

bool vg_handle_owns(struct vg_handles *h, uint32_t id, uint32_t of)
{
	(void)h;
	(void)id;
	(void)of;
	return false;
}

bool vg_handle_get_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *ctx)
	__attribute__((alias("vg_handle_get_owner")));

bool vg_handle_serial(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *serial)
{
	(void)h;
	(void)kind;
	*serial = 1;
	return id && handles_exist;
}

void *vg_exec_arena(struct vg_exec *x, uint32_t off, uint64_t bytes)
{
	static char arena[4096];

	(void)x;
	return off <= sizeof(arena) && bytes <= sizeof(arena) - off ? arena + off : NULL;
}

const void *vg_exec_blob_take(struct vg_exec *x, uint32_t id, size_t *bytes)
{
	(void)x;
	*bytes = 5;
	return id && handles_exist ? "blob" : NULL;
}

void vg_exec_blob_free(struct vg_exec *x, const void *data, size_t bytes)
{
	(void)x;
	(void)data;
	(void)bytes;
}

bool vg_exec_charge(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
	reached++;		/* an allocation is about to be made */
	return false;
}

bool vg_exec_owe(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
	return true;
}

bool vg_exec_charge_quickly(struct vg_exec *x, uint64_t bytes)
{
	return vg_exec_charge(x, bytes);
}

bool vg_exec_reconcile(struct vg_exec *x, bool at_once)
{
	(void)at_once;
	(void)x;
	return true;
}

void vg_exec_leave_to_driver(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
}

uint64_t vg_exec_beyond(struct vg_exec *x)
{
	(void)x;
	return 0;
}

void vg_exec_unsettled(struct vg_exec *x)
{
	(void)x;
}

void vg_exec_settle_memory(struct vg_exec *x, bool idle)
{
	(void)x;
	(void)idle;
}

bool vg_exec_context_take(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
	return true;
}

void vg_exec_context_give(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
}

bool vg_exec_tells(struct vg_exec *x)
{
	(void)x;
	return true;
}

uint64_t vg_exec_held(struct vg_exec *x)
{
	(void)x;
	return 0;
}

void vg_exec_uncharge(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	(void)bytes;
}

void vg_exec_memory(struct vg_exec *x, uint64_t *used, uint64_t *limit)
{
	(void)x;
	*used = *limit = 0;
}

bool vg_exec_wait_for_ending(struct vg_exec *x)
{
	(void)x;
	return false;
}

CUresult vg_exec_offer(struct vg_exec *x, enum vg_token_kind kind, uint64_t bytes, const void *data,
		       size_t data_bytes, int fd, vgpu_token *token)
{
	(void)x;
	(void)kind;
	(void)bytes;
	(void)data;
	(void)data_bytes;
	(void)fd;
	(void)token;
	reached++;
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult vg_exec_take(struct vg_exec *x, enum vg_token_kind kind, const vgpu_token *token,
		      uint64_t *bytes, void *data, size_t data_bytes, int *fd)
{
	(void)x;
	(void)kind;
	(void)token;
	(void)bytes;
	(void)data;
	(void)data_bytes;
	(void)fd;
	reached++;
	return CUDA_ERROR_INVALID_VALUE;
}

void vg_exec_leave(struct vg_exec *x, const vgpu_token *token)
{
	(void)x;
	(void)token;
}

void vg_exec_withdraw(struct vg_exec *x, const vgpu_token *token)
{
	(void)x;
	(void)token;
}

void vg_exec_context(struct vg_exec *x, int device, int change)
{
	(void)x;
	(void)device;
	(void)change;
}

unsigned int vg_exec_processes(struct vg_exec *x, int device, uint32_t *pid, uint64_t *memory,
			       unsigned int max)
{
	(void)x;
	(void)device;
	(void)pid;
	(void)memory;
	(void)max;
	return 0;
}

void vg_exec_contexts_changed(struct vg_exec *x)
{
	(void)x;
}

void vg_exec_settle(struct vg_exec *x, uint32_t id)
{
	(void)x;
	(void)id;
}

void vg_exec_settle_graphs(struct vg_exec *x)
{
	(void)x;
}

void vg_exec_settle_reads(struct vg_exec *x, uint32_t stream)
{
	(void)x;
	(void)stream;
}

bool vg_exec_shared(struct vg_exec *x, uint64_t va, uint64_t bytes)
{
	(void)x;
	(void)va;
	(void)bytes;
	return false;
}

void vg_channel_wake(struct vg_channel *ch, const uint32_t *word)
{
	(void)ch;
	(void)word;
}

void vg_progress_context_gone(CUcontext context)
{
	(void)context;
}

void vg_exec_before_move(struct vg_exec *x)
{
	(void)x;
}

void vg_exec_moved(struct vg_exec *x, uint64_t in, uint64_t out)
{
	(void)x;
	(void)in;
	(void)out;
}

void vg_exec_moved_direct(struct vg_exec *x, uint64_t in, uint64_t out)
{
	(void)x;
	(void)in;
	(void)out;
}

static CUresult internal(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
{
	(void)x;
	(void)rq;
	(void)rp;
	return CUDA_SUCCESS;
}

CUresult vg_internal_hello(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));
CUresult vg_internal_blob_append(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));
CUresult vg_internal_nop(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));
CUresult vg_internal_exit(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));
CUresult vg_internal_share(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));
CUresult vg_internal_unshare(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));
CUresult vg_internal_output(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp)
	__attribute__((alias("internal")));

static CUresult driver(void)
{
	reached++;
	return CUDA_ERROR_UNKNOWN;
}

void stand_in_for_driver(void)
{
	CUresult (**function)(void) = (CUresult (**)(void))(void *)&cu;

	for (size_t i = 0; i < sizeof(cu) / sizeof(*function); i++)
		function[i] = driver;
}
