#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuGetProcAddress: every name that stock libraries ask for gives the symbol that CUDA's gives.

data/driver-names.tsv: what cudart, cuBLAS, PyTorch, JAX and CuPy ask; data/getprocaddress_map.tsv:
which symbol a name is at a version, per flag.

test_lookup.py LIBCUDA: the library has all of them
test_lookup.py LIBCUDA part: it exports some, and has to give each of these by its name
"""

import ctypes
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
passed = failed = 0


def rows(name):
    with open(os.path.join(HERE, "data", name), encoding="utf-8") as f:
        for line in f:
            if not line.startswith(("#", "base\t")):
                yield line.rstrip("\n").split("\t")


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print(what)


def expected(variants, version, flags):
    fit = [v for v in variants if v[0] <= version and (v[1] == 0 or flags & 2)]
    per_thread = [v for v in fit if v[1] == 2]
    return max(per_thread or fit)[2] if fit else None


def main():
    lib = ctypes.CDLL(sys.argv[1])
    part = sys.argv[2:] == ["part"]
    variants = {}
    for base, version, flag, symbol in rows("getprocaddress_map.tsv"):
        if not part or hasattr(lib, symbol):
            variants.setdefault(base, []).append((int(version), int(flag), symbol))

    def ask(name, version, flags):
        fn, status = ctypes.c_void_p(), ctypes.c_int(-1)
        r = lib.cuGetProcAddress_v2(name.encode(), ctypes.byref(fn), version,
                                    ctypes.c_uint64(flags), ctypes.byref(status))
        return r, fn.value, status.value

    def address(symbol):
        return ctypes.cast(getattr(lib, symbol), ctypes.c_void_p).value

    for name, version, flags in rows("driver-names.tsv"):
        r, fn, status = ask(name, int(version), int(flags, 16))
        want = expected(variants.get(name, []), int(version), int(flags, 16))
        if part and not want:
            continue
        ok = r == 0 and status == 0 and fn and (want is None or fn == address(want))
        check(ok, f"{name} at {version}, flags {flags}: {r} {status}, wants {want}")
    for name, all_of in variants.items():
        for version in sorted({v for v, _, _ in all_of} | {v - 1 for v, _, _ in all_of} | {13000}):
            for flags in (0, 1, 2):
                r, fn, status = ask(name, version, flags)
                want = expected(all_of, version, flags)
                ok = fn == (address(want) if want else None) and status == (0 if want else 2)
                check(r == 0 and ok, f"{name} at {version}, flags {flags}: wants {want}")
    check(ask("", 13000, 0)[::2] == (0, 1), "the empty name is not found, and does no harm")
    check(ask("cuNone", 13000, 0)[::2] == (0, 1), "an unknown name is not found")
    check(ask("cuInit", 13000, 64)[0] == 1, "unknown flags are refused")
    fn = ctypes.c_void_p()
    check(lib.cuGetProcAddress(b"cuNone", ctypes.byref(fn), 13000, ctypes.c_uint64(0)) == 500,
          "the old form answers CUDA_ERROR_NOT_FOUND")
    print(f"lookup: {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
