# SPDX-License-Identifier: Apache-2.0
"""What NVML tells of the first device that does not change, and how it takes wrong questions."""
import ctypes
import os
import sys
from ctypes import byref, c_int, c_uint, c_ulonglong, c_void_p

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "apigen"))
from test_nvml import Field, Memory2, PciExt, Process2, Temperature, facts, text  # noqa: E402

lib = ctypes.CDLL("libnvidia-ml.so.1")
lib.nvmlErrorString.restype = ctypes.c_char_p
word, device, same, wide = c_uint(7), c_void_p(), c_void_p(), c_ulonglong(7)
buffer = ctypes.create_string_buffer(128)


def say(what, *values):
    print(f"{what}:", *values)


say("before nvmlInit", lib.nvmlDeviceGetCount_v2(byref(word)), lib.nvmlShutdown())
say("nvmlInit", lib.nvmlInit_v2())
lib.nvmlDeviceGetHandleByIndex_v2(0, byref(device))
for key, value in facts(lib).items():
    say(key, value)
say("NVML", text(lib.nvmlSystemGetNVMLVersion))
say("index 99", lib.nvmlDeviceGetHandleByIndex_v2(99, byref(same)))
say("no such uuid", lib.nvmlDeviceGetHandleByUUID(b"GPU-00000000-0000-0000-0000-000000000000",
                                                  byref(same)))
say("no such bus id", lib.nvmlDeviceGetHandleByPciBusId_v2(b"00000000:fe:1f.0", byref(same)))
say("not a bus id", lib.nvmlDeviceGetHandleByPciBusId_v2(b"here", byref(same)))
say("a short buffer", lib.nvmlDeviceGetName(device, buffer, 2))
say("nowhere", lib.nvmlDeviceGetName(device, None, 64), lib.nvmlDeviceGetMemoryInfo(device, None),
    lib.nvmlDeviceGetTemperature(device, 0, None), lib.nvmlDeviceGetEccMode(device, None, None))
say("no device", lib.nvmlDeviceGetName(None, buffer, 64))
memory, ext, degrees = Memory2(version=1), PciExt(version=1), Temperature(version=1)
say("memory of version 1", lib.nvmlDeviceGetMemoryInfo_v2(device, byref(memory)))
say("pci of version 1", lib.nvmlDeviceGetPciInfoExt(device, byref(ext)))
ext.as_version(1)
say("pci", lib.nvmlDeviceGetPciInfoExt(device, byref(ext)), ext.base, ext.sub, ext.bus_id)
say("temperature of version 1", lib.nvmlDeviceGetTemperatureV(device, byref(degrees)))
degrees.as_version(1)
say("temperature", lib.nvmlDeviceGetTemperatureV(device, byref(degrees)), 0 < degrees.value < 120)
say("sensor 1", lib.nvmlDeviceGetTemperature(device, 1, byref(word)))
say("clock 9", lib.nvmlDeviceGetClockInfo(device, 9, byref(word)))
say("threshold 9", lib.nvmlDeviceGetTemperatureThreshold(device, 9, byref(word)))
for index in range(6):
    word.value = 99
    say(f"p2p {index} with itself", lib.nvmlDeviceGetP2PStatus(device, device, index, byref(word)),
        word.value)
say("common ancestor", lib.nvmlDeviceGetTopologyCommonAncestor(device, device, byref(word)),
    word.value)
one, two = c_uint(7), c_uint(7)
say("MIG", lib.nvmlDeviceGetMigMode(device, byref(one), byref(two)), one.value, two.value)
say("a MIG device", lib.nvmlDeviceGetMigDeviceHandleByIndex(device, 0, byref(same)))
say("of MIG", lib.nvmlDeviceIsMigDeviceHandle(device, byref(one)), one.value)
for name in ("ComputeMode", "DisplayMode", "DisplayActive", "AccountingMode"):
    one.value = 7
    say(name, getattr(lib, "nvmlDeviceGet" + name)(device, byref(one)), one.value)
count, list_ = c_uint(0), (Process2 * 4)()
# Natively those of other programs too.
say("processes", lib.nvmlDeviceGetComputeRunningProcesses_v3(device, byref(count), None) in (0, 7))
count.value = 0
say("drawing", lib.nvmlDeviceGetGraphicsRunningProcesses_v3(device, byref(count), None),
    count.value)
fields = (Field * 2)(Field(id=83), Field(id=2000))
say("fields", lib.nvmlDeviceGetFieldValues(device, 2, fields), fields[0].result, fields[0].type,
    fields[1].result != 0)
limits = (Field * 6)(*(Field(id=i, scope=s) for i in (188, 189) for s in (0, 1, 2)))
say("limits", lib.nvmlDeviceGetFieldValues(device, 6, limits),
    [(f.result, f.value * (not f.result)) for f in limits])
say("no fields", lib.nvmlDeviceGetFieldValues(device, 0, fields))
events, data = c_void_p(), ctypes.create_string_buffer(64)
say("events", lib.nvmlEventSetCreate(byref(events)), lib.nvmlEventSetWait_v2(events, data, 20),
    lib.nvmlEventSetFree(events))
say("units", lib.nvmlUnitGetCount(byref(one)), one.value)
say("excluded", lib.nvmlGetExcludedDeviceCount(byref(one)), one.value)
state = (c_uint * 3)(7, 7, 7)
say("confidential", lib.nvmlSystemGetConfComputeState(state), state[1], state[2])
version = c_int()
say("CUDA", lib.nvmlSystemGetCudaDriverVersion_v2(byref(version)), version.value)
say("energy", lib.nvmlDeviceGetTotalEnergyConsumption(device, byref(wide)), wide.value > 7)
say("errors", [lib.nvmlErrorString(i).decode() for i in range(31)])
say("shutdown", lib.nvmlShutdown(), lib.nvmlShutdown())
