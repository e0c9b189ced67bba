/* SPDX-License-Identifier: Apache-2.0 */
/* What the groups of the driver's behaviour test share. */
#ifndef DRIVER_TEST_H
#define DRIVER_TEST_H

#include <stdio.h>

#include "cuda_abi.h"

extern int failed, passed;
extern const char *group;

#define IS(call, want) do { \
	int got_ = (call), want_ = (want); \
	if (got_ == want_) { \
		passed++; \
	} else { \
		failed++; \
		printf("%s: line %d: %s: %d, not %d\n", group, __LINE__, #call, got_, want_); \
	} \
} while (0)
#define OK(call) IS(call, CUDA_SUCCESS)
#define TRUE(x) IS(!!(x), 1)

/*
 * Whether the library is the guest's.  Only it is given pointers that a driver may follow
 * although they are NULL, and calls of before CUDA 4, which a driver of today refuses in
 * contexts of today.
 */
extern int through_vgpu;

extern CUdevice dev;
extern CUcontext ctx;
extern CUmodule module;		/* of `ptx` */
extern CUfunction add;		/* out[i] += by, for i < n */
extern const char ptx[];

/* The i-th word at p. */
unsigned int value_at(CUdeviceptr p, size_t i);

/* driver_code.c */
void enumerate(void);
void answers(void);
void linking(void);
void link_options(void);
/* driver_mapping.c */
void mapping(void);
/* driver_hostmem.c */
void mapped_files(void);
void pinned_sizes(void);
void copies_in_turn(void);
void odd_sizes(void);
/* driver_ends.c */
void range_ends(void);
/* driver_boxes.c */
void pinned_boxes(void);
void captured_boxes(void);
void array_boxes(void);
/* driver_outputs.c */
void outputs(void);
/* driver_threads.c */
void threads(void);
/* driver_output.c */
void output(void);
/* driver_batches.c */
void batches(void);
void array_batches(void);
void managed_batches(void);
/* driver_green.c */
void green(void);
void green_launches(void);
/* driver_sharing.c */
void sharing(void);
void handles(void);
/* driver_pointers.c */
void pointers(void);
void logs(void);
/* driver_textures.c */
void arrays(void);
void textures(void);
void texture_views(void);
void array_facts(void);
void tensors(void);
void tensors_of_pixels(void);
/* driver_texref.c */
void texture_references(void);
void surface_references(void);
/* driver_callbacks.c */
void callbacks(void);
void host_nodes(void);
/* driver_captures.c */
void failed_captures(void);
/* driver_graphs.c */
void graph_nodes(void);
void graph_edges(void);
void graph_update(void);
void graph_children(void);
/* driver_graphs_params.c */
void graph_params(void);
void graph_captured(void);
void capture_to_graph(void);
void graph_dot(void);
/* driver_graphs_host.c */
void graph_host_memory(void);
void graph_host_params(void);
void graph_host_copies(void);
void graph_host_order(void);
void graph_host_boxes(void);
void graph_host_unmapped(void);
void graph_host_bodies(void);
void graph_host_streams(void);
void graph_host_ends(void);
void graph_host_destroyed(void);
void graph_host_threads(void);
/* driver_graphs_memory.c */
void graph_memory(void);
void graph_limit(void);
/* driver_graphs_conditional.c */
void conditionals(void);
/* driver_graphs_objects.c */
void user_objects(void);
/* driver_perthread.c */
void per_thread(void);
void per_thread_arrays(void);
/* driver_perthread_capture.c */
void per_thread_captures(void);
/* driver_contexts.c */
void context(void);
void contexts(void);
void peer_devices(void);
void primary_reset(void);
/* driver_devices.c */
void device(void);
void device_limits(void);
void entry_points(void);
void profiler(void);
void log_files(void);
/* driver_copies.c */
void shapes(void);
void array_lines(void);
/* driver_managed.c */
void advice(void);
void old_host_memory(void);
void old_registered(void);
/* driver_events.c */
void old_events(void);
void awaited(void);
void capture_moves(void);
/* driver_graphs_exec.c */
void instantiation(void);
void exec_nodes(void);
void exec_children(void);
void exec_events(void);
void dependencies(void);
/* driver_modules.c */
void code_files(void);
void linked_again(void);
void kernel_settings(void);
void occupancy(void);
void linking_files(void);
/* driver_pools.c */
void pools(void);
void chosen_pools(void);
/* driver_streams.c */
void stream_attributes(void);
void attached(void);
void multi_device_launches(void);
void old_launches(void);

#endif /* DRIVER_TEST_H */
