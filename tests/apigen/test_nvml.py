#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libnvidia-ml.so.1, as a monitoring program calls it.

With a second path it is NVIDIA's own that is asked the same, on the same machine, and what both
know of the device must be equal.
"""

import ctypes
import os
import sys

passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print("nvml:", what)


class Memory(ctypes.Structure):
    _fields_ = [(n, ctypes.c_ulonglong) for n in ("total", "free", "used")]


class Memory2(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint)] + \
        [(n, ctypes.c_ulonglong) for n in ("total", "reserved", "free", "used")]


class Pci(ctypes.Structure):
    _fields_ = [("legacy", ctypes.c_char * 16)] + \
        [(n, ctypes.c_uint) for n in ("domain", "bus", "device", "id", "subsystem")] + \
        [("bus_id", ctypes.c_char * 32)]


def text(fn, *args):
    out = ctypes.create_string_buffer(128)
    r = fn(*args, out, ctypes.c_uint(128))
    return r, out.value.decode()


def facts(lib):
    """What does not change from one moment to the next."""
    device, pci, major, minor = ctypes.c_void_p(), Pci(), ctypes.c_int(), ctypes.c_int()
    version = ctypes.c_int()
    lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
    lib.nvmlDeviceGetPciInfo_v3(device, ctypes.byref(pci))
    lib.nvmlDeviceGetCudaComputeCapability(device, ctypes.byref(major), ctypes.byref(minor))
    lib.nvmlSystemGetCudaDriverVersion(ctypes.byref(version))
    return {
        "name": text(lib.nvmlDeviceGetName, device), "uuid": text(lib.nvmlDeviceGetUUID, device),
        "bus": (pci.bus_id, pci.legacy, pci.domain, pci.bus, pci.device),
        "compute": (major.value, minor.value), "cuda": version.value,
    }


def main():
    lib = ctypes.CDLL(sys.argv[1])
    lib.nvmlErrorString.restype = ctypes.c_char_p
    count, device, same = ctypes.c_uint(), ctypes.c_void_p(), ctypes.c_void_p()
    check(lib.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 1, "works before nvmlInit")
    check(lib.nvmlInit_v2() == 0, "nvmlInit_v2")
    check(lib.nvmlInit() == 0 and lib.nvmlShutdown() == 0, "a second start and its end")
    check(lib.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 and count.value >= 1, "count")
    check(lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0, "by index")
    check(lib.nvmlDeviceGetHandleByIndex_v2(99, ctypes.byref(same)) == 2, "index 99")
    r, uuid = text(lib.nvmlDeviceGetUUID, device)
    check(r == 0 and uuid.startswith("GPU-") and len(uuid) == 40, f"uuid {uuid}")
    check(lib.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(same)) == 0 and
          same.value == device.value, "by uuid")
    check(lib.nvmlDeviceGetHandleByUUID(b"GPU-0", ctypes.byref(same)) == 6, "by a wrong uuid")
    pci = Pci()
    check(lib.nvmlDeviceGetPciInfo_v3(device, ctypes.byref(pci)) == 0, "pci")
    check(lib.nvmlDeviceGetHandleByPciBusId_v2(pci.bus_id, ctypes.byref(same)) == 0 and
          same.value == device.value, "by pci bus id")
    r, name = text(lib.nvmlDeviceGetName, device)
    check(r == 0 and name, "name")
    check(lib.nvmlDeviceGetName(device, ctypes.create_string_buffer(2), 2) == 7, "a short buffer")
    check(lib.nvmlDeviceGetName(ctypes.c_void_p(64), ctypes.create_string_buffer(64), 64) == 2,
          "a handle that is none")
    memory, memory2 = Memory(), Memory2(version=ctypes.sizeof(Memory2) | 2 << 24)
    check(lib.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0, "memory")
    check(memory.total == memory.free + memory.used and memory.total > 0, "memory adds up")
    check(lib.nvmlDeviceGetMemoryInfo_v2(device, ctypes.byref(memory2)) == 0 and
          memory2.total == memory.total, "memory v2")
    memory2.version = 1
    check(lib.nvmlDeviceGetMemoryInfo_v2(device, ctypes.byref(memory2)) == 25, "memory v1 in v2")
    limit = os.environ.get("VGPU_TEST_MEMORY")
    if limit:
        check(memory.total == int(limit), f"{memory.total} bytes, not the vGPU's {limit}")
    value = ctypes.c_uint(12345)
    for fn in (lib.nvmlDeviceGetPowerUsage, lib.nvmlDeviceGetEnforcedPowerLimit):
        r = fn(device, ctypes.byref(value))
        check(r in (0, 3), f"power: {r}")
        check(r or 0 < value.value < 5000000, f"power: {value.value}")
    r = lib.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value))
    check(r in (0, 3) and (r or 0 < value.value < 130), f"temperature {r} {value.value}")
    rates = (ctypes.c_uint * 2)()
    r = lib.nvmlDeviceGetUtilizationRates(device, rates)
    check(r in (0, 3) and rates[0] <= 100 and rates[1] <= 100, f"utilisation {r}")
    check(lib.nvmlErrorString(0) == b"Success" and lib.nvmlErrorString(3) == b"Not Supported",
          "error strings")
    ours = facts(lib)
    if len(sys.argv) > 2:
        native = ctypes.CDLL(sys.argv[2])
        check(native.nvmlInit_v2() == 0, "native start")
        theirs = facts(native)
        for key in ours:
            check(ours[key] == theirs[key], f"{key}: {ours[key]}, native {theirs[key]}")
        check(text(lib.nvmlSystemGetDriverVersion) == text(native.nvmlSystemGetDriverVersion),
              "driver version")
    check(lib.nvmlShutdown() == 0 and lib.nvmlShutdown() == 1, "the end, once")
    print(f"nvml: {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
