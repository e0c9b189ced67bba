/* SPDX-License-Identifier: Apache-2.0 */
/* The objects behind the driver API's handles. */
#ifndef SG_API_H
#define SG_API_H

#include <elf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "cuda_abi.h"
#include "heap.h"
#include "image.h"

#define SG_API __attribute__((visibility("default")))

#define SG_DRIVER_VERSION 13000
#define SG_MAX_DEVICES 16

/* A handle is checked before it is used; a destroyed one has lost its mark. */
enum sg_magic {
	MAGIC_CTX = 0x53470001, MAGIC_STREAM, MAGIC_EVENT, MAGIC_MODULE, MAGIC_FUNC, MAGIC_LIB,
	MAGIC_KERNEL, MAGIC_POOL, MAGIC_GRAPH, MAGIC_NODE, MAGIC_EXEC, MAGIC_USER_OBJECT,
	MAGIC_ARRAY, MAGIC_MIPMAP, MAGIC_LINK,
};

struct CUmemPoolHandle_st {
	uint32_t magic;
	struct sg_device *dev;
	uint64_t threshold;
	int reuse[3];
	/* Bytes, with dev->lock: in use, at most, and with what has not gone back yet. */
	uint64_t used, high, reserved;
	struct sg_freed *freed;		/* in streams that have not come so far */
	bool is_default;
	_Atomic uint32_t reach;	/* the other devices that were given access, one bit each */
	int refs;	/* the program's, of its blocks, and of frees that are queued */
};

struct sg_device {
	int index;
	int number;		/* without CUDA_VISIBLE_DEVICES */
	struct sg_heap heap;
	pthread_mutex_t lock;	/* the primary context, the pools */
	CUcontext primary, old_primary;	/* the second: what it was and will be again */
	unsigned int primary_refs, primary_flags;
	struct CUmemPoolHandle_st default_pool;
	CUmemoryPool pool;	/* the current one */
	_Atomic int error;	/* sticky, a CUresult: from then on every call returns it */
};

struct CUctx_st {
	uint32_t magic;
	struct sg_device *dev;
	bool primary;
	unsigned int flags;
	unsigned int api_version;
	unsigned long long id;
	size_t stack_limit, printf_limit, malloc_limit;
	uint64_t taken;		/* bytes of the device's, for itself and its limits */
	CUfunc_cache cache_config;
	CUcontext next;		/* all contexts */
	bool going;		/* no handle any more, but its work may still run */
	/* guards the streams, their queues, and events recorded in them */
	pthread_mutex_t lock;
	pthread_cond_t done;	/* some work has completed */
	CUstream streams;
	struct CUstream_st *legacy;
	unsigned long long next_stream_id;
	CUmodule modules;
	CUarray arrays;
	CUmipmappedArray mipmaps;
	CUlinkState links;
	uint32_t peers;		/* devices with peer access enabled */
};

struct sg_work;
typedef int (*sg_work_fn)(struct sg_work *w);	/* 0 or a CUresult */

struct sg_dep {
	CUstream stream;
	uint64_t ticket;
};

/* One entry of a stream's queue. What it works on follows in memory. */
struct sg_work {
	struct sg_work *next;
	sg_work_fn run;
	void (*finish)(struct sg_work *w);	/* as it completes, with ctx->lock held */
	void (*release)(struct sg_work *w);
	CUstream stream;
	uint64_t ticket;
	bool always;		/* runs although the device has failed */
	bool light;		/* as many as SG_ENTRIES_MAX may be queued */
	bool push, queued;	/* how it is counted in the stream; sg_submit() sets both */
	size_t staged;		/* bytes of host memory that it holds besides */
	int ndeps;
	struct sg_dep *deps;
};

/* A point of a capture: the nodes that what comes next depends on. */
struct sg_point {
	struct sg_capture *capture;
	CUgraphNode *nodes;
	size_t count;
};

/* Its elements lie in rows with nothing between them. */
struct CUarray_st {
	uint32_t magic;
	CUcontext ctx;
	CUarray next;
	CUDA_ARRAY3D_DESCRIPTOR d;
	uint64_t base;
	size_t pitch, rows, layers;
};

/* Work of a stream runs in the order of its tickets. */
struct CUstream_st {
	uint32_t magic;
	CUcontext ctx;
	CUstream next;
	unsigned int flags;
	int priority;
	unsigned long long id;
	uint64_t submitted, completed;
	struct sg_work *head, **tail;
	unsigned int pushes, entries;	/* in the queue: launches and the like; all work */
	size_t staged;
	pthread_cond_t wake;
	pthread_t thread;
	bool started, dying;
	int refs;
	bool per_thread;
	struct sg_point at;	/* while it is in a capture */
	CUsynchronizationPolicy policy;
	CUaccessPolicyWindow window;
};

struct CUevent_st {
	uint32_t magic;
	CUcontext ctx;
	unsigned int flags;
	uint64_t recorded, completed;	/* counts of records */
	uint64_t time_ns;
	int refs;
	struct sg_shared_event *shared;	/* in place of both counts, if other processes know it */
	int fd;			/* the file of `shared`, in the process that has made it; else -1 */
	struct sg_point at;	/* recorded in a capture */
};

struct CUfunc_st {
	uint32_t magic;
	struct sg_func *fn;
	CUmodule module;
	int max_dynamic;
	int carveout;
	CUfunction next;
};

struct CUmod_st {
	uint32_t magic;
	CUcontext ctx;
	struct sg_image *image;
	CUfunction funcs;
	CUmodule next;
	CUlibrary library;
};

/* Start-up and the current context */
struct sg_device *sg_device(CUdevice dev);
int sg_device_count(void);
bool sg_ready(void);
bool sg_pool_freed(CUdeviceptr at);	/* a block, in a stream that has not come so far */
void sg_pool_put(CUmemoryPool pool);
uint64_t sg_context_bytes(void);	/* of device memory, that each context takes */
CUresult sg_current(CUcontext *ctx);	/* with the sticky error of its device */
CUcontext sg_current_or_null(void);
CUcontext sg_context_check(CUcontext ctx);
CUresult sg_device_fail(struct sg_device *dev, int code);
CUcontext sg_context_new(struct sg_device *dev, unsigned int flags, unsigned int version);
void sg_context_destroy(CUcontext ctx);
void sg_contexts_wait(void);	/* as sg_context_wait(), for all contexts of the process */
CUcontext sg_context_with_library(CUlibrary l);
CUresult sg_primary_handle(CUcontext *ctx, CUdevice dev);	/* whether or not it is active */

#define SG_NEED_INIT() do { \
		if (!sg_ready()) \
			return CUDA_ERROR_NOT_INITIALIZED; \
	} while (0)

#define SG_ENTER(ctx) \
	CUcontext ctx; \
	do { \
		CUresult rc_ = sg_current(&ctx); \
		if (rc_) \
			return rc_; \
	} while (0)

/* Streams */
CUstream sg_stream_new(CUcontext ctx, unsigned int flags, int priority);
CUresult sg_stream_get(CUcontext ctx, CUstream handle, CUstream *out);	/* takes a reference */
void sg_stream_put(CUstream s);
void sg_stream_retire(CUstream s);
void sg_streams_shutdown(CUcontext ctx);
/*
 * Queues work, which the stream then owns.  It waits while the queue is full, as NVIDIA's driver
 * does with 1020 launches, memsets, records or nodes of graphs in a stream (580.159).  That driver
 * queues host functions, and waits for one event, without such a bound; here there is a larger one.
 */
#define SG_PUSHES_MAX	1024u
#define SG_ENTRIES_MAX	65536u
#define SG_STAGED_MAX	(64u << 20)
CUresult sg_submit(CUstream s, struct sg_work *w);
/*
 * Work from here to sg_launch_end() is one launch: this waits while the queue is full, and then
 * its parts wait no more, so that a graph of any length can be launched in a stream that waits.
 */
void sg_launch_begin(CUstream s);
CUresult sg_launch_end(CUstream s, struct sg_work *last);
/* Runs work in the stream's order on the calling thread, and returns its result. */
CUresult sg_run_sync(CUstream s, struct sg_work *w);
CUresult sg_stream_wait(CUstream s, uint64_t ticket);
void sg_context_wait(CUcontext ctx);
void *sg_work_new(size_t size, sg_work_fn run);

/* Captures: in a stream that is in one, nodes are made in place of work. */
bool sg_capturing(CUcontext ctx, CUstream handle);
CUresult sg_capture_break(CUcontext ctx, CUstream handle);
CUresult sg_capture_here(CUcontext ctx, CUstream handle, CUgraph *g, const CUgraphNode **deps,
			 size_t *count);
CUresult sg_capture_done(CUcontext ctx, CUstream handle, CUresult rc, CUgraphNode node);
CUresult sg_capture_record(CUcontext ctx, CUstream handle, struct sg_point *event);
CUresult sg_capture_wait(CUcontext ctx, CUstream handle, const struct sg_point *event);
bool sg_captured(const struct sg_point *p);	/* whether that capture goes on */
/* Nobody may ask for an event of a capture, which is of no use from there on. */
CUresult sg_capture_asked(const struct sg_point *event);
void sg_capture_gone(CUstream s);	/* the stream goes */
void sg_point_clear(struct sg_point *p);

/* `add(&node, graph, deps, count, ...)` as the next node of a stream that is being captured. */
#define SG_CAPTURE(ctx, handle, add, ...) ({ \
	const CUgraphNode *deps_; \
	CUgraphNode node_ = NULL; \
	CUgraph graph_; \
	size_t count_; \
	CUresult rc_ = sg_capture_here(ctx, handle, &graph_, &deps_, &count_); \
	if (!rc_) { \
		rc_ = add(&node_, graph_, deps_, count_, __VA_ARGS__); \
		rc_ = sg_capture_done(ctx, handle, rc_, node_); \
	} \
	rc_; \
})

/* Launches */
int sg_grid_run(struct sg_launch *l);
/* A kernel's parameters as one block; whether it can be launched so. */
CUresult sg_gather(struct sg_func *fn, char *to, void **params, void **extra);
CUresult sg_check_shape(CUfunction f, const unsigned int grid[3], const unsigned int block[3],
			unsigned int dynamic);

/* Modules */
CUresult sg_module_load(CUcontext ctx, const void *image, size_t most, unsigned int nopts,
			CUjit_option *opts, void **values, CUmodule *out);
void sg_module_free(CUmodule m);
/* Whether it has all that it needs; says on stderr what it lacks. */
bool sg_func_runs(const struct sg_func *fn);
CUresult sg_module_function(CUmodule m, const char *name, CUfunction *out);
CUresult sg_function_get(CUcontext ctx, CUfunction handle, CUfunction *out);
CUresult sg_param_info(struct sg_func *f, size_t index, size_t *offset, size_t *size);
CUresult sg_func_attribute(CUfunction f, CUfunction_attribute attr, int *out);
CUresult sg_func_set_attribute(CUfunction f, CUfunction_attribute attr, int value);
/*
 * The PTX inside an image of any kind: malloc'ed text, or an error.  `most` is the length
 * of a file, which zeros follow; SIZE_MAX of an image in memory, whose length nobody knows.
 */
CUresult sg_image_text(const void *image, size_t most, char **text, size_t *len);
/* Puts a text behind others; cuLink* and programs of several files are linked so. */
CUresult sg_append_text(char **text, size_t *len, const char *more, size_t n);
CUresult sg_read_file(const char *name, void **data, size_t *bytes);

/* What a program wants to read of the compiler. */
struct sg_jit_log {
	char *info, *error;
	void **info_size, **error_size;
	size_t info_room, error_room;
	float *wall;
};

void sg_jit_options(struct sg_jit_log *log, unsigned int n, CUjit_option *opts, void **values);
void sg_jit_fill(struct sg_jit_log *log, const struct sg_image *img, const struct sg_error *err);

/* What linking makes: an ELF file with PTX text in it.  None of NVIDIA's begins so. */
#define SG_ELF_IDENT "\177ELF\2\1\1\0softgpu"
#ifndef EM_CUDA
#define EM_CUDA 190
#endif
struct sg_elf {
	Elf64_Ehdr head;
	Elf64_Shdr section[2];
	char text[];
};
void sg_links_gone(CUcontext ctx);

/* Arrays, and the textures and surfaces that kernels read them by */
#define SG_LEVELS_MAX 32
CUarray sg_array_of(CUarray a);		/* NULL if it is none */
CUarray sg_mipmap_level(CUmipmappedArray m, unsigned int level);	/* NULL if there is none */
size_t sg_format_bytes(CUarray_format f);	/* of one channel; 0 for what is not known */
void sg_arrays_gone(CUcontext ctx);
void sg_textures_gone(CUcontext ctx);

/* Copies: host address of a device, managed or host range that holds [p, p + n). */
CUresult sg_copy_pointer(uint64_t p, uint64_t n, bool device, void **out);

CUresult sg_free_device(CUcontext ctx, CUdeviceptr p);
/* Of a range of host or managed memory that is in the table no more. */
void sg_host_free(const struct sg_range *r);
CUresult sg_graph_alloc_free(CUdeviceptr at);	/* what a graph's launch has allocated */
bool sg_graph_alloc_held(CUdeviceptr at);	/* its graph is there, so its memory stays */
int sg_sm_count(void);
SG_API CUresult vgpu_process_memory(CUdevice dev, uint64_t *bytes);	/* beside CUDA; README.md */

#endif
