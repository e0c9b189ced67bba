// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

void sg_log(const char *fmt, ...)
{
	const char *env = getenv("VGPU_SOFTGPU_LOG");
	char line[1024];
	va_list ap;

	if (env && env[0] == '0')
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "vgpu-softgpu: %s\n", line);
}
