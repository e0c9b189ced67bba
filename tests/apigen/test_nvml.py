#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libnvidia-ml.so.1, as a monitoring program calls it.

test_nvml.py LIBRARY [NATIVE]: with a second path it is NVIDIA's own that is asked the same, on the
same machine, and what both know of the device must be equal.  With VGPU_TEST_DOUBLE the host's NVML
is nvml_double.c, so each answer is known.
"""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from ctypes import byref, c_int, c_uint, c_ulonglong, c_void_p

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.join(HERE, "..", "..", "userspace", "nvml")
OK, UNINITIALIZED, INVALID, NOT_SUPPORTED, NO_PERMISSION = 0, 1, 2, 3, 4
NOT_FOUND, INSUFFICIENT_SIZE, TIMEOUT, NO_FUNCTION, LOST, VERSION_MISMATCH = \
    6, 7, 10, 13, 15, 25
TABLE = "c4fe3e6cc98f6c4ea327ee696e12f7c4"
passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print("nvml:", what)


def struct(*fields):
    class S(ctypes.Structure):
        _fields_ = fields

        def as_version(self, number):
            self.version = ctypes.sizeof(self) | number << 24
            return self
    return S


def u32(*names):
    return [(n, c_uint) for n in names]


def u64(*names):
    return [(n, c_ulonglong) for n in names]


Memory = struct(*u64("total", "free", "used"))
Memory2 = struct(*u32("version"), *u64("total", "reserved", "free", "used"))
Pci = struct(("legacy", ctypes.c_char * 16), *u32("domain", "bus", "device", "id", "subsystem"),
             ("bus_id", ctypes.c_char * 32))
PciExt = struct(*u32("version", "domain", "bus", "device", "id", "subsystem", "base", "sub"),
                ("bus_id", ctypes.c_char * 32))
Temperature = struct(*u32("version", "sensor"), ("value", c_int))
Process1 = struct(*u32("pid"), *u64("memory"))
Process2 = struct(*u32("pid"), *u64("memory"), *u32("gpu", "compute"))
Detail = struct(*u32("pid"), *u64("memory"), *u32("gpu", "compute"), *u64("protected"))
DetailList = struct(*u32("version", "mode", "count"), ("list", ctypes.POINTER(Detail)))
Field = struct(*u32("id", "scope"), ("timestamp", ctypes.c_longlong),
               ("latency", ctypes.c_longlong), *u32("type"), ("result", c_int), *u64("value"))
Uuid = struct(*u32("version", "type"), ("value", ctypes.c_ubyte * 41))
CcSettings = struct(*u32("version", "environment", "feature", "devtools", "multi"))


def questions():
    """name: (number, shape, greatest inputs, also a function), of questions.def."""
    with open(os.path.join(OURS, "questions.def"), encoding="utf-8") as f:
        found = re.findall(r"^(\w+)\((\d+), (\w+), (\w+), (\d+), (\d+), (\d+)\)", f.read(), re.M)
    return {q[2]: (int(q[1]), q[3], tuple(map(int, q[4:])), q[0] == "QUESTION") for q in found}


def refused():
    with open(os.path.join(OURS, "refused.def"), encoding="utf-8") as f:
        return dict((n, kind) for kind, n in re.findall(r"^(REFUSED\w*)\((\w+)\)", f.read(), re.M))


def text(fn, *args):
    out = ctypes.create_string_buffer(128)
    r = fn(*args, out, c_uint(128))
    return r, out.value.decode()


def call(lib, device, name, shape, *inputs):
    """A question's result and what it put out."""
    fn = getattr(lib, name)
    if shape == "TEXT":
        return text(fn, device)
    outs = {"U32_U32": (c_uint(), c_uint())}.get(shape)
    outs = outs or (c_ulonglong() if shape.endswith("U64") else c_uint(),)
    r = fn(device, *map(c_uint, inputs[:shape.count("IN_")]), *map(byref, outs))
    return (r, *(o.value for o in outs))


def check_before(lib, exported):
    for name in exported:
        if not name.startswith("nvmlInit") and name not in ("nvmlErrorString",
                                                            "nvmlInternalGetExportTable"):
            r = getattr(lib, name)(*[None] * 6)
            check(r == UNINITIALIZED, f"{name} before nvmlInit: {r}")


def check_bad(lib, exported, device):
    """No device; a device that is none; nowhere to put the answer."""
    no_out = {"nvmlDeviceSetCpuAffinity", "nvmlDeviceClearCpuAffinity"}
    by_hand = [n for n in exported if n.startswith("nvmlDevice") and n not in refused() and
               not n.startswith(("nvmlDeviceGetCount", "nvmlDeviceGetHandle"))]
    check(len(by_hand) > 90, f"{len(by_hand)} functions of a device")
    somewhere = ctypes.create_string_buffer(4096)
    for name in by_hand:
        fn = getattr(lib, name)
        for bad in (None, c_void_p(64)):
            r = fn(bad, *[somewhere] * 5)
            check(r == INVALID, f"{name} of no device: {r}")
        if name not in no_out:
            r = fn(device, *[None] * 5)
            check(r == INVALID, f"{name} with nowhere to answer: {r}")
    for name in ("nvmlDeviceGetCount_v2", "nvmlSystemGetCudaDriverVersion", "nvmlUnitGetCount",
                 "nvmlGetExcludedDeviceCount", "nvmlEventSetCreate", "nvmlEventSetFree",
                 "nvmlSystemGetConfComputeState", "nvmlSystemGetConfComputeSettings"):
        check(getattr(lib, name)(None) == INVALID, f"{name}(NULL)")
    for name, kind in refused().items():
        check(getattr(lib, name)(device, *[somewhere] * 5) == NOT_SUPPORTED, f"{name} is refused")
        if kind == "REFUSED_DEVICE":
            check(getattr(lib, name)(None) == INVALID, f"{name} of no device")


def check_devices(lib, device):
    count, same, number = c_uint(), c_void_p(), c_uint(9)
    check(lib.nvmlDeviceGetCount_v2(byref(count)) == OK and count.value >= 1, "count")
    check(lib.nvmlDeviceGetHandleByIndex_v2(99, byref(same)) == INVALID, "index 99")
    check(lib.nvmlDeviceGetHandleByIndex(0, None) == INVALID, "index to nowhere")
    check(lib.nvmlDeviceGetIndex(device, byref(number)) == OK and number.value == 0, "its index")
    r, uuid = text(lib.nvmlDeviceGetUUID, device)
    check(r == OK and uuid.startswith("GPU-") and len(uuid) == 40, f"uuid {uuid}")
    check(lib.nvmlDeviceGetHandleByUUID(uuid.encode(), byref(same)) == OK and
          same.value == device.value, "by uuid")
    check(lib.nvmlDeviceGetHandleByUUID(b"GPU-0", byref(same)) == NOT_FOUND, "by a wrong uuid")
    for kind, raw in ((1, uuid.encode()), (2, bytes.fromhex(uuid[4:].replace("-", "")))):
        v = Uuid(type=kind).as_version(1)
        v.value[:len(raw)] = list(raw)
        same.value = None
        check(lib.nvmlDeviceGetHandleByUUIDV(byref(v), byref(same)) == OK and
              same.value == device.value, f"by uuid of type {kind}")
        v.value[3 + 2 * (kind == 1)] ^= 1
        check(lib.nvmlDeviceGetHandleByUUIDV(byref(v), byref(same)) == NOT_FOUND, "a wrong one")
        v.type = 3
        check(lib.nvmlDeviceGetHandleByUUIDV(byref(v), byref(same)) == INVALID, "uuid of type 3")
        v.version -= 1
        check(lib.nvmlDeviceGetHandleByUUIDV(byref(v), byref(same)) == VERSION_MISMATCH,
              "a short uuid")
    r, name = text(lib.nvmlDeviceGetName, device)
    check(r == OK and name, "name")
    check(lib.nvmlDeviceGetName(device, ctypes.create_string_buffer(2), 2) == INSUFFICIENT_SIZE,
          "a short buffer")


def check_pci(lib, device, double):
    pci, same = Pci(), c_void_p()
    check(lib.nvmlDeviceGetPciInfo_v3(device, byref(pci)) == OK, "pci")
    for form in (pci.bus_id, pci.legacy, pci.bus_id.lower()):
        same.value = None
        check(lib.nvmlDeviceGetHandleByPciBusId_v2(form, byref(same)) == OK and
              same.value == device.value, f"by pci bus id {form}")
    check(lib.nvmlDeviceGetHandleByPciBusId(b"00000000:fe:00.0", byref(same)) == NOT_FOUND,
          "by a wrong bus id")
    check(lib.nvmlDeviceGetHandleByPciBusId(b"here", byref(same)) == INVALID, "by no bus id")
    for name, ends in (("nvmlDeviceGetPciInfo", 32), ("nvmlDeviceGetPciInfo_v2", 36)):
        raw = ctypes.create_string_buffer(b"\x55" * 68, 68)
        check(getattr(lib, name)(device, raw) == OK and raw.raw[:ends] == bytes(pci)[:ends] and
              raw.raw[ends:] == b"\x55" * (68 - ends), f"{name} writes {ends} bytes")
    ext = PciExt().as_version(1)
    check(lib.nvmlDeviceGetPciInfoExt(device, byref(ext)) == OK and ext.bus == pci.bus and
          ext.bus_id == pci.bus_id and ext.base == 3 and ext.id == pci.id, "pci, extended")
    ext.version -= 4
    check(lib.nvmlDeviceGetPciInfoExt(device, byref(ext)) == VERSION_MISMATCH, "a short one")
    if double:
        check(pci.id == 0x233010de and pci.subsystem == 0x16c110de, f"pci ids {pci.id:x}")


def check_memory(lib, device):
    memory, memory2 = Memory(), Memory2().as_version(2)
    check(lib.nvmlDeviceGetMemoryInfo(device, byref(memory)) == OK, "memory")
    check(memory.total == memory.free + memory.used and memory.total > 0, "memory adds up")
    check(lib.nvmlDeviceGetMemoryInfo_v2(device, byref(memory2)) == OK and
          memory2.total == memory.total, "memory v2")
    for version in (1, ctypes.sizeof(Memory2) | 1 << 24, ctypes.sizeof(Memory) | 2 << 24):
        memory2.version = version
        check(lib.nvmlDeviceGetMemoryInfo_v2(device, byref(memory2)) == NO_FUNCTION,
              f"memory of version {version:x}")
    limit = os.environ.get("VGPU_TEST_MEMORY")
    if limit:
        check(memory.total == int(limit), f"{memory.total} bytes, not the vGPU's {limit}")


HOLDER = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context, p = ctypes.c_void_p(), ctypes.c_uint64()
assert not cuda.cuInit(0)
print("no context", flush=True); sys.stdin.readline()
assert not cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0)
assert not cuda.cuMemAlloc_v2(ctypes.byref(p), ctypes.c_size_t(48 << 20))
print("a context", flush=True); sys.stdin.readline()
assert not cuda.cuCtxDestroy_v2(context)
print("none again", flush=True); sys.stdin.readline()
for i in range(2):
    assert not cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
print("a primary one", flush=True); sys.stdin.readline()
"""


def running(lib, device):
    count, list_ = c_uint(64), (Process2 * 64)()
    r = lib.nvmlDeviceGetComputeRunningProcesses_v3(device, byref(count), list_)
    return r, [(p.pid, p.memory) for p in list_[:count.value]]


def check_processes(lib, device):
    """Of a process of this guest's, from before it has a context to its end."""
    check(running(lib, device) == (OK, []), "this process uses no device")
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as p:
        def step():
            line = p.stdout.readline().strip()
            return line, running(lib, device)

        check(step() == ("no context", (OK, [])), "one that has no context uses none")
        print(file=p.stdin, flush=True)
        check(step() == ("a context", (OK, [(p.pid, 48 << 20)])), "one that has a context")
        check_lists(lib, device, p.pid)
        print(file=p.stdin, flush=True)
        check(step() == ("none again", (OK, [])), "its context has gone")
        print(file=p.stdin, flush=True)
        line, (r, list_) = step()
        check(line == "a primary one" and r == OK and [x[0] for x in list_] == [p.pid], "primary")
        print(file=p.stdin, flush=True)
    for _ in range(100):
        if running(lib, device) == (OK, []):
            break
        time.sleep(0.05)
    check(running(lib, device) == (OK, []), "it has ended")


def check_lists(lib, device, pid):
    count, one = c_uint(0), Process1()
    check(lib.nvmlDeviceGetComputeRunningProcesses(device, byref(count), None) ==
          INSUFFICIENT_SIZE and count.value == 1, "how many processes")
    check(lib.nvmlDeviceGetComputeRunningProcesses(device, byref(count), None) == INVALID,
          "a list that is nowhere")
    check(lib.nvmlDeviceGetComputeRunningProcesses(device, byref(count), byref(one)) == OK and
          (one.pid, one.memory) == (pid, 48 << 20), "v1")
    two = Process2()
    check(lib.nvmlDeviceGetComputeRunningProcesses_v2(device, byref(count), byref(two)) == OK and
          (two.pid, two.gpu, two.compute) == (pid, 2**32 - 1, 2**32 - 1), "v2")
    for kind in ("Graphics", "MPSCompute"):
        for version in ("", "_v2", "_v3"):
            count.value = 1
            fn = getattr(lib, f"nvmlDeviceGet{kind}RunningProcesses{version}")
            check(fn(device, byref(count), byref(two)) == OK and count.value == 0, f"no {kind}")
    details = (Detail * 2)()
    for mode, many in ((0, 1), (1, 0), (2, 0), (3, 1)):
        list_ = DetailList(mode=mode, count=2, list=details).as_version(1)
        check(lib.nvmlDeviceGetRunningProcessDetailList(device, byref(list_)) == OK and
              list_.count == many, f"details of mode {mode}")
    check((details[0].pid, details[0].memory) == (pid, 48 << 20), "its details")
    list_.mode = 4
    check(lib.nvmlDeviceGetRunningProcessDetailList(device, byref(list_)) == INVALID, "mode 4")
    list_.version += 8
    check(lib.nvmlDeviceGetRunningProcessDetailList(device, byref(list_)) == VERSION_MISMATCH,
          "a longer list")
    check(text(lib.nvmlSystemGetProcessName, pid) == (OK, sys.executable), "its name")
    check(text(lib.nvmlSystemGetProcessName, 2**22 + 1)[0] == NOT_FOUND, "a name of no process")


def check_always(lib, device):
    a, b = c_uint(7), c_uint(7)
    for name, value in (("ComputeMode", 0), ("DisplayMode", 1), ("DisplayActive", 0),
                        ("AccountingMode", 0), ("VirtualizationMode", 2), ("MaxMigDeviceCount", 0)):
        check(getattr(lib, "nvmlDeviceGet" + name)(device, byref(a)) == OK and a.value == value,
              name)
    check(lib.nvmlDeviceGetMigMode(device, byref(a), byref(b)) == OK and (a.value, b.value) ==
          (0, 0), "no MIG")
    a.value = 7
    check(lib.nvmlDeviceIsMigDeviceHandle(device, byref(a)) == OK and not a.value, "not of MIG")
    check(lib.nvmlDeviceGetMigDeviceHandleByIndex(device, 0, byref(c_void_p())) == NOT_FOUND,
          "a MIG device")
    major, minor = c_int(), c_int()
    check(lib.nvmlDeviceGetCudaComputeCapability(device, byref(major), byref(minor)) == OK and
          3 <= major.value <= 20, "compute capability")
    check(lib.nvmlDeviceGetArchitecture(device, byref(a)) == OK and
          a.value == {9: 9, 10: 10, 12: 10}.get(major.value, a.value) and a.value > 1, "arch")
    for name in ("nvmlUnitGetCount", "nvmlGetExcludedDeviceCount"):
        a.value = 7
        check(getattr(lib, name)(byref(a)) == OK and a.value == 0, name)
    state = (c_uint * 3)(7, 7, 7)
    check(lib.nvmlSystemGetConfComputeState(state) == OK and list(state) == [0, 0, 0], "no CC")
    settings = CcSettings(feature=7, multi=7).as_version(1)
    check(lib.nvmlSystemGetConfComputeSettings(byref(settings)) == OK and
          (settings.feature, settings.multi) == (0, 0), "no CC, settings")
    settings.version = 1
    check(lib.nvmlSystemGetConfComputeSettings(byref(settings)) == VERSION_MISMATCH, "short ones")
    version = c_int()
    check(lib.nvmlSystemGetCudaDriverVersion_v2(byref(version)) == OK and
          11000 <= version.value <= 13000, f"CUDA {version.value}")


def check_questions(lib, device, double):
    """What the host's NVML answers: exactly, where it is the double; else sensibly or not."""
    asked = {n: q for n, q in questions().items() if q[3]}
    for name, (number, shape, most, _) in asked.items():
        for inputs in {(0, 0, 0), most}:
            got = call(lib, device, name, shape, *inputs)
            answer = number * 10000 + inputs[0] * 100 + inputs[1] * 10 + inputs[2]
            want = {"TEXT": (OK, f"text {number}"), "U32_U32": (OK, answer, 2**32 - 1 - answer)}
            want = want.get(shape, (OK, answer << 32 | 7 if shape.endswith("U64") else answer))
            if number in (6, 29):
                want = (NO_PERMISSION if number == 6 else NOT_SUPPORTED, *[0] * (len(want) - 1))
            if double:
                check(got == want, f"{name}{inputs}: {got}, not {want}")
            else:
                check(got[0] in (OK, NOT_SUPPORTED, INVALID, NO_PERMISSION), f"{name}: {got}")
        for i in range(shape.count("IN_")):
            inputs = list(most)
            inputs[i] += 1
            got = call(lib, device, name, shape, *inputs)
            check(got[0] == INVALID, f"{name}{inputs}, beyond what it takes: {got}")
    rates, brand, degrees = (c_uint * 2)(), c_uint(7), Temperature(value=7).as_version(1)
    r = lib.nvmlDeviceGetUtilizationRates(device, rates)
    check((r, list(rates)) == (OK, [600000, 2**32 - 1 - 600000]) if double else
          r in (OK, NOT_SUPPORTED) and max(rates) <= 100, f"utilisation {r} {list(rates)}")
    check(lib.nvmlDeviceGetBrand(device, byref(brand)) == OK and
          (brand.value == 30000 if double else brand.value < 30), f"brand {brand.value}")
    r = lib.nvmlDeviceGetTemperatureV(device, byref(degrees))
    check((r, degrees.value) == (OK, 270000) if double else
          r == NOT_SUPPORTED or 0 < degrees.value < 130, f"temperature {degrees.value}")
    degrees.sensor = 1
    check(lib.nvmlDeviceGetTemperatureV(device, byref(degrees)) == INVALID, "sensor 1")
    degrees.version = 12
    check(lib.nvmlDeviceGetTemperatureV(device, byref(degrees)) == VERSION_MISMATCH, "version 0")
    state = c_uint(9)
    r = lib.nvmlDeviceGetPowerState(device, byref(state))
    check((r, state.value) == call(lib, device, "nvmlDeviceGetPerformanceState", "U32") or
          r == NOT_SUPPORTED, "the state by its old name")
    r, version = text(lib.nvmlSystemGetDriverVersion)
    check((r, version) == (OK, "580.0.1") if double else
          r == NOT_SUPPORTED or re.match(r"\d+\.\d+", version), f"driver {r} {version}")
    check(lib.nvmlSystemGetDriverVersion(None, 80) in (INVALID, NOT_SUPPORTED), "driver, nowhere")
    check(text(lib.nvmlSystemGetNVMLVersion) == (OK, "13." + (version if r == OK else "0")),
          "NVML's version")


def check_fields(lib, device, double):
    fields = (Field * 6)(Field(id=186), Field(id=187), Field(id=160), Field(id=2**32 - 1),
                         Field(id=186, scope=2), Field(id=186, scope=3))
    before = time.time() * 1e6
    check(lib.nvmlDeviceGetFieldValues(device, 6, fields) == OK, "fields")
    check(fields[5].result == INVALID, "a scope that none is")
    check(fields[2].result == NOT_SUPPORTED and fields[3].result == NOT_SUPPORTED,
          "a field that is not the guest's to ask, one that none is")
    check(abs(fields[0].timestamp - before) < 60e6, "when")
    if double:
        check((fields[0].result, fields[0].type, fields[0].value) == (OK, 1, 1860), "field 186")
        check((fields[4].result, fields[4].type, fields[4].value) == (OK, 1, 1862), "of its memory")
        check(fields[1].result == NOT_SUPPORTED, "field 187")
    check(lib.nvmlDeviceGetFieldValues(device, 0, fields) == INVALID, "no fields")


def check_events(lib, device):
    set_, types, data = c_void_p(), c_ulonglong(9), ctypes.create_string_buffer(64)
    check(lib.nvmlEventSetCreate(byref(set_)) == OK and set_.value, "a set of events")
    check(lib.nvmlDeviceGetSupportedEventTypes(device, byref(types)) == OK and not types.value,
          "which events there are")
    check(lib.nvmlDeviceRegisterEvents(device, c_ulonglong(8), set_) == NOT_SUPPORTED, "an Xid")
    check(lib.nvmlDeviceRegisterEvents(device, c_ulonglong(0), set_) == OK, "no events")
    check(lib.nvmlDeviceRegisterEvents(device, c_ulonglong(0), c_void_p(8)) == INVALID, "no set")
    start = time.monotonic()
    check(lib.nvmlEventSetWait_v2(set_, data, 60) == TIMEOUT and
          0.06 <= time.monotonic() - start < 10, "waited for the time")
    check(lib.nvmlEventSetWait(set_, data, 0) == TIMEOUT, "waited for no time")
    check(lib.nvmlEventSetWait_v2(set_, None, 0) == INVALID, "an event to nowhere")
    check(lib.nvmlEventSetFree(set_) == OK and lib.nvmlEventSetFree(set_) == INVALID, "freed, once")
    check(lib.nvmlEventSetWait_v2(set_, data, 0) == INVALID, "a set that has gone")


def check_topology(lib, device):
    bits = (ctypes.c_ulong * 16)()
    check(lib.nvmlDeviceGetCpuAffinity(device, 16, bits) == OK, "cpus")
    cpus = {i for i in range(1024) if bits[i // 64] >> i % 64 & 1}
    check(os.sched_getaffinity(0) <= cpus and len(cpus) == os.sysconf("SC_NPROCESSORS_ONLN"),
          f"cpus {cpus}")
    check(lib.nvmlDeviceGetCpuAffinityWithinScope(device, 16, bits, 1) == OK, "of its socket")
    check(lib.nvmlDeviceGetCpuAffinityWithinScope(device, 16, bits, 2) == INVALID, "scope 2")
    check(lib.nvmlDeviceGetCpuAffinity(device, 0, bits) == INVALID, "no room")
    r = lib.nvmlDeviceGetMemoryAffinity(device, 16, bits, 0)
    check(r == NOT_SUPPORTED or r == OK and bits[0] & 1, f"nodes {r}")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    check(lib.nvmlDeviceSetCpuAffinity(device) == OK and os.sched_getaffinity(0) >= before, "set")
    os.sched_setaffinity(0, {min(before)})
    check(lib.nvmlDeviceClearCpuAffinity(device) == OK and os.sched_getaffinity(0) >= before,
          "cleared")
    os.sched_setaffinity(0, before)
    status = c_uint(9)
    # With itself: what the host says, and without one that it cannot.
    for index, want in ((0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 0)):
        want = 890000 + 100 * index if "VGPU_TEST_DOUBLE" in os.environ else want
        check(lib.nvmlDeviceGetP2PStatus(device, device, index, byref(status)) == OK and
              status.value == want, f"p2p {index}: {status.value}")
    check(lib.nvmlDeviceGetP2PStatus(device, device, 6, byref(status)) == INVALID, "p2p 6")
    check(lib.nvmlDeviceGetP2PStatus(device, None, 0, byref(status)) == INVALID, "p2p with none")
    check(lib.nvmlDeviceGetTopologyCommonAncestor(device, device, byref(status)) == NOT_SUPPORTED,
          "it and itself")
    check(lib.nvmlDeviceGetTopologyCommonAncestor(device, None, byref(status)) == INVALID, "none")


def check_table(lib):
    table = ctypes.POINTER(c_void_p)()
    known = bytes.fromhex(TABLE)
    check(lib.nvmlInternalGetExportTable(byref(table), known) == OK, "nvidia-smi's table")
    check(all(table[i] for i in range(512)), "a function in each slot")
    refuse = ctypes.CFUNCTYPE(c_int)(table[300])
    check(refuse() == NOT_SUPPORTED, "a slot of which nothing is known")
    check(lib.nvmlInternalGetExportTable(byref(table), bytes(16)) == NOT_FOUND, "no such table")
    check(lib.nvmlInternalGetExportTable(None, known) == INVALID, "a table to nowhere")


def check_threads(lib, device):
    """More of them than a small channel has slots for answers."""
    want, wrong = text(lib.nvmlDeviceGetUUID, device), []

    def ask():
        memory, type_ = Memory(), c_uint()
        for _ in range(20):
            if lib.nvmlDeviceGetMemoryInfo(device, byref(memory)) or not memory.total or \
                    lib.nvmlDeviceGetBrand(device, byref(type_)) or \
                    text(lib.nvmlDeviceGetUUID, device) != want:
                wrong.append(memory.total)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not wrong, f"{len(wrong)} of 800 answers to 40 threads were wrong")


def check_fork(lib, device):
    """A child goes on asking, and its parent too."""
    memory, read, write = Memory(), *os.pipe()
    pid = os.fork()
    if not pid:
        r = lib.nvmlDeviceGetMemoryInfo(device, byref(memory))
        again = lib.nvmlInit_v2() or lib.nvmlDeviceGetMemoryInfo(device, byref(memory))
        os.write(write, f"{r} {again} {memory.total > 0}".encode())
        os._exit(0)
    os.close(write)
    check(os.read(read, 64) == b"0 0 True" and os.waitpid(pid, 0)[1] == 0, "in a child")
    check(lib.nvmlDeviceGetMemoryInfo(device, byref(memory)) == OK, "in its parent")
    os.close(read)


def executor(wait=False):
    """Which process of the host's serves this one; None where the mediator cannot be asked."""
    way = os.environ.get("VGPU_TRANSPORT", "")
    path = os.path.join(os.path.dirname(way[5:]), "control.sock")
    if not way.startswith("unix:") or not os.path.exists(path):
        return None
    while wait and executor():
        time.sleep(0.02)
    answer = b""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.send(b'{"request": "status"}\n')
        while piece := s.recv(65536):
            answer += piece
    for vgpu in json.loads(answer)["vgpus"]:
        for p in vgpu["processes"]:
            if p["pid"] == os.getpid():
                check(p["memory"] == 0, f"one that asks holds {p['memory']} bytes of the device")
                return p["executor"]
    return None


def check_lost(lib, device):
    """The executor dies; a program that goes on for days starts NVML anew."""
    pid, memory = executor(), Memory()
    if not pid:
        print("nvml: an executor's death was not tried, for the mediator cannot be asked for it")
        return
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        if lib.nvmlDeviceGetMemoryInfo(device, byref(memory)) == LOST:
            break
        time.sleep(0.05)
    check(lib.nvmlDeviceGetMemoryInfo(device, byref(memory)) == LOST, "its executor has gone")
    check(lib.nvmlShutdown() == OK and lib.nvmlInit_v2() == OK, "started anew")
    check(lib.nvmlDeviceGetMemoryInfo(device, byref(memory)) == OK and memory.total > 0,
          "and answered")


def check_said():
    """A refused function says so once, and only where that was asked for."""
    program = f"""
import ctypes
lib = ctypes.CDLL({sys.argv[1]!r})
device, table = ctypes.c_void_p(), ctypes.POINTER(ctypes.c_void_p)()
lib.nvmlInit_v2()
lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
lib.nvmlInternalGetExportTable(ctypes.byref(table), bytes.fromhex({TABLE!r}))
for i in range(3):
    lib.nvmlDeviceGetSerial(device)
    lib.nvmlSystemGetHicVersion()
    ctypes.CFUNCTYPE(ctypes.c_int)(table[300])()
"""
    want = "".join(f"vgpu: NVML: {n}: not supported\n" for n in
                   ("nvmlDeviceGetSerial", "nvmlSystemGetHicVersion", "export table, slot 300"))
    for debug in ({}, {"VGPU_DEBUG": "1"}):
        env = {k: v for k, v in os.environ.items() if k != "VGPU_DEBUG"} | debug
        r = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True,
                           check=False)
        check(r.returncode == 0 and r.stderr == (want if debug else ""), f"said {r.stderr}")


def facts(lib):
    """What does not change from one moment to the next."""
    device, pci, major, minor = c_void_p(), Pci(), c_int(), c_int()
    version = c_int()
    lib.nvmlDeviceGetHandleByIndex_v2(0, byref(device))
    lib.nvmlDeviceGetPciInfo_v3(device, byref(pci))
    lib.nvmlDeviceGetCudaComputeCapability(device, byref(major), byref(minor))
    lib.nvmlSystemGetCudaDriverVersion(byref(version))
    found = {
        "name": text(lib.nvmlDeviceGetName, device), "uuid": text(lib.nvmlDeviceGetUUID, device),
        "bus": (pci.bus_id, pci.legacy, pci.domain, pci.bus, pci.device, pci.id, pci.subsystem),
        "compute": (major.value, minor.value), "cuda": version.value,
        "driver": text(lib.nvmlSystemGetDriverVersion),
    }
    for name, shape in (("VbiosVersion", "TEXT"), ("Brand", "U32"), ("Architecture", "U32"),
                        ("NumGpuCores", "U32"), ("MemoryBusWidth", "U32"), ("EccMode", "U32_U32"),
                        ("PersistenceMode", "U32"), ("PowerManagementDefaultLimit", "U32"),
                        ("PowerManagementLimitConstraints", "U32_U32"), ("FanSpeed", "U32"),
                        ("MaxPcieLinkGeneration", "U32"), ("MaxPcieLinkWidth", "U32"),
                        ("SupportedClocksEventReasons", "U64")):
        found[name] = call(lib, device, "nvmlDeviceGet" + name, shape)
    for sensor in range(8):
        name = "nvmlDeviceGetTemperatureThreshold"
        found[f"{name} {sensor}"] = call(lib, device, name, "IN_U32", sensor)
    for clock in range(4):
        name = "nvmlDeviceGetMaxClockInfo"
        found[f"{name} {clock}"] = call(lib, device, name, "IN_U32", clock)
    # Where it fails, what is put out is not said.
    return {k: v[:1] if isinstance(v, tuple) and v[0] in (2, 3, 4) else v
            for k, v in found.items()}


def main():
    lib = ctypes.CDLL(sys.argv[1])
    lib.nvmlErrorString.restype = ctypes.c_char_p
    nm = subprocess.run(["nm", "-D", "--defined-only", sys.argv[1]], capture_output=True, text=True,
                        check=True).stdout.split()[2::3]
    exported = [n for n in nm if n.startswith("nvml")]
    check(len(exported) > 400 and exported == nm, f"{len(exported)} functions are NVML's of {nm}")
    double = "VGPU_TEST_DOUBLE" in os.environ
    device = c_void_p()
    check_before(lib, exported)
    check(lib.nvmlInit_v2() == OK, "nvmlInit_v2")
    check(lib.nvmlInit() == OK and lib.nvmlShutdown() == OK, "a second start and its end")
    check(lib.nvmlInitWithFlags(0) == OK and lib.nvmlShutdown() == OK, "one with flags")
    check(lib.nvmlDeviceGetHandleByIndex_v2(0, byref(device)) == OK, "by index")
    check_bad(lib, exported, device)
    check_devices(lib, device)
    check_pci(lib, device, double)
    check_memory(lib, device)
    check_always(lib, device)
    check_questions(lib, device, double)
    check_fields(lib, device, double)
    check_events(lib, device)
    check_topology(lib, device)
    check_table(lib)
    check_processes(lib, device)
    check_threads(lib, device)
    check_fork(lib, device)
    check_said()
    check_lost(lib, device)
    strings = [lib.nvmlErrorString(i) for i in range(31)]
    check(strings[0] == b"Success" and strings[3] == b"Not Supported" and
          len(set(strings)) == 31 and lib.nvmlErrorString(31) == lib.nvmlErrorString(999) == b"Unknown Error", "error strings")
    ours = facts(lib)
    if len(sys.argv) > 2:
        native = ctypes.CDLL(sys.argv[2])
        check(native.nvmlInit_v2() == OK, "native start")
        theirs = facts(native)
        for key in ours:
            check(ours[key] == theirs[key], f"{key}: {ours[key]}, native {theirs[key]}")
    check(lib.nvmlShutdown() == OK and lib.nvmlShutdown() == UNINITIALIZED, "the end, once")
    check(executor(wait=True) is None, "its executor has ended with it")
    check_before(lib, exported)
    print(f"nvml: {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
