// SPDX-License-Identifier: Apache-2.0
/* User objects: the destructor runs here, once, when the last that holds one has let go. */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "driver_test.h"

static _Atomic int ended;
static _Atomic int in_another;
static pid_t self;

static void destructor(void *by)
{
	if (getpid() != self)
		atomic_store(&in_another, 1);
	atomic_fetch_add(&ended, (int)(long)by);
}

static void nap(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	nanosleep(&t, NULL);
}

/* It may run at any time after; that it does not run cannot be waited for long. */
static int ended_soon(int want)
{
	for (int i = 0; i < 500 && atomic_load(&ended) != want; i++)
		nap(10);
	return atomic_load(&ended);
}

static int ended_yet(void)
{
	nap(30);
	return atomic_load(&ended);
}

static CUuserObject object(int by, unsigned int count)
{
	CUuserObject o = NULL;

	OK(cuUserObjectCreate(&o, (void *)(long)by, destructor, count,
			      CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	return o;
}

static void slow(void *unused)
{
	(void)unused;
	nap(200);
}

static _Atomic int may_end;

static void until_it_may(void *unused)
{
	(void)unused;
	while (!atomic_load(&may_end))
		nap(1);
}

/* A graph of one host function, which holds an object; in a child graph or not. */
static CUgraph holder(int by, int in_child)
{
	CUDA_HOST_NODE_PARAMS p = { .fn = until_it_may };
	CUgraph graph, outer;
	CUgraphNode node;

	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddHostNode(&node, graph, NULL, 0, &p));
	OK(cuGraphRetainUserObject(graph, object(by, 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
	if (!in_child)
		return graph;
	OK(cuGraphCreate(&outer, 0));
	OK(cuGraphAddChildGraphNode(&node, outer, NULL, 0, graph));
	OK(cuGraphDestroy(graph));
	return outer;
}

/* An update gives an execution what the new graph holds, in place of what it had. */
static void updated(CUstream s)
{
	CUgraphExecUpdateResultInfo info;
	CUgraphExec exec;
	CUgraphNode node;
	CUgraph graph;
	size_t count = 1;

	for (int in_child = 0; in_child < 2; in_child++) {
		atomic_store(&ended, 0);
		atomic_store(&may_end, 0);
		graph = holder(1, in_child);
		OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
		OK(cuGraphDestroy(graph));
		OK(cuGraphLaunch(exec, s));
		graph = holder(10, in_child);
		OK(cuGraphExecUpdate_v2(exec, graph, &info));
		OK(cuGraphDestroy(graph));
		/* The launch before it still needs the old one. */
		TRUE(ended_yet() == 0);
		atomic_store(&may_end, 1);
		OK(cuStreamSynchronize(s));
		TRUE(ended_soon(1) == 1);
		OK(cuGraphLaunch(exec, s));
		OK(cuStreamSynchronize(s));
		TRUE(ended_yet() == 1);
		OK(cuGraphExecDestroy(exec));
		TRUE(ended_soon(11) == 11);
	}
	/* A child graph alone. */
	atomic_store(&ended, 0);
	graph = holder(1, 1);
	OK(cuGraphGetNodes(graph, &node, &count));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	{
		CUgraph other = holder(10, 0);

		OK(cuGraphExecChildGraphNodeSetParams(exec, node, other));
		OK(cuGraphDestroy(other));
	}
	TRUE(ended_yet() == 0);
	OK(cuGraphDestroy(graph));
	TRUE(ended_soon(1) == 1);
	OK(cuGraphExecDestroy(exec));
	TRUE(ended_soon(11) == 11);
}

void user_objects(void)
{
	CUDA_HOST_NODE_PARAMS p = { .fn = slow };
	CUuserObject a, b, c;
	CUgraph graph, clone;
	CUgraphExec exec;
	CUgraphNode node;
	CUstream s;

	self = getpid();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	IS(cuUserObjectCreate(&a, NULL, destructor, 0, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC),
	   CUDA_ERROR_INVALID_VALUE);
	IS(cuUserObjectCreate(&a, NULL, destructor, 1, 0), CUDA_ERROR_INVALID_VALUE);
	/* The program's references alone. */
	a = object(1, 2);
	OK(cuUserObjectRetain(a, 1));
	OK(cuUserObjectRelease(a, 2));
	TRUE(ended_yet() == 0);
	OK(cuUserObjectRelease(a, 1));
	TRUE(ended_soon(1) == 1);
	/* A graph's, given to it. */
	b = object(10, 1);
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddHostNode(&node, graph, NULL, 0, &p));
	OK(cuGraphRetainUserObject(graph, b, 1, CU_GRAPH_USER_OBJECT_MOVE));
	/* A graph's beside the program's, some of them taken back. */
	c = object(100, 1);
	OK(cuGraphRetainUserObject(graph, c, 3, 0));
	OK(cuGraphReleaseUserObject(graph, c, 2));
	OK(cuUserObjectRelease(c, 1));
	TRUE(ended_yet() == 1);
	OK(cuGraphClone(&clone, graph));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	TRUE(ended_yet() == 1);
	OK(cuGraphDestroy(clone));
	TRUE(ended_yet() == 1);
	/* An execution holds what its graph held. */
	OK(cuGraphLaunch(exec, s));
	OK(cuGraphExecDestroy(exec));
	TRUE(ended_yet() == 1);
	OK(cuStreamSynchronize(s));
	TRUE(ended_soon(111) == 111);
	TRUE(ended_yet() == 111 && !atomic_load(&in_another));
	/* Released by the graph while it lives. */
	atomic_store(&ended, 0);
	a = object(1, 1);
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphRetainUserObject(graph, a, 1, CU_GRAPH_USER_OBJECT_MOVE));
	OK(cuGraphReleaseUserObject(graph, a, 1));
	TRUE(ended_soon(1) == 1);
	OK(cuGraphDestroy(graph));
	for (int i = 0; i < 100; i++)
		OK(cuUserObjectRelease(object(1, 1), 1));
	TRUE(ended_soon(101) == 101);
	updated(s);
	OK(cuStreamDestroy_v2(s));
}
