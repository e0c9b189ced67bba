// SPDX-License-Identifier: Apache-2.0
/* Reading CUDA_VISIBLE_DEVICES (visible.h). */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "visible.h"

#define PREFIX "GPU-"
#define UUID_TEXT sizeof("GPU-00112233-4455-6677-8899-aabbccddeeff")

static void uuid_text(char text[UUID_TEXT], const CUuuid *uuid)
{
	const unsigned char *b = (const unsigned char *)uuid->bytes;

	snprintf(text, UUID_TEXT,
		 PREFIX "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
		 b[14], b[15]);
}

/* The one device whose UUID begins with the word, or -1. */
static int by_uuid(const char *word, size_t length, const CUuuid *uuids, int count)
{
	char text[UUID_TEXT];
	int found = -1;

	if (length <= strlen(PREFIX))
		return -1;
	for (int i = 0; i < count; i++) {
		uuid_text(text, &uuids[i]);
		if (strncasecmp(text, word, length))
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found;
}

static int by_number(const char *word, int count)
{
	char *end;
	long number = strtol(word, &end, 10);

	return end == word || number < 0 || number >= count ? -1 : (int)number;
}

/* The device that the word at *at names, or -1; *at is behind its comma then, or NULL. */
static int next(const char **at, const CUuuid *uuids, int count)
{
	const char *word = *at, *comma;
	size_t length;

	while (isspace((unsigned char)*word))
		word++;
	length = strcspn(word, ", \t\n");
	comma = strchr(word, ',');
	*at = comma ? comma + 1 : NULL;
	/* strtol() would skip a comma's white space, but not read what is behind a comma. */
	if (!length)
		return -1;
	return strncasecmp(word, PREFIX, strlen(PREFIX)) ? by_number(word, count) :
							   by_uuid(word, length, uuids, count);
}

CUresult vg_visible(const char *value, const CUuuid *uuids, int count, int *seen, int *n)
{
	int device;

	*n = 0;
	if (!value) {
		while (*n < count) {
			seen[*n] = *n;
			++*n;
		}
		return count ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
	}
	while (value && (device = next(&value, uuids, count)) >= 0) {
		for (int i = 0; i < *n; i++)
			if (seen[i] == device)
				return CUDA_ERROR_INVALID_DEVICE;
		seen[(*n)++] = device;
	}
	return *n ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}
