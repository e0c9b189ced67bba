/* SPDX-License-Identifier: Apache-2.0 */
/* What the stand-in's own handles hold, which no guest may ever see. */
#ifndef DOUBLE_SHARING_H
#define DOUBLE_SHARING_H

#include <stdint.h>

#define DOUBLE_MEMORY	"the driver's mem"
#define DOUBLE_EVENT	"the driver's evt"
#define DOUBLE_POOL	"the driver's pol"
#define DOUBLE_POINTER	"the driver's ptr"

struct double_handle {
	char magic[16];
	int64_t pid;		/* of the executor */
	uint64_t value;
	char rest[32];
};

#endif /* DOUBLE_SHARING_H */
