#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/schedule.py does with jobs that wait, fail, are silent, or leave others behind."""
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))
import schedule     # noqa: E402

checks = failures = 0


def check(what, good):
    global checks, failures
    checks += 1
    failures += not good
    print(f"{'ok      ' if good else 'FAILED  '}{what}", flush=True)


class Case:
    """Jobs of shell commands, each of which notes when it began and when it ended."""

    def __init__(self, folder):
        self.folder, self.notes = folder, os.path.join(folder, "notes")

    def job(self, name, script="true", silence=30, **options):
        body = f"echo begin {name} >>{self.notes}; {script}; s=$?; echo end {name} >>{self.notes}"
        return schedule.Job(name, f"sh -c '{body}; exit $s'", silence,
                            os.path.join(self.folder, name + ".log"), **options)

    def run(self, jobs, slots):
        return {j.name: j for j in schedule.run(jobs, slots, self.folder)}

    def order(self):
        with open(self.notes) as notes:
            return [l.rstrip() for l in notes]


def alive(file):
    """Whether the process runs whose number is in a file; one that has ended may wait for init."""
    with open(file) as text:
        path = f"/proc/{text.read().strip()}/stat"
    if not os.path.exists(path):
        return False
    with open(path) as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


def waits_for(word, notes):
    """A script that goes on when another job has noted that."""
    return f"until grep -q \"{word}\" {notes}; do sleep 0.05; done"


def both_at_once(case):
    a = case.job("a", waits_for("begin b", case.notes), silence=20)
    b = case.job("b", waits_for("begin a", case.notes), silence=20)
    done = case.run([a, b], 2)
    check("two jobs that wait for each other's start run at the same time",
          [done["a"].status, done["b"].status] == [0, 0])


def one_slot(case):
    case.run([case.job(n, "sleep 0.2") for n in "abc"], 1)
    check("with one slot jobs run one after the other, in their order", case.order() ==
          [f"{w} {n}" for n in "abc" for w in ("begin", "end")])


def groups(case):
    jobs = [case.job("a", waits_for("begin c", case.notes), silence=20, group="g"),
            case.job("b", group="g"), case.job("c")]
    case.run(jobs, 3)
    order = case.order()
    check("a job of a running job's group waits for its end",
          order.index("end a") < order.index("begin b"))
    check("a job of no group overtakes it", order.index("begin c") < order.index("end a"))


def needs(case):
    jobs = [case.job("b", needs=["a"]), case.job("a", "sleep 0.2")]
    case.run(jobs, 2)
    check("a job starts after what it needs", case.order() ==
          ["begin a", "end a", "begin b", "end b"])


def needs_what_fails(case):
    jobs = [case.job("a", "false"), case.job("b", needs=["a"]), case.job("c", needs=["b"]),
            case.job("d")]
    done = case.run(jobs, 1)
    check("what needs a job that failed does not run, nor what needs that",
          [done[n].status for n in "abcd"] == [1, schedule.NOT_RUN, schedule.NOT_RUN, 0])
    check("its log names what has failed", "failed: a" in done["b"].text())


def silence(case):
    jobs = [case.job("quiet", "sleep 60", silence=0.5),
            case.job("talks", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done", silence=0.9)]
    done = case.run(jobs, 2)
    check("a silent job is ended", done["quiet"].status == schedule.ENDED)
    check("its log says so", "of them silent" in done["quiet"].text())
    check("one that prints goes on beyond its time of silence", done["talks"].status == 0)


def endless(case):
    job = case.job("endless", "while :; do echo again; sleep 0.1; done", silence=1)
    began = time.time()
    done = case.run([job], 1)
    check("a job that prints for ever is ended, too", done["endless"].status == schedule.ENDED
          and time.time() - began >= schedule.PATIENCE)


def children(case):
    pid = os.path.join(case.folder, "pid")
    case.run([case.job("parent", f"sleep 60 & echo $! >{pid}; wait", silence=0.5)], 1)
    end = time.time() + 60      # it is told to end, and does when it gets a CPU
    while alive(pid) and time.time() < end:
        time.sleep(0.05)
    check("what an ended job has started ends with it", not alive(pid))


def left_early(case):
    pid = os.path.join(case.folder, "pid")
    # Nobody starts the second one after the first result has been given.
    jobs = [case.job("a", f"until test -s {pid}; do sleep 0.05; done"),
            case.job("b", f"echo $$ >{pid}; sleep 60")]
    for _ in schedule.run(jobs, 2, case.folder):
        break
    check("who stops asking for results ends what runs", not alive(pid))


def main():
    for case in (both_at_once, one_slot, groups, needs, needs_what_fails, silence, endless,
                 children, left_early):
        with tempfile.TemporaryDirectory() as scratch:
            case(Case(scratch))
    print(f"schedule: {checks - failures} checks passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
