// SPDX-License-Identifier: Apache-2.0
/*
 * What AddressSanitizer does in every fuzz target.  Leaks are not looked for, because
 * softgpu keeps caches for the life of its process, and a call may leave by a refusal
 * what the end of the executor frees.  malloc() may fail, because a guest's sizes may be
 * too large.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=0";
}
