#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the shim answers to calls that make no sense, and what NVIDIA's driver does.

    test_answers.py [--gpu] QUESTIONS [ARGUMENT...]     (through a mediator)

Runs tests/apigen/questions and compares its answers with those kept in answers/, which the
driver of that version gave on a GPU.  Outputs count as written or not; what of them is 0 only
after a failure, where the kept answer says so.  Every difference has to be accepted, by a line
of answers/accepted.txt, or of accepted-softgpu.txt for what softgpu is or lacks, or, with --gpu,
of accepted-gpu.txt for what softgpu does not get as far as:

    QUESTION | NATIVELY | OURS | WHY

where the first three are patterns of fnmatch, and WHY is needed once for lines in a row.  A line
that accepts nothing is a mistake, too (without --gpu), so that the files say no more than is so.
"""
import collections
import fnmatch
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWERS = os.path.join(HERE, "answers")


def read(lines):
    """{question: (result, written, cleared)}; what has no answer is left out."""
    out = {}
    for line in lines:
        question, _, answer = line.rstrip("\n").rpartition(": ")
        words = answer.split()
        sets = {w[0]: set(w[1:].split(",")) for w in words if re.fullmatch(r"[wz]\d+(,\d+)*", w)}
        result = " ".join(w for w in words if not re.fullmatch(r"[wz]\d+(,\d+)*", w))
        if result != "not asked":
            out[question] = result, sets.get("w", set()), sets.get("z", set())
    return out


def text(answer):
    """The result, and which parameters point at what was written."""
    result, written, cleared = answer
    changed = ",".join(sorted(written | cleared, key=int))
    return f"{result} w{changed}" if changed else result


def equal(native, ours):
    if text(native) != text(ours):
        return False
    return native[0] == "0" or not native[2] or native[2] == ours[2]


class Accepted:
    def __init__(self, names):
        self.rules = []
        for name in names:
            why = ""
            with open(os.path.join(ANSWERS, name)) as f:
                for number, line in enumerate(f, 1):
                    if line.startswith("#") or not line.strip():
                        continue
                    parts = [p.strip() for p in line.split("|")]
                    if len(parts) not in (3, 4) or (len(parts) == 3 and not why):
                        sys.exit(f"{name}:{number}: write QUESTION | NATIVELY | OURS | WHY")
                    why = parts[3] if len(parts) == 4 else why
                    self.rules.append([f"{name}:{number}", *(re.compile(fnmatch.translate(p))
                                                             for p in parts[:3]), why, 0])

    def find(self, question, native, ours):
        for rule in self.rules:
            if all(p.match(s) for p, s in zip(rule[1:4], (question, native, ours))):
                rule[5] += 1
                return True
        return False


def main():
    words = sys.argv[1:]
    gpu = "--gpu" in words
    if gpu:
        words.remove("--gpu")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = done.stderr.strip().splitlines()
    if done.returncode:
        sys.exit(f"{words[0]} ended with {done.returncode}: {said}")
    ours = read(done.stdout.splitlines())
    native = {}
    for path in sorted(glob.glob(os.path.join(ANSWERS, "[0-9]*.txt"))):
        with open(path) as f:
            native.update(read(f))
    accepted = Accepted(["accepted.txt", "accepted-gpu.txt" if gpu else "accepted-softgpu.txt"])
    both = [q for q in ours if q in native]
    different, allowed = collections.defaultdict(list), 0
    for q in both:
        if equal(native[q], ours[q]):
            continue
        if accepted.find(q, text(native[q]), text(ours[q])):
            allowed += 1
        else:
            different[q.split()[0]].append(f"    {q}: natively {text(native[q])}, "
                                           f"here {text(ours[q])}")
    for name, lines in different.items():
        print(f"{name}: {len(lines)}", *lines, sep="\n")
    unused = [r for r in accepted.rules if not r[5] and not gpu]
    for rule in unused:
        print(f"{rule[0]} accepts nothing")
    wrong = sum(len(lines) for lines in different.values())
    print(f"answers: {len(ours)} questions, {len(both)} with a native answer; "
          f"{len(both) - allowed - wrong} equal, {allowed} accepted, {wrong} different")
    print(f"{len(both) - wrong} checks passed, {wrong + len(unused)} failed")
    return 1 if wrong or unused or not both else 0


if __name__ == "__main__":
    sys.exit(main())
