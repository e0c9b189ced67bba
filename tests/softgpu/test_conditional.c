// SPDX-License-Identifier: Apache-2.0
/*
 * Conditions that kernels set.  The call is resolved by softgpu; for NVIDIA's driver it would have
 * to be linked with their library of the device's runtime.
 */
#include "harness.h"

#include <stdatomic.h>

/*
 * step(h, p, mode): p[0] += 1 and p[1] = p[1] * 10 + mode; then the condition becomes p[2] -= 1,
 * or p[3] where the mode is not 0.  body(p, digit): p[1] = p[1] * 10 + digit.  spin(turns) takes
 * its time.  count(p): p[0] += 1, whoever else counts.
 */
static const char code[] = PTX_HEADER
	".extern .func cudaGraphSetConditional(.param .b64 h, .param .b32 v);\n"
	".visible .entry step(.param .u64 h, .param .u64 p, .param .u32 mode)\n{\n"
	".reg .b64 %h, %a;\n.reg .b32 %x, %m, %v;\n.reg .pred %p;\n"
	"ld.param.u64 %h, [h];\nld.param.u64 %a, [p];\nld.param.u32 %m, [mode];\n"
	"ld.global.u32 %x, [%a];\nadd.u32 %x, %x, 1;\nst.global.u32 [%a], %x;\n"
	"ld.global.u32 %x, [%a+4];\nmad.lo.u32 %x, %x, 10, %m;\nst.global.u32 [%a+4], %x;\n"
	"ld.global.u32 %v, [%a+8];\nsub.u32 %v, %v, 1;\nst.global.u32 [%a+8], %v;\n"
	"setp.eq.u32 %p, %m, 0;\n@%p bra SET;\nld.global.u32 %v, [%a+12];\n"
	"SET:\n{\n.param .b64 c0;\nst.param.b64 [c0], %h;\n.param .b32 c1;\nst.param.b32 [c1], %v;\n"
	"call.uni cudaGraphSetConditional, (c0, c1);\n}\nret;\n}\n"
	".visible .entry body(.param .u64 p, .param .u32 digit)\n{\n.reg .b64 %a;\n.reg .b32 %x, %m;\n"
	"ld.param.u64 %a, [p];\nld.param.u32 %m, [digit];\n"
	"ld.global.u32 %x, [%a+4];\nmad.lo.u32 %x, %x, 10, %m;\nst.global.u32 [%a+4], %x;\nret;\n}\n"
	".visible .entry count(.param .u64 p)\n{\n.reg .b64 %a;\n"
	"ld.param.u64 %a, [p];\nred.global.add.u32 [%a], 1;\nret;\n}\n"
	".visible .entry spin(.param .u32 turns)\n{\n.reg .b32 %n;\n.reg .pred %p;\n"
	"ld.param.u32 %n, [turns];\nAGAIN:\nsub.u32 %n, %n, 1;\nsetp.ne.u32 %p, %n, 0;\n"
	"@%p bra AGAIN;\nret;\n}\n";

static CUfunction step, body, spin, count;
static CUdeviceptr p;
static CUcontext ctx;

static CUgraphNode kernel(CUgraph g, const CUgraphNode *after, CUfunction f, void **params)
{
	CUDA_KERNEL_NODE_PARAMS k = {
		.func = f, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
		.blockDimX = 1, .blockDimY = 1, .blockDimZ = 1, .kernelParams = params,
	};
	CUgraphNode n;

	ok(cuGraphAddKernelNode_v2(&n, g, after, after != NULL, &k));
	return n;
}

static CUgraphNode sets(CUgraph g, const CUgraphNode *after, CUgraphConditionalHandle h, uint32_t mode)
{
	void *params[] = { &h, &p, &mode };

	return kernel(g, after, step, params);
}

static void digit(CUgraph g, uint32_t d)
{
	void *params[] = { &p, &d };

	kernel(g, NULL, body, params);
}

static CUgraphNode conditional(CUgraph g, const CUgraphNode *after, CUgraphConditionalHandle h,
			       CUgraphConditionalNodeType type, unsigned int size, CUgraph *bodies)
{
	CUgraphNodeParams c = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
	CUgraphNode n;

	c.conditional.handle = h;
	c.conditional.type = type;
	c.conditional.size = size;
	c.conditional.ctx = ctx;
	ok(cuGraphAddNode_v2(&n, g, after, NULL, after != NULL, &c));
	memcpy(bodies, c.conditional.phGraph_out, size * sizeof(*bodies));
	return n;
}

/* Launches, and compares the words p[0] and p[1]; p[2] and p[3] begin as given. */
static void gives_words(CUgraphExec x, uint32_t two, uint32_t three, uint32_t steps, uint32_t trace)
{
	uint32_t v[4] = { 0, 0, two, three };

	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	ok(cuGraphLaunch(x, NULL));
	ok(cuStreamSynchronize(NULL));
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], steps);
	assert_int_equal(v[1], trace);
}

static void decide(void **state)
{
	static const struct {
		CUgraphConditionalNodeType type;
		unsigned int size;
		uint32_t value, trace;
	} list[] = {
		{ CU_GRAPH_COND_TYPE_IF, 1, 0, 1 }, { CU_GRAPH_COND_TYPE_IF, 1, 5, 12 },
		{ CU_GRAPH_COND_TYPE_IF, 2, 0, 13 }, { CU_GRAPH_COND_TYPE_IF, 2, 1, 12 },
		{ CU_GRAPH_COND_TYPE_SWITCH, 3, 0, 12 }, { CU_GRAPH_COND_TYPE_SWITCH, 3, 2, 14 },
		{ CU_GRAPH_COND_TYPE_SWITCH, 3, 3, 1 }, { CU_GRAPH_COND_TYPE_WHILE, 1, 0, 1 },
	};
	CUgraphConditionalHandle h;
	CUgraph g, bodies[3];
	CUgraphNode n, c;
	CUgraphExec x;

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		ok(cuGraphCreate(&g, 0));
		/* what it begins as would choose another body */
		ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
		n = sets(g, NULL, h, 1);
		c = conditional(g, &n, h, list[i].type, list[i].size, bodies);
		for (unsigned int k = 0; k < list[i].size; k++)
			digit(bodies[k], 2 + k);
		(void)c;
		ok(cuGraphInstantiateWithFlags(&x, g, 0));
		ok(cuGraphDestroy(g));
		gives_words(x, 9, list[i].value, 1, list[i].trace);
		gives_words(x, 9, list[i].value, 1, list[i].trace);
		ok(cuGraphExecDestroy(x));
	}
}

/* The body counts down; each launch begins with the default again, and what is behind waits. */
static void loop(void **state)
{
	CUgraphConditionalHandle h;
	CUgraph g, inner;
	CUgraphNode n;
	CUgraphExec x;
	uint32_t d = 7;
	void *params[] = { &p, &d };

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	n = conditional(g, NULL, h, CU_GRAPH_COND_TYPE_WHILE, 1, &inner);
	sets(inner, NULL, h, 0);
	kernel(g, &n, body, params);
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	gives_words(x, 5, 0, 5, 7);
	gives_words(x, 1, 0, 1, 7);
	gives_words(x, 300, 0, 300, 7);
	ok(cuGraphExecDestroy(x));
	ok(cuGraphDestroy(g));
}

/* A conditional in the body of another, and work of the stream before and behind. */
static void nested(void **state)
{
	CUgraphConditionalHandle outer, inner;
	uint32_t v[4] = { 0, 0, 3, 1 };
	CUgraph g, loops, then;
	CUgraphNode n;
	CUgraphExec x;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphConditionalHandleCreate(&outer, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	ok(cuGraphConditionalHandleCreate(&inner, g, ctx, 0, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional(g, NULL, outer, CU_GRAPH_COND_TYPE_WHILE, 1, &loops);
	n = sets(loops, NULL, inner, 1);
	n = conditional(loops, &n, inner, CU_GRAPH_COND_TYPE_IF, 1, &then);
	digit(then, 5);
	sets(loops, &n, outer, 0);
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	/* p[2] goes down with every step, of which a turn has two */
	v[2] = 4;
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	ok(cuGraphLaunch(x, s));
	ok(cuMemsetD32Async(p, 77, 1, s));
	ok(cuStreamSynchronize(s));
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], 77);
	assert_int_equal(v[1], 150150);
	ok(cuGraphExecDestroy(x));
	ok(cuGraphDestroy(g));
	ok(cuStreamDestroy_v2(s));
}

/* What a stream does becomes a body; nobody wants the graph's handle, which is known. */
static void captured(void **state)
{
	CUgraphConditionalHandle h;
	uint32_t v[4] = { 0, 0, 4, 0 }, mode = 0;
	void *params[4] = { &h, &p, &mode };
	CUgraph g, inner;
	CUgraphExec x;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional(g, NULL, h, CU_GRAPH_COND_TYPE_WHILE, 1, &inner);
	ok(cuStreamBeginCaptureToGraph(s, inner, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_GLOBAL));
	ok(cuLaunchKernel(step, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	ok(cuStreamEndCapture(s, NULL));
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	ok(cuGraphLaunch(x, s));
	ok(cuStreamSynchronize(s));
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], 4);
	/* a graph of the capture's own goes then */
	ok(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	ok(cuLaunchKernel(step, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	ok(cuStreamEndCapture(s, NULL));
	ok(cuGraphExecDestroy(x));
	ok(cuGraphDestroy(g));
	ok(cuStreamDestroy_v2(s));
}

/* A launch goes on though the program lets go of the graph meanwhile. */
static void wait_for(void *data)
{
	while (!atomic_load((_Atomic int *)data))
		;
}

static void destroyed(void **state)
{
	CUgraphConditionalHandle h;
	uint32_t v[4] = { 0, 0, 3, 0 };
	_Atomic int go = 0;
	CUgraph g, inner;
	CUgraphExec x;
	CUstream s;

	(void)state;
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional(g, NULL, h, CU_GRAPH_COND_TYPE_WHILE, 1, &inner);
	sets(inner, NULL, h, 0);
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	ok(cuLaunchHostFunc(s, wait_for, &go));
	ok(cuGraphLaunch(x, s));
	ok(cuGraphExecDestroy(x));
	ok(cuGraphDestroy(g));
	atomic_store(&go, 1);
	ok(cuStreamSynchronize(s));
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], 3);
	ok(cuStreamDestroy_v2(s));
}

/* A node that cannot be launched: what it sets is freed once the graph is executable. */
static CUgraphNode fails(CUgraph g, const CUgraphNode *after, CUdeviceptr gone)
{
	CUDA_MEMSET_NODE_PARAMS m = { .dst = gone, .elementSize = 1, .width = 16, .height = 1 };
	CUgraphNode n;

	ok(cuGraphAddMemsetNode(&n, g, after, 1, &m, ctx));
	return n;
}

static void count_up(void *data)
{
	atomic_fetch_add((_Atomic int *)data, 1);
}

/* A launch that fails half-way holds the graph until what it has queued has run. */
static void half_launched(void **state)
{
	CUgraphConditionalHandle h;
	_Atomic int go = 0, gone = 0;
	uint32_t v[4] = { 0 };
	CUuserObject object;
	CUdeviceptr room;
	CUgraph g, inner;
	CUgraphExec x;
	CUgraphNode n;
	CUstream s;

	(void)state;
	if (!is_softgpu())
		skip();		/* others may find the fault later */
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	ok(cuMemAlloc_v2(&room, 4 << 20));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuGraphCreate(&g, 0));
	ok(cuUserObjectCreate(&object, (void *)&gone, count_up, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	ok(cuGraphRetainUserObject(g, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	n = conditional(g, NULL, h, CU_GRAPH_COND_TYPE_IF, 1, &inner);
	digit(inner, 7);
	fails(g, &n, room);
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	ok(cuGraphDestroy(g));
	ok(cuMemFree_v2(room));
	ok(cuLaunchHostFunc(s, wait_for, (void *)&go));
	gives(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(x, s));
	ok(cuGraphExecDestroy(x));
	assert_int_equal(atomic_load(&gone), 0);
	atomic_store(&go, 1);
	ok(cuStreamSynchronize(s));
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[1], 7);
	wait_for((void *)&gone);
	ok(cuStreamDestroy_v2(s));
}

/* A body fails half-way: the stream goes on when what was queued of the body has run. */
static void half_a_body(void **state)
{
	CUgraphConditionalHandle h, h2;
	uint32_t turns = 3000000, digit8 = 8, *v;
	void *params[] = { &turns }, *then[] = { &v, &digit8 };
	CUgraph g, outer, inner;
	CUdeviceptr room;
	CUgraphExec x;
	CUgraphNode n;
	CUstream s;

	(void)state;
	if (!is_softgpu())
		skip();
	/* the host reads it itself, because a copy might wait for more than the stream */
	ok(cuMemHostAlloc((void **)&v, 16, 0));
	memset(v, 0, 16);
	ok(cuMemAlloc_v2(&room, 4 << 20));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	ok(cuGraphConditionalHandleCreate(&h2, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional(g, NULL, h, CU_GRAPH_COND_TYPE_IF, 1, &outer);
	n = kernel(outer, NULL, spin, params);
	n = conditional(outer, &n, h2, CU_GRAPH_COND_TYPE_IF, 1, &inner);
	kernel(inner, NULL, body, then);
	fails(outer, &n, room);
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	ok(cuGraphDestroy(g));
	ok(cuMemFree_v2(room));
	ok(cuGraphLaunch(x, s));
	ok(cuGraphExecDestroy(x));
	ok(cuStreamSynchronize(s));
	assert_int_equal(__atomic_load_n(&v[1], __ATOMIC_ACQUIRE), 8);
	ok(cuMemFreeHost(v));
	ok(cuStreamDestroy_v2(s));
}

/* Several streams come to one body at once, each of which has to run all of it. */
static void shared_body(void **state)
{
	enum { STREAMS = 8, EMPTY = 4000, COUNTED = 20, LAUNCHES = 50 };
	CUgraphConditionalHandle h;
	void *params[] = { &p };
	CUstream s[STREAMS];
	uint32_t v[4] = { 0 };
	CUgraph g, inner;
	CUgraphExec x;
	CUgraphNode n;

	(void)state;
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphConditionalHandleCreate(&h, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional(g, NULL, h, CU_GRAPH_COND_TYPE_IF, 1, &inner);
	for (int i = 0; i < EMPTY; i++)
		ok(cuGraphAddEmptyNode(&n, inner, NULL, 0));
	for (int i = 0; i < COUNTED; i++)
		kernel(inner, NULL, count, params);
	ok(cuGraphInstantiateWithFlags(&x, g, 0));
	ok(cuGraphDestroy(g));
	for (int i = 0; i < STREAMS; i++)
		ok(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
	for (int k = 0; k < LAUNCHES; k++)
		for (int i = 0; i < STREAMS; i++)
			ok(cuGraphLaunch(x, s[i]));
	for (int i = 0; i < STREAMS; i++) {
		ok(cuStreamSynchronize(s[i]));
		ok(cuStreamDestroy_v2(s[i]));
	}
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], STREAMS * LAUNCHES * COUNTED);
	ok(cuGraphExecDestroy(x));
}

/* Last, for the device is of no use afterwards: a handle that is none. */
static void no_condition(void **state)
{
	CUgraphConditionalHandle h = 4096;
	uint32_t mode = 1;
	void *params[] = { &h, &p, &mode };

	(void)state;
	ok(cuLaunchKernel(step, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	gives(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

static int set_up(void **state)
{
	CUmodule m;

	(void)state;
	ctx = use_device();
	m = load(code);
	step = function(m, "step");
	body = function(m, "body");
	spin = function(m, "spin");
	count = function(m, "count");
	ok(cuMemAlloc_v2(&p, 16));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decide), cmocka_unit_test(loop), cmocka_unit_test(nested),
		cmocka_unit_test(captured), cmocka_unit_test(destroyed), cmocka_unit_test(half_launched),
		cmocka_unit_test(half_a_body), cmocka_unit_test(shared_body),
		cmocka_unit_test(no_condition),
	};

	return cmocka_run_group_tests_name("conditional", tests, set_up, NULL);
}
