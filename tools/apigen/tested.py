# SPDX-License-Identifier: Apache-2.0
"""Which functions of the driver the tests call: what their programs ask the linker for."""

import subprocess


def called(programs):
    """The undefined symbols of programs that were linked against libcuda.so.1."""
    out = subprocess.run(["nm", "-D", "--undefined-only", *programs], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if " U " in line}


def working(model):
    """(group, name) of every exported function that is not refused, each variant by itself."""
    return [(f.group, name) for f in model.exported() if model.disposition(f) != "refused"
            for name in [f.name] + [f"{f.name}_{s}" for s, _ in f.variants]]
