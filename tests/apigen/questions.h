/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions for a driver: what it answers to arguments that make sense but for one.  questions.c
 * asks, the generated questions_asked.c says of what, questions_state.c makes the objects.
 */
#ifndef QUESTIONS_H
#define QUESTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

#define MAX_PARAMS 20
#define BUFFER 4096
#define GRAIN (2u << 20)	/* a multiple of any granularity of mapped memory */
#define MEMORY (1u << 20)	/* bytes at memory() */

union value {
	uint64_t u;
	float f;
	void *p;
};

enum param_kind {
	KIND_POINTER, KIND_HANDLE, KIND_ADDRESS, KIND_NUMBER, KIND_FLAGS, KIND_ENUM, KIND_DEVICE,
	KIND_FLOAT, KIND_STRUCT, KIND_FIXED,
};

struct param {
	const char *name;
	enum param_kind kind;
	unsigned int size;
	unsigned int target;		/* bytes of what a pointer points at, or 0 */
	long top;			/* the first value that an enum has not */
	uint64_t (*stale)(void);	/* a handle or address that is no more */
};

#define ASK_ALONE 1	/* where it succeeds, what comes after it is asked by another process */
#define ASK_LITTLE 2	/* a variant: only what may differ from the function that it is one of */

struct asked {
	const char *name;
	void (*set)(union value *v);	/* arguments that make sense */
	CUresult (*call)(const union value *v);
	const struct param *params;
	unsigned int count;
	unsigned int how;
};

extern const struct asked asked[];
extern const unsigned int asked_count;

/* Of the question at hand. */
enum node_kind {
	NODE_EMPTY, NODE_KERNEL, NODE_COPY, NODE_SET, NODE_HOST, NODE_CHILD, NODE_RECORD, NODE_WAIT,
	NODE_MEM_OP, NODE_ALLOC, NODE_FREE,
};
extern enum node_kind node_kind;
extern int bare;	/* before cuInit(): every object is NULL */
extern int unmade;	/* an object that it needs could not be made */
extern const char *unmade_what;

/* The state of a process, and that of a question, made anew for each. */
int state_start(void);
void question_start(void);
void question_end(void);
void context_back(void);
void no_context(void);

extern unsigned char buffers[MAX_PARAMS][BUFFER];
extern const char code[];	/* PTX */
extern const size_t code_bytes;
extern char code_file[];
extern void *const callback;

/* What argument `i` points at: to be written, zeros, a number, and so on. */
void *out(unsigned int i);
void *zeros(unsigned int i);
void *ones(unsigned int i);
void *box(unsigned int i);
void *number(unsigned int i, uint64_t n);
void *pointers(unsigned int i);
void *dims(unsigned int i);
void *strides(unsigned int i);
void *log_iterator(unsigned int i);

#define QUESTION_MADE(X) X(context) X(module) X(function) X(library) X(kernel) X(array) X(mipmap) \
	X(texref) X(surfref) X(event) X(stream) X(graph) X(node) X(exec) X(pool) X(user_object) \
	X(green) X(linker) X(resource_desc) X(allocation) X(texture) X(surface) X(memory) X(logs_callback)
#define X(name) uint64_t name(void); uint64_t stale_##name(void);
QUESTION_MADE(X)
#undef X

uint64_t other_context(void), second_node(void), child_graph(void), cloned_graph(void);
uint64_t graph_memory(void);
uint64_t second_stream(void), capturing(void), recorded(void), interprocess_event(void);
uint64_t managed(void), own_memory(void), reserved(void), mapped(void), pool_memory(void);
uint64_t shared_pool(void), shaped_function(void);
void *pinned(void), *pages(void), *registered(void), *arguments(void), *nodes(void);
void *second_nodes(void), *copy3d(void), *copy3d_peer(void), *copy2d(void), *kernel_params(void);
void *memset_params(void), *host_params(void), *mem_op(void), *mem_op_params(void);
void *alloc_params(void), *node_params(void), *launch_params(void), *launch_config(void);
void *location(void), *device_access(void), *batch_op(void), *copy_attributes(void);
void *array_desc(void);
void *array3d_desc(void), *resource(void), *allocation_prop(void), *pool_props(void);
void *sm_resource(void), *bus_id(void), *tensor_map(void);

#endif /* QUESTIONS_H */
