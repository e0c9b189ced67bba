// SPDX-License-Identifier: Apache-2.0
/*
 * generate [OPTION...] LIBRARIES MODEL: let llama.cpp generate tokens, greedily.
 *
 *   LIBRARIES   a folder with llama.cpp's libraries and its CPU back ends
 *   -g FILE     load this back end for a GPU too, and put the whole model there
 *   -o FILE     write the prompt, the tokens, and the logits from which each was chosen
 *   -e FILE     take the prompt from what -o wrote, and compare
 *   -c NUMBER   try prompts until each token is chosen clearly: its logit is larger than the
 *               next by this much
 *   -v          show llama.cpp's own messages
 *
 * llama.cpp's libraries are loaded by name at run time, because they are fetched, and its headers
 * are not among what is fetched.  So the few declarations needed are here.  Structures that it
 * passes by value are declared longer than they are: the ABI of x86-64 passes all that are larger
 * than 16 bytes in memory, and what lies behind a structure is not looked at.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* include/llama.h of llama.cpp, as in the package that tools/llama/demo names */
struct llama_model_params {
	void **devices;
	const void *tensor_buft_overrides;
	int32_t n_gpu_layers;	/* negative: all */
	char rest[512];
};

struct llama_context_params {
	uint32_t n_ctx;
	char rest[508];
};

struct llama_batch {
	int32_t n_tokens;
	void *rest[6];
};

#define FUNCTIONS(f) \
	f(void *, ggml_backend_load, const char *) \
	f(void, ggml_backend_load_all_from_path, const char *) \
	f(size_t, ggml_backend_dev_count, void) \
	f(void *, ggml_backend_dev_get, size_t) \
	f(int, ggml_backend_dev_type, void *) \
	f(const char *, ggml_backend_dev_name, void *) \
	f(const char *, ggml_backend_dev_description, void *) \
	f(void, llama_backend_init, void) \
	f(void, llama_log_set, void (*)(int, const char *, void *), void *) \
	f(struct llama_model_params, llama_model_default_params, void) \
	f(struct llama_context_params, llama_context_default_params, void) \
	f(void *, llama_model_load_from_file, const char *, struct llama_model_params) \
	f(void *, llama_init_from_model, void *, struct llama_context_params) \
	f(void, llama_set_n_threads, void *, int32_t, int32_t) \
	f(const void *, llama_model_get_vocab, const void *) \
	f(int32_t, llama_vocab_n_tokens, const void *) \
	f(struct llama_batch, llama_batch_get_one, int32_t *, int32_t) \
	f(int32_t, llama_decode, void *, struct llama_batch) \
	f(void *, llama_get_memory, void *) \
	f(void, llama_memory_clear, void *, bool) \
	f(float *, llama_get_logits_ith, void *, int32_t)

#define DECLARE(type, name, ...) static type (*name)(__VA_ARGS__);
FUNCTIONS(DECLARE)

enum { DEVICE_GPU = 1 };	/* GGML_BACKEND_DEVICE_TYPE_GPU */

/*
 * What two back ends may differ by in one logit.  They round activations to 8 bits in blocks of
 * different sizes, so their results are not the same to the bit.  tools/llama/demo says what was
 * measured.
 */
#define TOLERANCE 1.0f

/*
 * More than the 8 tokens that ggml's kernels for vectors take at once, so that the prompt goes
 * through those for matrices, and what is generated through those for vectors.
 */
#define PROMPT 12
#define TOKENS 16

struct record {
	uint32_t vocab;
	int32_t prompt[PROMPT];
};

struct step {
	int32_t token;
	float best, second;	/* the two largest logits */
};

static bool verbose;
static uint32_t vocab;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "generate: %s%s%s\n", what, why ? ": " : "", why ? why : "");
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void quiet(int level, const char *text, void *user)
{
	(void)user;
	if (verbose || level == 4)	/* GGML_LOG_LEVEL_ERROR */
		fputs(text, stderr);
}

/* The library's file, whose name has the version in it. */
static void *open_library(const char *folder, const char *prefix)
{
	char path[4096];
	struct dirent *e;
	DIR *d = opendir(folder);
	void *found = NULL;

	if (!d)
		die("no folder", folder);
	while (!found && (e = readdir(d))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) || !strstr(e->d_name, ".so"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		found = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
		if (!found)
			die("cannot load", dlerror());
	}
	closedir(d);
	if (!found)
		die("no library of this name", prefix);
	return found;
}

static void find_functions(const char *folder)
{
	void *ggml = open_library(folder, "libggml.");
	void *llama = open_library(folder, "libllama.");

#define FIND(type, name, ...) \
	*(void **)&name = dlsym(strncmp(#name, "ggml", 4) ? llama : ggml, #name); \
	if (!name) \
		die("llama.cpp's libraries have no", #name);
	FUNCTIONS(FIND)
}

static struct step choose(const float *logits)
{
	struct step s = { .token = -1, .best = -INFINITY, .second = -INFINITY };

	for (uint32_t i = 0; i < vocab; i++) {
		if (!isfinite(logits[i]))
			die("a logit is not a number", NULL);
		if (logits[i] > s.best) {
			s.second = s.best;
			s.best = logits[i];
			s.token = i;
		} else if (logits[i] > s.second) {
			s.second = logits[i];
		}
	}
	return s;
}

/* Compares one step with the one in the file; returns the largest difference. */
static float compare(FILE *f, const struct step *s, const float *logits, int at)
{
	struct step other;
	float *want = malloc(vocab * sizeof(*want)), most = 0;

	if (!want || fread(&other, sizeof(other), 1, f) != 1 ||
	    fread(want, sizeof(*want), vocab, f) != vocab)
		die("what is compared with is too short", NULL);
	for (uint32_t i = 0; i < vocab; i++)
		most = fmaxf(most, fabsf(want[i] - logits[i]));
	free(want);
	if (other.token != s->token) {
		printf("\nFAIL generate: token %d is %d, and %d is expected (logits differ by %.3f)\n",
		       at, s->token, other.token, most);
		exit(1);
	}
	return most;
}

static void *load(const char *libraries, const char *gpu, const char *file)
{
	struct llama_model_params mp;
	struct llama_context_params cp;
	bool found = !gpu;
	void *model, *context;

	find_functions(libraries);
	llama_log_set(quiet, NULL);
	ggml_backend_load_all_from_path(libraries);
	if (gpu && !ggml_backend_load(gpu))
		die("llama.cpp cannot load the back end", gpu);
	llama_backend_init();
	for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
		void *d = ggml_backend_dev_get(i);

		printf("device %s: %s\n", ggml_backend_dev_name(d), ggml_backend_dev_description(d));
		found = found || ggml_backend_dev_type(d) == DEVICE_GPU;
	}
	if (!found)
		die("the back end found no GPU", NULL);

	mp = llama_model_default_params();
	mp.n_gpu_layers = gpu ? -1 : 0;
	model = llama_model_load_from_file(file, mp);
	if (!model)
		die("llama.cpp cannot load", file);
	cp = llama_context_default_params();
	cp.n_ctx = 256;
	context = llama_init_from_model(model, cp);
	if (!context)
		die("llama.cpp makes no context", NULL);
	/* Its threads wait for each other by spinning, which a busy machine makes slow. */
	llama_set_n_threads(context, 1, 1);
	vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
	return context;
}

/* The first token if `at` is 0, else the one after `last`; *logits: what it was chosen from. */
static struct step generate(void *context, int32_t *prompt, int at, int32_t last,
			    const float **logits)
{
	if (!at)
		llama_memory_clear(llama_get_memory(context), true);
	if (llama_decode(context, at ? llama_batch_get_one(&last, 1) :
				       llama_batch_get_one(prompt, PROMPT)))
		die("llama_decode failed", NULL);
	*logits = llama_get_logits_ith(context, -1);
	if (!*logits)
		die("no logits", NULL);
	return choose(*logits);
}

static void make_prompt(int32_t *prompt, uint32_t number)
{
	uint32_t x = number * 2654435761u + 1;

	for (int i = 0; i < PROMPT; i++) {
		x = x * 1664525u + 1013904223u;
		prompt[i] = (x >> 8) % vocab;
	}
}

/* Returns how many prompts were tried. */
static unsigned int find_prompt(void *context, int32_t *prompt, float clear)
{
	unsigned int number = 0;
	int at;

	do {
		int32_t last = 0;

		make_prompt(prompt, number++);
		for (at = 0; at < TOKENS; at++) {
			const float *logits;
			struct step s = generate(context, prompt, at, last, &logits);

			if (s.best - s.second < clear)
				break;
			last = s.token;
		}
	} while (at < TOKENS);
	return number;
}

int main(int argc, char **argv)
{
	const char *gpu = NULL, *out_name = NULL, *expect_name = NULL;
	FILE *out = NULL, *expect = NULL;
	struct record record;
	float margin = INFINITY, most = 0, clear = 0;
	double start = now(), loaded, first = 0;
	int32_t last = 0;
	void *context;
	int option;

	while ((option = getopt(argc, argv, "g:o:e:c:v")) != -1) {
		switch (option) {
		case 'g': gpu = optarg; break;
		case 'o': out_name = optarg; break;
		case 'e': expect_name = optarg; break;
		case 'c': clear = strtof(optarg, NULL); break;
		case 'v': verbose = true; break;
		default: return 2;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: generate [-g FILE] [-o FILE] [-e FILE] [-c NUMBER] [-v] "
			"LIBRARIES MODEL\n");
		return 2;
	}
	context = load(argv[optind], gpu, argv[optind + 1]);

	record.vocab = vocab;
	make_prompt(record.prompt, 0);
	if (expect_name) {
		expect = fopen(expect_name, "rb");
		if (!expect || fread(&record, sizeof(record), 1, expect) != 1 || record.vocab != vocab)
			die("not written by -o for this model", expect_name);
	} else if (clear > 0) {
		printf("%u prompts were tried\n", find_prompt(context, record.prompt, clear));
	}
	if (out_name) {
		out = fopen(out_name, "wb");
		if (!out || fwrite(&record, sizeof(record), 1, out) != 1)
			die("cannot write", out_name);
	}

	loaded = now();
	printf("tokens:");
	for (int i = 0; i < TOKENS; i++) {
		const float *logits;
		struct step s = generate(context, record.prompt, i, last, &logits);

		if (!i)
			first = now();
		printf(" %d", s.token);
		fflush(stdout);
		margin = fminf(margin, s.best - s.second);
		if (out && (fwrite(&s, sizeof(s), 1, out) != 1 ||
			    fwrite(logits, sizeof(*logits), vocab, out) != vocab))
			die("cannot write", out_name);
		if (expect)
			most = fmaxf(most, compare(expect, &s, logits, i));
		last = s.token;
	}
	printf("\ntime: %.1f s to load, %.2f s for the first token, %.3f s for each other\n",
	       loaded - start, first - loaded, (now() - first) / (TOKENS - 1));
	printf("smallest distance between the best logit and the next: %.3f\n", margin);
	if (out && fclose(out))
		die("cannot write", out_name);
	if (expect) {
		printf("largest difference of a logit: %.3f\n", most);
		if (most > TOLERANCE) {
			printf("FAIL generate: that is more than %.3f\n", TOLERANCE);
			return 1;
		}
	}
	printf("PASS generate: %d tokens%s\n", TOKENS, expect ? ", all as expected" : "");
	return 0;
}
