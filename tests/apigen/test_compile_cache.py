#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table through which NVRTC keeps what it has compiled, as NVRTC calls it.

    test_compile_cache.py LIBCUDA
"""
import ctypes
import os
import sys
import tempfile
import threading

TABLE = bytes.fromhex("da9151d33ae6cc41a5c04f26d533e328")
NOT_FOUND = 500
pointer, u32 = ctypes.c_void_p, ctypes.c_uint32
checks = 0


def function(table, slot, *words):
    return ctypes.CFUNCTYPE(ctypes.c_int, *words)(table[slot])


def true(what, good):
    global checks
    checks += 1
    if not good:
        sys.exit(f"FAIL compile_cache: {what}")


class Cache:
    def __init__(self, path):
        cuda = ctypes.CDLL(path)
        table = ctypes.POINTER(pointer)()
        result = cuda.cuGetExportTable(ctypes.byref(table), TABLE)
        true(f"the table is there ({result})", result == 0 and table[0] == 7 * 8)
        self.make = function(table, 1, ctypes.POINTER(pointer), u32, ctypes.c_char_p,
                             ctypes.c_size_t, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, u32)
        self.free = function(table, 2, pointer)
        self.look = function(table, 3, pointer, pointer, ctypes.POINTER(pointer),
                             ctypes.POINTER(u32))
        self.put = function(table, 4, pointer, pointer, ctypes.c_char_p, u32)
        self.free_data = function(table, 6, pointer)

    def key(self, source=b"BC\xc0\xde", kind=1, options=b" -arch=sm_90", built=b"today", arch=90):
        key = pointer()
        true("a key is made", self.make(ctypes.byref(key), kind, source, len(source), options,
                                        b"HOST64", built, arch) == 0)
        return key

    def find(self, **what):
        """What there is, or the error."""
        key, data, size = self.key(**what), pointer(), u32()
        result = self.look(key, None, ctypes.byref(data), ctypes.byref(size))
        out = ctypes.string_at(data.value, size.value) if not result else result
        true("data comes with success alone", bool(data.value) == (not result))
        self.free_data(data)
        self.free(key)
        return out

    def add(self, data, **what):
        key = self.key(**what)
        result = self.put(key, None, data, len(data))
        self.free(key)
        return result


def entries(folder):
    folder = os.path.join(folder, "vgpu")
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder))]


def main(path):
    cache = Cache(path)
    with tempfile.TemporaryDirectory() as scratch:
        # Python's own os.environ reaches getenv() of the library.
        home, chosen = os.path.join(scratch, "home"), os.path.join(scratch, "a", "b")
        os.environ["HOME"] = home
        for name in ("CUDA_CACHE_PATH", "CUDA_CACHE_MAXSIZE", "CUDA_CACHE_DISABLE"):
            os.environ.pop(name, None)
        true("an empty cache has nothing", cache.find() == NOT_FOUND)
        true("asking makes no folder", not os.path.exists(home))
        os.mkdir(home)
        true("an entry is taken", cache.add(b"cubin\0one") == 0)
        true("and found", cache.find() == b"cubin\0one")
        there = entries(os.path.join(home, ".nv", "ComputeCache"))
        true("it is one file", len(there) == 1)
        true("of the user alone", os.stat(there[0]).st_mode & 0o777 == 0o600)
        for other in ({"source": b"BC\xc0\xdf"}, {"source": b"BC\xc0"}, {"kind": 2}, {"arch": 80},
                      {"options": b" -arch=sm_9"}, {"options": None}, {"built": b"yesterday"}):
            true(f"{other} is something else", cache.find(**other) == NOT_FOUND)
        true("a second is taken for the first", cache.add(b"two") == 0 and cache.find() == b"two")
        true("in its place", len(entries(os.path.join(home, ".nv", "ComputeCache"))) == 1)

        os.environ["CUDA_CACHE_PATH"] = chosen
        true("another folder is another cache", cache.find() == NOT_FOUND)
        true("which is made", cache.add(b"x" * 5000) == 0 and cache.find() == b"x" * 5000)
        name, = entries(chosen)
        with open(name, "rb") as f:
            whole = f.read()
        for what, bad in (("cut short", whole[:-1]), ("longer", whole + b"\0"), ("empty", b""),
                          ("of zeros", bytes(len(whole))), ("a header", whole[:32]),
                          ("damaged", whole[:-9] + b"y" + whole[-8:]),
                          ("for another key", whole.replace(b"sm_90", b"sm_80"))):
            with open(name, "wb") as f:
                f.write(bad)
            true(f"a file {what} is no entry", cache.find() == NOT_FOUND)
        true("it is replaced", cache.add(b"good") == 0 and cache.find() == b"good")

        os.environ["CUDA_CACHE_DISABLE"] = "1"
        true("switched off, it has nothing", cache.find() == NOT_FOUND)
        true("and takes nothing", cache.add(b"good", kind=2) != 0)
        os.environ["CUDA_CACHE_DISABLE"] = "0"
        true("not switched off", cache.find() == b"good" and cache.find(kind=2) == NOT_FOUND)

        # Of three of 1 kB two stay, and it is the one used last of all that does.
        os.environ["CUDA_CACHE_MAXSIZE"] = "3000"
        os.unlink(name)
        true("added", cache.add(bytes(1000), arch=70) == 0)
        os.utime(entries(chosen)[0], (1000, 1000))
        true("added", cache.add(bytes(1000), arch=80) == 0)
        for file in entries(chosen):
            if os.stat(file).st_mtime != 1000:
                os.utime(file, (2000, 2000))
        true("the first is used", cache.find(arch=70) == bytes(1000))
        true("added", cache.add(bytes(1000), arch=90) == 0)
        true("the first stays", cache.find(arch=70) == bytes(1000))
        true("the last stays", cache.find(arch=90) == bytes(1000))
        true("the other has gone", cache.find(arch=80) == NOT_FOUND)
        true("what never fits is refused", cache.add(bytes(3001), arch=100) != 0)
        true("and costs no other its place", cache.find(arch=90) == bytes(1000))

        # Many at once: whoever finds something finds all of it.
        os.environ.pop("CUDA_CACHE_MAXSIZE")
        wrong = []

        def both(byte):
            for _ in range(50):
                cache.add(bytes([byte]) * 70000, source=b"shared")
                got = cache.find(source=b"shared")
                if got == NOT_FOUND or len(got) != 70000 or len(set(got)) != 1:
                    wrong.append(got if got == NOT_FOUND else len(got))

        threads = [threading.Thread(target=both, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        true(f"threads agree {wrong[:3]}", not wrong)
        true("nothing is left half made", not [f for f in entries(chosen)
                                               if os.path.basename(f).startswith(".")])
    print(f"PASS compile_cache: {checks} checks")


main(*sys.argv[1:])
