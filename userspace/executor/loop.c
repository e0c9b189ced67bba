// SPDX-License-Identifier: Apache-2.0
/*
 * The executor's end of the ring: take records in order, run them, answer.
 * The barriers are those of linux/vgpu_ring.h.  A record is copied before
 * anything in it is looked at twice.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/ring_sync.h"
#include "calls.h"
#include "exec_internal.h"
#include "timing.h"
#include "vg_cuda.h"

static void defer(struct vg_exec *x, uint16_t op, CUresult result)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&x->deferred, &none, (uint64_t)op << 32 | (uint32_t)result);
}

static void answer(struct vg_exec *x, uint32_t index, CUresult result, const struct vg_reply *rp,
		   uint32_t notice)
{
	struct vgpu_slot *slot = &x->ch.slots[index];
	uint64_t deferred = atomic_exchange(&x->deferred, 0);

	if (rp->bytes)
		memcpy(slot->payload, rp->payload, rp->bytes);
	slot->len = rp->bytes;
	slot->status = result;
	slot->deferred = (int32_t)(uint32_t)deferred;
	slot->deferred_op = deferred >> 32;
	slot->notice = notice;
	vg_store_release(&slot->done, ++x->slot_done[index]);
	vg_full_fence();	/* done before the look; pairs with the guest's */
	if (vg_load(&slot->parked))
		vg_channel_wake(&x->ch, &slot->done);
}

static void count_fault(struct vg_exec *x)
{
	atomic_fetch_add_explicit(&x->entry->faults, 1, memory_order_relaxed);
}

void vg_exec_contexts_changed(struct vg_exec *x)
{
	atomic_fetch_add(&x->context_epoch, 1);
}

static CUresult make_current(struct vg_exec *x, uint32_t id, struct vg_current *current)
{
	uint32_t epoch = atomic_load(&x->context_epoch);
	uint64_t ctx = 0;
	CUresult result;

	if (id == current->id && epoch == current->epoch)
		return CUDA_SUCCESS;
	if (id && !vg_handle_get(x->handles, id, VG_CONTEXT, &ctx))
		return vg_wrong_handle(VG_CONTEXT);
	result = cu.cuCtxSetCurrent((CUcontext)(uintptr_t)ctx);
	if (!result)
		*current = (struct vg_current){ id, epoch };
	return result;
}

/* Errors after which a context is lost, by CUDA's documentation. */
static bool sticky(CUresult result)
{
	return result == CUDA_ERROR_ILLEGAL_ADDRESS || result == CUDA_ERROR_LAUNCH_FAILED ||
	       result == CUDA_ERROR_LAUNCH_TIMEOUT || result == CUDA_ERROR_ASSERT ||
	       result == CUDA_ERROR_MISALIGNED_ADDRESS ||
	       result == CUDA_ERROR_INVALID_ADDRESS_SPACE || result == CUDA_ERROR_INVALID_PC ||
	       result == CUDA_ERROR_ILLEGAL_INSTRUCTION ||
	       result == CUDA_ERROR_HARDWARE_STACK_ERROR || result == CUDA_ERROR_ECC_UNCORRECTABLE;
}

/* What a call gives back, before it is told. */
struct outcome {
	CUresult result;
	struct vg_reply reply;
	uint32_t notice;
};

/*
 * The rest of run() where the vGPU has a share of GPU time, or a limit on kernels. The limit's clock
 * runs for what the device does, and not while the vGPU waits for its turn.
 */
static __attribute__((noinline, cold)) CUresult run_watched(struct vg_exec *x,
							    const struct vg_op *op,
							    const struct vg_req *rq,
							    struct outcome *out)
{
	struct vg_work work;
	bool counts = vg_turns_on(x) && vg_turn_take(x, op, rq, &work);
	void *launch = vg_progress_begin(x, op, rq);
	CUresult r = op->run(x, rq, &out->reply);

	if (launch)
		vg_progress_end(launch);
	if (counts)
		vg_turn_taken(x, &work);
	return r;
}

static bool is_watched(const struct vg_exec *x)
{
	return __builtin_expect(vg_turns_on(x) || x->progress ||
				atomic_load_explicit(&x->account->kernel_ms,
						     memory_order_relaxed), 0);
}

/* The rest of run(), between two events in the record's stream. */
static __attribute__((noinline, cold)) CUresult run_timed(struct vg_exec *x, const struct vg_op *op,
							  const struct vg_req *rq,
							  struct outcome *out)
{
	CUresult r = out->result;

	vg_timing_begin(x, op, rq);
	if (!r || !op->needs_ctx)
		r = is_watched(x) ? run_watched(x, op, rq, out) : op->run(x, rq, &out->reply);
	vg_timing_end(r);
	return r;
}

static void run(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq,
		struct vg_current *current, struct outcome *out)
{
	static __thread uint8_t payload[VG_REPLY_MAX] __attribute__((aligned(16)));

	out->reply = (struct vg_reply){ .payload = payload };
	out->notice = 0;
	if (rq->flags & VGPU_REC_REPLY)
		memset(payload, 0, sizeof(payload));
	/*
	 * The caller's context is this thread's for every call, as it was the caller's own:
	 * some calls use a context although they need none.
	 */
	out->result = make_current(x, rq->ctx, current);
	if (__builtin_expect(!!(rq->flags & VGPU_REC_TIMED), 0))
		out->result = run_timed(x, op, rq, out);
	else if (!out->result || !op->needs_ctx)
		out->result = is_watched(x) ? run_watched(x, op, rq, out) :
					      op->run(x, rq, &out->reply);
	if (out->reply.bytes > VG_REPLY_MAX)
		out->reply.bytes = VG_REPLY_MAX;
	/*
	 * The driver prints when it has waited for the device: for the program, or because a
	 * module or a context goes.  Who fetches the output asks until there is none.
	 */
	if (rq->flags & VGPU_REC_REPLY && rq->op != VG_OP_OUTPUT)
		out->notice = vg_output_notice();
	if (out->result) {
		vg_debug("%s: %d", op->name, out->result);
		if (sticky(out->result))
			count_fault(x);
	}
}

static void tell(struct vg_exec *x, const struct vg_req *rq, const struct outcome *out)
{
	if (rq->flags & VGPU_REC_REPLY)
		answer(x, rq->slot, out->result, &out->reply, out->notice);
	else if (out->result)
		defer(x, rq->op, out->result);
}

/* A request that does not reach the driver. */
static void decline(struct vg_exec *x, const struct vg_req *rq, CUresult result)
{
	struct vg_reply none = { 0 };

	vg_debug("op %u: refused, %d", rq->op, result);
	if (rq->timed)
		vg_timing_none(rq->timed, VG_SPAN_FAILED);
	if (rq->flags & VGPU_REC_REPLY)
		answer(x, rq->slot, result, &none, 0);
	else
		defer(x, rq->op, result);
}

/* One that breaks the protocol itself, not CUDA's rules. */
static void refuse(struct vg_exec *x, const struct vg_req *rq, CUresult result)
{
	count_fault(x);
	decline(x, rq, result);
}

/*
 * Only who has the role counts calls, so no locked instruction is needed, which would
 * wait until the device has taken the driver's last write to its doorbell.
 */
static void count_call(struct vg_exec *x)
{
	uint64_t n = atomic_load_explicit(&x->entry->calls, memory_order_relaxed);

	atomic_store_explicit(&x->entry->calls, n + 1, memory_order_relaxed);
}

static void die(struct vg_exec *x, const char *what)
{
	count_fault(x);
	vg_err("the guest broke the ring (%s); ending", what);
	_exit(EXIT_FAILURE);
}

/* Take struct vg_timed off the end of the payload. */
static bool take_tag(struct vg_req *rq)
{
	struct vg_timed t;

	if (rq->bytes < sizeof(t))
		return false;
	rq->bytes -= sizeof(t);
	memcpy(&t, (const uint8_t *)rq->payload + rq->bytes, sizeof(t));
	rq->timed = t.tag;
	return true;
}

/* The operation of a request, or NULL: it has been refused. */
static const struct vg_op *admit(struct vg_exec *x, struct vg_req *rq)
{
	const struct vg_op *op;

	count_call(x);
	vg_exec_spend(x, VG_BUCKET_CALLS, 1);
	/* Without a slot there is nowhere to say no, and its submitter would wait for ever. */
	if ((rq->flags & VGPU_REC_REPLY) && rq->slot >= x->ch.layout.slot_count)
		die(x, "slot");
	if (rq->flags & ~(VGPU_REC_REPLY | VGPU_REC_TIMED) ||
	    (rq->flags & VGPU_REC_TIMED && !take_tag(rq))) {
		refuse(x, rq, CUDA_ERROR_INVALID_VALUE);
		return NULL;
	}
	op = rq->op < vg_ops_count ? &vg_ops[rq->op] : NULL;
	if (!op || !op->run) {
		refuse(x, rq, CUDA_ERROR_NOT_SUPPORTED);
		return NULL;
	}
	/* The record's length is rounded up to VGPU_REC_ALIGN. */
	if (rq->bytes < op->min_bytes || rq->bytes >= op->max_bytes + VGPU_REC_ALIGN) {
		refuse(x, rq, CUDA_ERROR_INVALID_VALUE);
		return NULL;
	}
	if (atomic_load_explicit(&vg_capture_any, memory_order_relaxed) && op->adds) {
		CUresult r = vg_capture_count(x, op->adds, rq);

		if (r) {
			decline(x, rq, r);
			return NULL;
		}
	}
	return op;
}

/* Bytes of the record at head, after checks; its private copy in buf. */
static uint32_t take(struct vg_exec *x, uint64_t head, uint64_t tail, uint8_t *buf)
{
	const struct vg_channel *ch = &x->ch;
	uint32_t at = head & (ch->layout.sq_bytes - 1);
	struct vgpu_rec *rec = (struct vgpu_rec *)buf;
	uint32_t to_end = ch->layout.sq_bytes - at;

	memcpy(rec, ch->sq + at, sizeof(*rec));
	if (rec->size < sizeof(*rec) || rec->size % VGPU_REC_ALIGN || rec->size > to_end ||
	    rec->size > tail - head)
		die(x, "record size");
	if (rec->op == VGPU_OP_PAD)
		return rec->size;
	if (rec->size > VGPU_REC_MAX)
		die(x, "record size");
	memcpy(rec + 1, ch->sq + at + sizeof(*rec), rec->size - sizeof(*rec));
	return rec->size;
}

/* The lines of the next record come from the guest's cache while this one runs. */
#define PREFETCH_BYTES 192u	/* a launch of some ten parameters */
#define CACHE_LINE 64u

static void prefetch(const struct vg_exec *x, uint64_t head, uint64_t tail)
{
	uint32_t mask = x->ch.layout.sq_bytes - 1;

	for (uint32_t at = 0; at < PREFETCH_BYTES && at < tail - head; at += CACHE_LINE)
		__builtin_prefetch(x->ch.sq + ((head + at) & mask));
}

/* How many bytes of records are taken before the guest may use their place again. */
#define ADVANCE_BYTES (16u << 10)

static void advance(struct vg_exec *x, uint64_t head)
{
	struct vgpu_ring *ring = x->ch.ring;
	uint32_t wanted;

	atomic_store_explicit(&x->head, head, memory_order_release);
	vg_store_release64(&ring->sq_head, head);
	vg_full_fence();	/* head before the look; pairs with the guest's */
	wanted = vg_load(&ring->space_wanted);
	if (wanted && (int32_t)((uint32_t)head - (wanted - 1)) >= 0)
		vg_channel_wake(&x->ch, (const uint32_t *)&ring->sq_head);
}

/*
 * Consume records until one may block: that is left in rq and buf, and the role
 * is lent.  NULL: there was nothing for a long time, and another thread may have
 * the role.
 */
static const struct vg_op *consume(struct vg_exec *x, struct vg_req *rq, uint8_t *buf,
				   struct vg_current *current)
{
	const struct vgpu_rec *rec = (const struct vgpu_rec *)buf;
	struct vgpu_ring *ring = x->ch.ring;
	uint64_t head = atomic_load(&x->head), told;
	const struct vg_op *op;
	uint64_t tail;
	uint32_t size;

	for (;;) {
		tail = vg_load_acquire64(&ring->sq_tail);
		if (tail == head) {
			if (!vg_role_idle(x))
				return NULL;
			/* Another thread may have had the role meanwhile. */
			head = atomic_load(&x->head);
			continue;
		}
		if (tail - head > x->ch.layout.sq_bytes || tail % VGPU_REC_ALIGN)
			die(x, "tail");
		/* The sentinel may have said so a moment too late. */
		if (vg_load(&ring->host_parked) != VGPU_HOST_AWAKE)
			vg_store(&ring->host_parked, VGPU_HOST_AWAKE);
		for (told = head; head != tail;) {
			size = take(x, head, tail, buf);
			*rq = (struct vg_req){
				.op = rec->op, .flags = rec->flags, .ctx = rec->tag,
				.slot = rec->slot, .bytes = size - sizeof(*rec), .payload = rec + 1,
			};
			op = rec->op == VGPU_OP_PAD ? NULL : admit(x, rq);
			head += size;
			prefetch(x, head, tail);
			if (op && rq->op != VG_OP_vgpu_copy_in)
				vg_pace_call(rq->op);
			if (op && op->mode == VG_BLOCKING && (rq->flags & VGPU_REC_REPLY)) {
				CUresult r = vg_underway_begin(x, op, rq);

				if (!r) {
					advance(x, head);
					vg_role_lend(x);
					return op;
				}
				decline(x, rq, r);
				op = NULL;
			}
			/* Its data in the arena is the executor's until the head passes. */
			if (op) {
				struct outcome out;

				if (op->graphs)
					vg_exec_settle_graphs(x);
				run(x, op, rq, current, &out);
				tell(x, rq, &out);
			}
			if (head == tail || head - told >= ADVANCE_BYTES) {
				advance(x, head);
				told = head;
			}
		}
	}
}

/*
 * CUDA lets a green context be current to one thread at a time; a guest's thread that
 * keeps to that may be served by another of ours from here on.
 */
static void leave_green(struct vg_exec *x, struct vg_current *current)
{
	if (!current->id || vg_x_home(current->id) == current->id)
		return;
	cu.cuCtxSetCurrent(NULL);
	*current = (struct vg_current){ .epoch = atomic_load(&x->context_epoch) };
}

void vg_loop_run(struct vg_exec *x)
{
	static __thread uint8_t buf[VGPU_REC_MAX] __attribute__((aligned(16)));
	struct vg_current current = { 0 };
	const struct vg_op *op;
	struct outcome out;
	struct vg_req rq;
	bool mine;

	for (;;) {
		leave_green(x, &current);
		vg_role_watch(x);
		for (mine = true; mine;) {
			op = consume(x, &rq, buf, &current);
			if (!op)
				break;
			run(x, op, &rq, &current, &out);
			vg_underway_end();
			/* Whoever has waited for the device may find memory free that it used. */
			vg_exec_settle_memory(x, false);
			if (!out.result)
				vg_pace_waited();
			leave_green(x, &current);
			/* Before the guest hears of it, and rings for its next call. */
			mine = vg_role_return(x);
			tell(x, &rq, &out);
		}
	}
}

struct vg_handles *vg_exec_handles(struct vg_exec *x)
{
	return x->handles;
}
