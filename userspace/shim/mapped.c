// SPDX-License-Identifier: Apache-2.0
/* What lies at addresses of this process, as the kernel has it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostmem.h"

static bool is_io(const char *path)
{
	return !strncmp(path, "/sys/", 5) ||
	       (!strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9) &&
		strncmp(path, "/dev/zero", 9));
}

bool vg_mapped(uint64_t p, uint64_t bytes, struct vg_mapped *is)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t at = p, end = p + bytes, first, after;
	char *line = NULL, may[5];
	size_t room = 0;
	int path;

	*is = (struct vg_mapped){ .read = true, .write = true };
	if (!f)
		return true;
	while (at < end && getline(&line, &room, f) > 0) {
		path = 0;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &first, &after, may,
			   &path) < 3 || after <= at)
			continue;
		if (first > at)
			break;
		is->read &= may[0] == 'r';
		is->write &= may[1] == 'w';
		is->io |= path && is_io(line + path);
		at = after;
	}
	free(line);
	fclose(f);
	return at >= end;
}
