// SPDX-License-Identifier: Apache-2.0
/* What kernels print: on this process's standard output, before the waiting call returns. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

static const char printing[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);\n"
	".global .align 1 .b8 format[17] = { 116, 104, 114, 101, 97, 100, 32, 37, 117, 32, 111, 102, "
	"32, 37, 117, 10, 0 };\n"
	".visible .entry say(.param .u32 n)\n{\n"
	".local .align 8 .b8 args[8];\n.reg .b64 %rd<5>;\n.reg .b32 %r<4>;\n"
	"mov.u64 %rd1, args;\ncvta.local.u64 %rd2, %rd1;\n"
	"mov.u32 %r1, %tid.x;\nld.param.u32 %r2, [n];\n"
	"st.local.u32 [%rd1], %r1;\nst.local.u32 [%rd1+4], %r2;\n"
	"mov.u64 %rd3, format;\ncvta.global.u64 %rd4, %rd3;\n"
	"{ .param .b64 p0; st.param.b64 [p0], %rd4; .param .b64 p1; st.param.b64 [p1], %rd2;\n"
	".param .b32 back; call.uni (back), vprintf, (p0, p1); ld.param.b32 %r3, [back]; }\n"
	"ret;\n}\n";

/* What stands on standard output meanwhile. */
static FILE *sink;
static int kept;

static void begin(void)
{
	fflush(stdout);
	sink = tmpfile();
	kept = dup(STDOUT_FILENO);
	dup2(fileno(sink), STDOUT_FILENO);
}

static char *end(void)
{
	char *text = calloc(1, 4 << 20);

	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(sink);
	if (text && !fread(text, 1, (4 << 20) - 1, sink))
		*text = '\0';
	fclose(sink);
	return text;
}

static int lines(const char *text)
{
	int n = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

/* Who prints and does not wait is heard when its module or its context goes. */
static void heard_as_it_goes(bool whole_context)
{
	unsigned int n = 1;
	void *params[] = { &n };
	CUcontext own;
	CUfunction say;
	CUmodule m;
	char *text;

	OK(cuCtxCreate_v2(&own, 0, dev));
	OK(cuModuleLoadData(&m, printing));
	OK(cuModuleGetFunction(&say, m, "say"));
	begin();
	OK(cuLaunchKernel(say, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	OK(whole_context ? cuCtxDestroy_v2(own) : cuModuleUnload(m));
	text = end();
	TRUE(text && !strcmp(text, "thread 0 of 1\n"));
	free(text);
	if (!whole_context)
		OK(cuCtxDestroy_v2(own));
}

void output(void)
{
	unsigned int n = 3, many = 256;
	void *params[] = { &n }, *more[] = { &many };
	CUmodule m;
	CUfunction say;
	CUstream s;
	char *text;

	OK(cuModuleLoadData(&m, printing));
	OK(cuModuleGetFunction(&say, m, "say"));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));

	begin();
	OK(cuLaunchKernel(say, 1, 1, 1, 3, 1, 1, 0, NULL, params, NULL));
	OK(cuCtxSynchronize());
	text = end();
	TRUE(text && !strcmp(text, "thread 0 of 3\nthread 1 of 3\nthread 2 of 3\n"));
	free(text);

	begin();
	OK(cuLaunchKernel(say, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	OK(cuStreamSynchronize(s));
	text = end();
	TRUE(text && !strcmp(text, "thread 0 of 3\n"));
	free(text);

	/* More than one answer holds. */
	begin();
	OK(cuLaunchKernel(say, 8, 1, 1, 256, 1, 1, 0, s, more, NULL));
	OK(cuCtxSynchronize());
	text = end();
	TRUE(text && lines(text) == 8 * 256);
	free(text);

	begin();
	OK(cuCtxSynchronize());
	text = end();
	TRUE(text && !*text);
	free(text);
	OK(cuStreamDestroy_v2(s));
	OK(cuModuleUnload(m));
	heard_as_it_goes(false);
	heard_as_it_goes(true);
}
