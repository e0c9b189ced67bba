#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/llama without the network: the model that it writes, and what it does with npm.

The model is read back by a reader of this file's own, which follows GGUF's description and
ggml's functions dequantize_row_*. npm is a script that delivers made-up packages, or fails.
"""
import math
import os
import struct
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tools", "llama"))
import model        # noqa: E402

checks = failures = 0


def expect(what, condition, outcome=""):
    global checks, failures
    checks += 1
    if not condition:
        failures += 1
        print(f"FAILED {what}: {outcome}")


# --- the model ----------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        found = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return found[0]

    def string(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self):
        kind = self.take("I")
        return self.string() if kind == 8 else self.take({4: "I", 6: "f"}[kind])


def read(data):
    """({key: value}, {name: (shape, type, bytes from its place on)})"""
    r = Reader(data)
    assert data[:4] == b"GGUF"
    r.at = 4
    version, tensors, pairs = r.take("I"), r.take("Q"), r.take("Q")
    assert version == 3
    values = {r.string(): r.value() for _ in range(pairs)}
    infos = {}
    for _ in range(tensors):
        name = r.string()
        shape = [r.take("Q") for _ in range(r.take("I"))]
        infos[name] = (shape, r.take("I"), r.take("Q"))
    start = r.at + -r.at % values["general.alignment"]
    return values, {n: (s, k, data[start + o:], o) for n, (s, k, o) in infos.items()}


def half(data, at):
    return struct.unpack_from("<e", data, at)[0]


def f32(data, count):
    return list(struct.unpack_from(f"<{count}f", data))


def q8_0(data, count):
    out = []
    for at in range(0, count // 32 * 34, 34):
        out += [half(data, at) * q for q in struct.unpack_from("<32b", data, at + 2)]
    return out


def scale_min_k4(j, q):
    if j < 4:
        return q[j] & 63, q[j + 4] & 63
    return q[j + 4] & 15 | q[j - 4] >> 6 << 4, q[j + 4] >> 4 | q[j] >> 6 << 4


def q4_k(data, count):
    out = []
    for at in range(0, count // 256 * 144, 144):
        d, dmin = half(data, at), half(data, at + 2)
        for j in range(8):
            s, m = scale_min_k4(j, data[at + 4:at + 16])
            qs = data[at + 16 + j // 2 * 32:][:32]
            out += [d * s * (q >> 4 if j & 1 else q & 15) - dmin * m for q in qs]
    return out


def q6_k(data, count):
    out = []
    for at in range(0, count // 256 * 210, 210):
        ql, qh = data[at:at + 128], data[at + 128:at + 192]
        scales, d = struct.unpack_from("<16b", data, at + 192), half(data, at + 208)
        for n in range(256):
            part, quarter, l = n // 128, n % 128 // 32, n % 32
            low = ql[64 * part + 32 * (quarter & 1) + l] >> 4 * (quarter >> 1) & 15
            high = qh[32 * part + l] >> 2 * quarter & 3
            out.append(d * scales[n // 16] * ((low | high << 4) - 32))
    return out


KINDS = {0: f32, 8: q8_0, 12: q4_k, 14: q6_k}
SIZES = {0: 4, 8: 34 / 32, 12: 144 / 256, 14: 210 / 256}


def the_model():
    data = model.build(1)
    values, tensors = read(data)
    expect("the same seed gives the same file", model.build(1) == data)
    expect("another seed gives another", model.build(2) != data)
    expect("architecture", values["general.architecture"] == "llama", values)
    expect("the vocabulary is the one that the tensors have",
           tensors["token_embd.weight"][0][1] == values["llama.vocab_size"], values)
    expect("all of a layer's tensors are there", len(tensors) == 3 + 9 * model.LAYERS,
           sorted(tensors))

    ends = 0
    for name, (shape, kind, body, offset) in tensors.items():
        count = math.prod(shape)
        expect(f"{name} lies behind the one before, aligned", offset >= ends and
               offset % 32 == 0 and offset < ends + 32, (offset, ends))
        ends = offset + int(count * SIZES[kind])
        expect(f"{name} is whole", len(body) >= count * SIZES[kind], len(body))
        weights = KINDS[kind](body, count)
        mean = sum(weights) / count
        spread = math.sqrt(sum(w * w for w in weights) / count - mean * mean)
        if kind == 0:
            expect(f"{name} is around 1", abs(mean - 1) < 0.1, mean)
            continue
        want = 1.0 if name == "token_embd.weight" else 1 / math.sqrt(shape[0])
        if name == "output.weight":
            want *= model.LOGIT_SPREAD
        expect(f"{name} has mean 0", abs(mean) < 0.03 * spread, (mean, spread))
        expect(f"{name} keeps the size of what passes", abs(spread / want - 1) < 0.07,
               (spread, want))
    expect("nothing is behind the last tensor",
           tensors["blk.1.ffn_down.weight"][2][ends - tensors["blk.1.ffn_down.weight"][3]:]
           .strip(b"\0") == b"", "")


def the_scales():
    scales, mins = [1, 2, 33, 63, 17, 48, 5, 62], [60, 3, 21, 42, 63, 16, 1, 37]
    packed = model.pack_q4_k_scales(scales, mins)
    expect("Q4_K's scales and minima", [scale_min_k4(j, packed) for j in range(8)] ==
           list(zip(scales, mins)), packed.hex())


# --- npm ----------------------------------------------------------------------

NPM = """#!/bin/sh
echo "$*" >>"{log}"
case $* in *-cuda-ext@*) cp "{folder}/ext.tgz" x-1.tgz ;; *) cp "{folder}/cpu.tgz" x-1.tgz ;; esac
"""


def package(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            source = path + ".member"
            with open(source, "w") as out:
                out.write(text)
            archive.add(source, name)


class Npm:
    """A cache of its own, and an npm of its own, if any."""

    def __init__(self, scratch):
        self.bin, self.log = os.path.join(scratch, "bin"), os.path.join(scratch, "log")
        self.cache = os.path.join(scratch, "cache")
        os.mkdir(self.bin)
        for name in ("env", "python3", "cp", "sh"):
            os.symlink(subprocess.run(["which", name], stdout=subprocess.PIPE, text=True)
                       .stdout.strip(), os.path.join(self.bin, name))
        cudart = os.path.join(scratch, "libcudart.so.12")
        with open(cudart, "w") as out:
            out.write("cudart")
        self.env = {"PATH": self.bin, "VGPU_CACHE": self.cache, "VGPU_CUDART": cudart}

    def npm(self, text):
        path = os.path.join(self.bin, "npm")
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, 0o755)

    def demo(self, **env):
        """(exit status, stdout, stderr but for the lines of progress)"""
        done = subprocess.run([os.path.join(TOP, "tools", "llama", "demo"), "--fetch"],
                              env=dict(self.env, **env), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return (done.returncode, done.stdout.strip(),
                [l for l in done.stderr.splitlines() if not l.startswith("  ")])

    def calls(self):
        if not os.path.exists(self.log):
            return 0
        with open(self.log) as log:
            return len(log.readlines())


def refuses(what, npm, said, **env):
    status, out, err = npm.demo(**env)
    expect(what, status == 2 and not out and len(err) == 1 and said in err[0], (status, out, err))


def npm_delivers(scratch):
    npm = Npm(scratch)
    npm.npm(NPM.format(log=npm.log, folder=scratch))
    folder = "package/bins/linux-x64/"
    package(os.path.join(scratch, "cpu.tgz"), {
        folder + "libllama.so": "llama", folder + "llama-addon.node": "addon",
        "package/dist/other.so": "other", "package/bins/libabove.so": "above"})
    package(os.path.join(scratch, "ext.tgz"), {
        "package/bins/linux-x64-cuda/fallback/libggml-cuda.so": "cuda"})
    status, base, err = npm.demo()
    expect("what npm delivers is fetched", status == 0 and not err, (status, base, err))
    expect("into the cache", base.startswith(npm.cache), base)
    found = {os.path.relpath(os.path.join(at, f), base)
             for at, _, files in os.walk(base) for f in files}
    expect("the libraries alone", found == {"lib/libllama.so", "cuda/libggml-cuda.so",
                                           "cudart/libcudart.so.12"}, found)
    expect("of two packages", npm.calls() == 2, npm.calls())
    expect("once", npm.demo()[:2] == (0, base) and npm.calls() == 2, npm.calls())


def npm_fails(scratch):
    npm = Npm(scratch)
    refuses("without npm", npm, "npm is not there")
    npm.npm("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho more >&2\nexit 1\n")
    refuses("npm without the network", npm, "(npm error code ENOTFOUND)")
    npm.npm("#!/bin/sh\nexit 0\n")
    refuses("npm that brings nothing", npm, "npm does not deliver")
    npm.npm(NPM.format(log=npm.log, folder=scratch))
    package(os.path.join(scratch, "cpu.tgz"), {"package/README.md": "nothing here"})
    refuses("a package without libraries", npm, "has no libraries")
    folder = "package/bins/linux-x64"
    package(os.path.join(scratch, "cpu.tgz"), {folder + "/libllama.so": ""})
    package(os.path.join(scratch, "ext.tgz"), {folder + "-cuda/fallback/libggml-cuda.so": ""})
    refuses("a cudart that is not there", npm, "there is no /nowhere", VGPU_CUDART="/nowhere")
    expect("and what was fetched before is kept", npm.demo()[0] == 0 and npm.calls() == 3,
           npm.calls())


def main():
    the_model()
    the_scales()
    for case in (npm_delivers, npm_fails):
        with tempfile.TemporaryDirectory() as scratch:
            case(scratch)
    print(f"llama: {checks - failures} checks passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
