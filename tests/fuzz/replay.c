// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a fuzz target over the inputs of a folder, without libFuzzer.  An input that
 * crashes is named, because each is named before it runs and the last name stands.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static const char *current = "-";

void __asan_on_error(void);
void __asan_on_error(void)
{
	fprintf(stderr, "replay: the input is %s\n", current);
}

static int one(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t bytes = 0, got, room = 0;

	if (!f) {
		perror(path);
		return 1;
	}
	do {
		if (bytes == room) {
			room = room ? 2 * room : 4096;
			data = realloc(data, room);
			if (!data)
				abort();
		}
		got = fread(data + bytes, 1, room - bytes, f);
		bytes += got;
	} while (got);
	fclose(f);
	current = path;
	LLVMFuzzerTestOneInput(data, bytes);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int count = 0;
	struct dirent *entry;
	char path[4096];
	DIR *folder;

	if (argc != 2 || !(folder = opendir(argv[1]))) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	LLVMFuzzerInitialize(&argc, &argv);
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (one(path))
			return 1;
		count++;
	}
	closedir(folder);
	printf("replay: %u checks passed: every input of %s runs\n", count, argv[1]);
	return count ? 0 : 1;
}
