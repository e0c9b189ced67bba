/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcuda.so.1 of the guest: what its parts share.
 *
 * Exported functions are generated (shim_exports.c).  Each checks that cuInit()
 * has run, then calls either a generated encoder (vgw_*, shim_wire.c), which
 * checks arguments and sends one record, or a hand-written body (vgh_*), which
 * answers from what the guest knows or calls encoders.
 */
#ifndef VG_SHIM_H
#define VG_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cuda_abi.h"
#include "handles.h"
#include "vg_wire.h"
#include "client.h"

#define VG_EXPORT __attribute__((visibility("default")))
#define VG_UP8(n) (((uint64_t)(n) + 7) & ~(uint64_t)7)
#define VG_DEVICES_MAX 64
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Copy into a record; the next part starts on 8 bytes. */
static inline uint8_t *vg_put(uint8_t *to, const void *from, uint64_t bytes)
{
	if (bytes)
		memcpy(to, from, bytes);
	return to + VG_UP8(bytes);
}

/* -- objects.c: handles.  A handle is the address of one of these. */

struct vg_object {
	_Atomic uint32_t kind;		/* enum vg_kind; VG_NONE when free */
	uint32_t id;			/* what goes on the wire */
	_Atomic uint32_t generation;	/* of this slot, so that a reuse shows */
	union {
		uint32_t next;		/* free list, of ids that the guest chooses */
		uint32_t life;		/* of an id that the executor chooses (executor/handles.h) */
	};
	uint32_t owner;			/* id of what takes it along; set by vg_object_own() */
	uint32_t flags;			/* of a stream or an event */
	uint32_t born;			/* its enum vg_kind, also while it goes */
	uint32_t zero;
	void *data;			/* the kind's own; release() frees it */
	void (*release)(struct vg_object *o);
	uint64_t value[2];		/* the kind's own */
};

_Static_assert(sizeof(struct vg_object) == 64, "a cache line");

struct vg_context;

CUresult vg_object_new(enum vg_kind kind, struct vg_object **o);
/* The object if the handle is one of this kind, or NULL. */
struct vg_object *vg_object_get(const void *handle, enum vg_kind kind);
/* What CUDA answers to a handle that is none of this kind. */
static inline CUresult vg_object_wrong(const void *handle, enum vg_kind kind)
{
	return handle ? vg_wrong_handle(kind) : vg_no_handle(kind);
}

/* Its id, or an error: vg_object_wrong(). */
CUresult vg_object_id(const void *handle, enum vg_kind kind, uint32_t *id);
/* The context that holds it, through whatever does; NULL if none does. */
struct vg_context *vg_object_context(const void *handle, enum vg_kind kind);
struct vg_object *vg_object_by_id(uint32_t id, enum vg_kind kind);
/* Likewise, of the ids that the executor chooses too, as far as they have been seen. */
struct vg_object *vg_object_any(uint32_t id, enum vg_kind kind);
/* The object of an id that the executor has told, made when first seen; NULL if it is none. */
struct vg_object *vg_object_adopt(uint32_t told, enum vg_kind kind, uint32_t owner);
/* Destroying: take the handle away (once), send, then free the slot; or give it back. */
CUresult vg_object_take(const void *handle, enum vg_kind kind, struct vg_object **o);
void vg_object_untake(struct vg_object *o, enum vg_kind kind);
/* It goes with the object of this id from here on; 0: with none. */
void vg_object_own(struct vg_object *o, uint32_t owner);
/* Free a slot, and with it all that it owns. */
void vg_object_drop(struct vg_object *o);
/* Free all that it owns. */
void vg_object_orphans(struct vg_object *o);

static inline uint32_t vg_object_wire(const struct vg_object *o)
{
	return o->id;
}

/* -- state.c: what a process and a thread are doing. */

struct vg_context {
	struct vg_object *object;
	struct vg_object *home;		/* whose all but streams is: a green one's is the primary */
	struct vg_object *green;	/* of a context that stands for a green one */
	CUdevice device;
	unsigned int flags;
	unsigned int api;
	bool primary;
	_Atomic bool active;		/* a primary context comes and goes */
	_Atomic unsigned int attached;	/* by cuCtxAttach(), and not yet detached */
	_Atomic int poison;		/* the sticky error that ended it, or 0 */
	uint64_t unique;
	int priority_known, priority_least, priority_greatest;
};

/*
 * CUDA_SUCCESS once cuInit() has succeeded in this process, CUDA_ERROR_DEINITIALIZED when
 * the process ends, else CUDA_ERROR_NOT_INITIALIZED.
 */
CUresult vg_ready(void);
void vg_set_ready(void);
bool vg_forked(void);

/* The calling thread's context, or NULL. */
struct vg_context *vg_current(void);
/* CUDA_SUCCESS if there is one, and it lives, and no sticky error has ended it. */
CUresult vg_context_ready(void);
/*
 * On a thread that has no context, that of an object is its own for the one call that
 * names it: true, and then vg_lend_end() follows.
 */
bool vg_lend_context(struct vg_context *c);
bool vg_lend_by(const void *handle, enum vg_kind kind);
void vg_lend_end(void);
static inline bool vg_lend(const void *handle, enum vg_kind kind)
{
	return unlikely(!vg_thread_tag) && vg_lend_by(handle, kind);
}

/* This thread runs host functions: it may not have a context. */
void vg_callback_thread(void);
CUresult vg_context_push(struct vg_object *context);
CUresult vg_context_pop(struct vg_object **context);
CUresult vg_context_replace(struct vg_object *context);
/* A living context by its object's id, or NULL. */
struct vg_context *vg_context_by_id(uint32_t id);
static inline struct vg_context *vg_context_of(struct vg_object *o)
{
	return o->data;
}

/* A stream's id; the per-thread stream is created when a thread first names it. */
CUresult vg_stream_id(CUstream s, uint32_t *id);
/* The object of a stream that has one; NULL for the legacy stream. */
CUresult vg_stream_object(CUstream s, struct vg_object **o);

/* After an answer: the call failed; it succeeded, and an earlier one may not have; either. */
CUresult vg_failed(CUresult r);
CUresult vg_succeeded(CUresult r);
CUresult vg_answered(CUresult r);

/* CUDA_ERROR_NOT_SUPPORTED, said once on stderr for each name. */
CUresult vg_refuse(const char *name, const char *why);

/* logs.c: into the log that the program can read */
void vg_log_refusal(const char *name, const char *why);
void vg_log_failure(const char *name, CUresult result);

/* The end of each exported function: a failure is logged, an unfinished question is none. */
static inline CUresult vg_logged(const char *name, CUresult result)
{
	if (unlikely(result) && result != CUDA_ERROR_NOT_READY)
		vg_log_failure(name, result);
	return result;
}

void vg_log_environment(void);	/* reads what the environment says about it; at cuInit() */

/* -- device.c */

struct vg_device {
	struct vgpu_device_info info;
	struct vg_object *primary;	/* minted with the device, whether active or not */
	unsigned int primary_flags;
	unsigned int retains;
};

extern struct vg_device vg_devices[VG_DEVICES_MAX];
extern int vg_device_count;
/* NULL if there is no such device. */
struct vg_device *vg_device(CUdevice dev);
static inline int vg_attribute(CUdevice dev, CUdevice_attribute a)
{
	return vg_devices[dev].info.attribute[a];
}

/* -- context.c */

CUresult vg_context_new(CUdevice dev, unsigned int flags, bool primary, struct vg_object **o);

/* -- module.c */

struct vg_layout {
	bool known;
	unsigned int params;
	uint32_t bytes;			/* from the first parameter to the end of the last */
	uint16_t *offset;		/* params of them */
	uint16_t *size;
};

struct vg_function {
	char *name;
	struct vg_object *owner;	/* its module or library */
	struct vg_object *kernel;	/* the kernel it was made of, or NULL */
	struct vg_object *next;		/* in the owner's list */
	_Atomic bool fetched;
	int attribute[16];
	uint8_t known[16];
	struct vg_layout layout;
	struct vg_old_launch *old;
};

/* launch_old.c */
void vg_old_launch_free(struct vg_old_launch *l);

/* Attributes and layout of a function or a kernel on the current device, fetched once. */
CUresult vg_function_fetch(struct vg_object *o, CUdevice dev, struct vg_function **f);
/* The whole of a file, with a NUL after it, to be freed. */
CUresult vg_file(const char *name, void **out, size_t *bytes);
/* A CUfunction, or a CUkernel in its place. */
struct vg_object *vg_function_get(CUfunction f);

/* -- image.c */

/* A module's image (PTX, ELF, fatbin, wrapped fatbins) as it crosses. */
struct vg_image {
	const void *start;		/* in the program's memory, or in `own` */
	size_t bytes;
	void *own;
};

/* After success vg_image_drop(); `image` has to stay as it is until then. */
CUresult vg_image_take(struct vg_image *out, const void *image);
void vg_image_drop(struct vg_image *image);

/* -- ranges.c: every range of memory that the driver's interface knows. */

enum vg_range_kind { VG_RANGE_DEVICE = 1, VG_RANGE_HOST, VG_RANGE_REGISTERED, VG_RANGE_GLOBAL,
		     VG_RANGE_POOL, VG_RANGE_MANAGED, VG_RANGE_MAPPED, VG_RANGE_GRAPH,
		     VG_RANGE_IMPORTED /* by cuIpcOpenMemHandle() */ };

struct vg_range {
	uint64_t base, bytes;
	enum vg_range_kind kind;
	uint32_t owner;			/* id of its context; of a global, of what holds it */
	int device;
	unsigned int flags;		/* of a pool's memory and of a mapping: handle types */
	uint64_t serial;
	struct vg_hostmem *shared;	/* memory of this process that the device reaches */
	bool sync;			/* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS */
};

static inline bool vg_range_on_device(const struct vg_range *r)
{
	return r->kind == VG_RANGE_DEVICE || r->kind == VG_RANGE_POOL ||
	       r->kind == VG_RANGE_GLOBAL || r->kind == VG_RANGE_MAPPED ||
	       r->kind == VG_RANGE_IMPORTED || r->kind == VG_RANGE_GRAPH;
}

CUresult vg_range_add(uint64_t base, uint64_t bytes, enum vg_range_kind kind, unsigned int flags);
/* Memory of this process that the executor has mapped, and the driver registered. */
CUresult vg_range_add_shared(uint64_t base, uint64_t bytes, enum vg_range_kind kind,
			     unsigned int flags, struct vg_hostmem *shared);
/* Whether [p, p + bytes) is such memory. */
bool vg_range_shared(uint64_t p, uint64_t bytes);
/* The range that holds p. */
bool vg_range_find(uint64_t p, struct vg_range *r);
/* The range of one of `kinds` (a mask of 1 << kind) that starts at p; forget it. */
bool vg_range_remove(uint64_t p, unsigned int kinds, struct vg_range *r);
/* memory.c: as vg_lend(), by the memory that holds p; then whether there is a context to go on with. */
CUresult vg_range_lend(uint64_t p, bool *lent);
/* A variable of a module or a library. */
CUresult vg_range_add_global(uint64_t base, uint64_t bytes, uint32_t holder);
/* What cuMemMap() has mapped, of the allocation `holder`; flags are its handle types. */
CUresult vg_range_add_mapped(uint64_t base, uint64_t bytes, uint32_t holder, int device,
			     unsigned int flags);
/* Of a node that allocates: it stays known, whether allocated at the moment or not. */
CUresult vg_range_add_graph(uint64_t base, uint64_t bytes, int device);
/* Forget all of a context, a module or a library. */
void vg_range_forget(uint32_t owner);
/* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS of the range that holds p; false: none does. */
bool vg_range_set_sync(uint64_t p, bool on);
/* After a synchronous operation on either (0: none): wait if the program wants it so. */
CUresult vg_memop_done(CUresult r, CUstream none, uint64_t dst, uint64_t src);
/* Whether [p, p + bytes) is known device memory; if not, ask the driver what it thinks. */
bool vg_range_known(uint64_t p, uint64_t bytes);

/* -- hostmem.c */

/* cuMemFree() of managed memory. */
CUresult vg_managed_free(CUdeviceptr p);

/* -- copy.c */

CUresult vg_copy_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream s, bool wait);
/* `wait`: also where the device writes straight into dst. */
CUresult vg_copy_out(void *dst, CUdeviceptr src, size_t bytes, CUstream s, bool wait);

/* copybox.c: a box as it crosses; `host`: a side of it is memory of this process. */
CUresult vg_box(const CUDA_MEMCPY3D *p, vgpu_copy3d *c, bool *host);
/*
 * With no side of the type UNIFIED, with all pitches and heights, and with memory of this
 * process that the device reaches as the device's: a side of the type HOST is pageable.
 */
CUresult vg_box_whole(const CUDA_MEMCPY3D *p, CUDA_MEMCPY3D *whole);

/* capture.c: whether any stream may be in a capture. */
bool vg_capturing(void);

/*
 * The last answer that this thread has had was to a call that waits for the stream.  Until
 * somebody publishes another record there is nothing in it to be waited for.
 */
void vg_stream_settled(CUstream s);
/*
 * Whether a copy into the device might run at once: this thread has waited for the stream,
 * and since then nobody has published anything but such copies on it.  Other streams do not
 * matter, not even between the legacy stream and those that it waits for: CUDA itself has
 * read up to 16 KiB of page-locked memory when such a call returns (driver 580, H100).
 */
bool vg_stream_free(CUstream s);
/* This thread has just posted one, out of the program's memory into the device's. */
void vg_stream_copied(CUstream s);

/* -- tables, generated */

struct vg_symbol {
	const char *name;
	int version;
	int flag;			/* 0, or 2 for the per-thread default stream */
	void *function;
};

struct vg_error {
	int code;
	const char *name, *text;
};

extern const struct vg_symbol vg_symbols[];	/* by name, version, flag */
extern const unsigned int vg_symbol_count;
extern const struct vg_error vg_errors[];
extern const unsigned int vg_error_count;

/* The version of CUDA that cuDriverGetVersion() gives. */
int vg_driver_version(void);

#endif /* VG_SHIM_H */
