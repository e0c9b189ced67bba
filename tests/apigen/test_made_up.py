#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A function that CUDA does not have is added by one entry in a copy of the specification.

Nothing else is changed: the shim, the executor and the decoder test are built from the
copy.  The new function is then exported; a program calls it, through an executor, in a
driver that has it; and its decoder refuses requests that are wrong, by the cases that
were generated for it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

ENTRY = """
fn cuMadeUp(CUstream s, in[n <= 64] const unsigned int *words, unsigned int n,
		out unsigned int *sum)
	get cuMadeUp 13000
	op 4000 sync
"""

# The driver has it: this, added to the stand-in of the other tests.
DRIVER = """
#include "cuda_abi.h"

__attribute__((visibility("default"))) CUresult cuMadeUp(CUstream s, const unsigned int *words,
							 unsigned int n, unsigned int *sum)
{
	(void)s;
	for (*sum = 0; n--;)
		*sum += words[n];
	return CUDA_SUCCESS;
}
"""

PROGRAM = """
#include <stdio.h>

#include "cuda_abi.h"

int main(void)
{
	unsigned int words[65] = { 1, 20, 300 }, sum = 0;
	CUresult early = cuMadeUp(NULL, words, 3, &sum), r, many, none, handle;
	CUcontext c;

	if (cuInit(0) || cuDevicePrimaryCtxRetain(&c, 0) || cuCtxSetCurrent(c))
		return 1;
	r = cuMadeUp(NULL, words, 3, &sum);
	many = cuMadeUp(NULL, words, 65, &sum);
	none = cuMadeUp(NULL, NULL, 3, &sum);
	handle = cuMadeUp((CUstream)8, words, 3, &sum);
	printf("%d %d %u %d %d %d\\n", early, r, sum, many, none, handle);
	return 0;
}
"""

# What its decoder has to have refused.
REFUSED = ["a request 16 bytes too short", "a request 16 bytes too long",
           "a count over its maximum", "a count of 2^32 - 1", "a part that is not there",
           "a handle that does not exist"]

passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print(what)
    return ok


def run(*command, **more):
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **more)


def program(d, name, text, *options):
    source, out = os.path.join(d, name + ".c"), os.path.join(d, name)
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    r = run("gcc", "-std=gnu11", "-D_GNU_SOURCE", f"-I{d}/build/gen", "-Iinclude/uapi",
            "-Iinclude", "-Iuserspace", "-Iuserspace/common", "-Iuserspace/executor",
            "-Itests/apigen", "-o", out, source, *options)
    check(r.returncode == 0, f"{name} does not compile: {r.stdout}")
    return out


def main():
    with tempfile.TemporaryDirectory() as d:
        spec, out = os.path.join(d, "spec"), os.path.join(d, "build")
        shutil.copytree(os.path.join(ROOT, "tools/apigen/spec"), spec)
        with open(os.path.join(spec, "stream.api"), "a", encoding="utf-8") as f:
            f.write(ENTRY)
        targets = ["lib/libcuda.so.1", "tests/apigen/decoder_test", "bin/vgpu-executor",
                   "bin/vgpu-mediatord"]
        made = run("make", "-s", f"-j{len(os.sched_getaffinity(0))}", f"O={out}", f"VG_SPEC={spec}",
                   *[os.path.join(out, t) for t in targets],
                   env=dict(os.environ, CFLAGS="-O0", MAKEFLAGS=""))
        if not check(made.returncode == 0, f"it does not build: {made.stdout[-2000:]}"):
            return 1
        lib = os.path.join(out, "lib")
        exports = run("nm", "-D", "--defined-only", f"{lib}/libcuda.so.1").stdout
        check(re.search(r" T cuMadeUp\b", exports), "the shim does not export it")

        double = [os.path.join("tests/apigen", n) for n in
                  ("double.c", "double_green.c", "double_sharing.c")]
        driver = program(d, "driver.so", DRIVER, *double, "-shared", "-fPIC",
                         "-fvisibility=hidden")
        caller = program(d, "caller", PROGRAM, f"-L{lib}", "-l:libcuda.so.1")
        said = run("tests/apigen/with-mediator", out, driver, "256M", caller).stdout
        # NOT_INITIALIZED; the sum; INVALID_VALUE twice, CONTEXT_IS_DESTROYED.
        check(said.split("\n")[0] == "3 0 321 1 1 709", f"called, it says {said}")

        said = run(os.path.join(out, "tests/apigen/decoder_test"), "cuMadeUp").stdout
        check(re.search(r"^decoders: \d+ checks passed, 0 failed$", said, re.M), said[-2000:])
        refused = re.findall(r"^op 4000 cuMadeUp: (.*): refused$", said, re.M)
        for what in REFUSED:
            check(what in refused, f"not among what its decoder refused: {what}")
        print("made up: its decoder refused " + "; ".join(refused))
    print(f"made up: {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
