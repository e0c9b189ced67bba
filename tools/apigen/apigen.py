#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates everything that follows from the specification of the driver's interface."""

import argparse
import glob
import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from model import SpecError		# noqa: E402
from parse import load			# noqa: E402

# output file: (emitter module, function)
OUTPUTS = {
    "cuda_abi.h": ("abi", "emit"),
    "conform.c": ("conform", "emit"),
    "vg_wire.h": ("wirefmt", "emit"),
    "decoder_cases.c": ("tests", "emit"),
    "shim_calls.h": ("shim", "emit_header"),
    "shim_wire.c": ("shim", "emit_wire"),
    "shim_exports.c": ("shim", "emit_exports"),
    "shim_tables.c": ("shim", "emit_tables"),
    "libcuda.map": ("shim", "emit_map"),
    "vg_cuda.h": ("executor", "emit_cuda_header"),
    "exec_calls.h": ("executor", "emit_header"),
    "executor_cuda.c": ("executor", "emit_cuda"),
    "executor_decode.c": ("executor", "emit_decode"),
    "questions_asked.c": ("questions", "emit"),
}


def specs(folder):
    return sorted(glob.glob(os.path.join(folder, "types", "*.api"))) + \
        sorted(glob.glob(os.path.join(folder, "*.api")))


def write(path, text):
    """Leave an unchanged file alone, so that nothing is rebuilt for it."""
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-s", "--spec", default=os.path.join(HERE, "spec"),
                        help="folder of specifications")
    parser.add_argument("-o", "--out", help="folder for the generated files")
    parser.add_argument("--coverage", metavar="FILE", help="write the table of functions there")
    parser.add_argument("--tests", metavar="PROGRAM", nargs="+", default=[],
                        help="programs whose calls count as tested, for the table")
    parser.add_argument("--list", action="store_true", help="print the names of the outputs")
    parser.add_argument("only", nargs="*", help="outputs to write; all if none is named")
    args = parser.parse_args()
    if args.list:
        print(" ".join(OUTPUTS))
        return 0
    try:
        model = load(specs(args.spec))
        if args.coverage:
            from emit.docs import emit
            from tested import called
            write(args.coverage, emit(model, called(args.tests) if args.tests else set()))
            return 0
        for name in args.only or OUTPUTS:
            module, function = OUTPUTS[name]
            text = getattr(importlib.import_module("emit." + module), function)(model)
            if args.out:
                write(os.path.join(args.out, name), text)
    except SpecError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
