# SPDX-License-Identifier: Apache-2.0
"""Run commands, some at the same time, each as soon as what it needs is there.

A job is a command with a log of its own. It starts when a slot is free, when the jobs
that it needs have succeeded, and when no running job is in its group. Of the jobs that
may start, the first of the list does.
"""
import os
import re
import shlex
import signal
import subprocess
import time

# A job is ended when it has printed nothing for its time of silence, or after
# PATIENCE times that: a machine with other work to do is slow, not broken.
PATIENCE = 12
POLL_SECONDS = 0.1
ENDED = 124             # the status of a job that had to be ended
NOT_RUN = 125           # of one that needs what has failed


class Job:
    """needs and group are names; progress says that the job's stderr goes to ours.

    When it has ended, seconds is how long it ran, and cpu the processors' time in seconds
    of all that it has started and waited for."""

    def __init__(self, name, command, silence, log, needs=(), group=None, progress=False):
        self.name, self.command, self.silence, self.log = name, command, silence, log
        self.needs, self.group, self.progress = frozenset(needs), group, progress
        self.status, self.seconds, self.cpu = None, 0.0, 0.0

    def start(self, folder):
        self.began = self.heard = time.time()
        self.size = 0
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                shlex.split(self.command), cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=None if self.progress else subprocess.STDOUT, start_new_session=True)

    def ended(self):
        """Whether it has come to its end, or had to be brought to it."""
        pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
        now = time.time()
        self.seconds = now - self.began
        if pid:
            self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu = used.ru_utime + used.ru_stime
            return True
        if os.path.getsize(self.log) != self.size:
            self.size, self.heard = os.path.getsize(self.log), now
        if now - self.heard <= self.silence and self.seconds <= self.silence * PATIENCE:
            return False
        self.end()
        with open(self.log, "a") as log:
            log.write(f"\nended after {self.seconds:.0f} s, "
                      f"the last {now - self.heard:.0f} of them silent\n")
        self.status = ENDED
        return True

    def end(self):
        """End it with all that it has started: its machines, too."""
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, signum)
                self.process.wait(timeout=10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def leave_out(self, missing):
        with open(self.log, "w") as log:
            log.write(f"not run, because this has failed: {', '.join(sorted(missing))}\n")
        self.status = NOT_RUN

    def text(self):
        with open(self.log, errors="replace") as log:
            return log.read()


def run(jobs, slots, folder):
    """Yield each job when it has its status."""
    waiting, running = list(jobs), []
    done, failed = set(), set()
    try:
        while waiting or running:
            for job in [j for j in waiting if j.needs & failed]:
                waiting.remove(job)
                job.leave_out(job.needs & failed)
                failed.add(job.name)
                yield job
            busy = {j.group for j in running if j.group}
            for job in waiting:
                if len(running) < slots and job.needs <= done and job.group not in busy:
                    waiting.remove(job)
                    running.append(job)
                    job.start(folder)
                    break
            else:
                time.sleep(POLL_SECONDS)
            for job in [j for j in running if j.ended()]:
                running.remove(job)
                (failed if job.status else done).add(job.name)
                yield job
    finally:
        for job in running:
            job.end()


def slots():
    """How many jobs to run at the same time. A host VM has up to 4 CPUs and 3 GiB."""
    cores = len(os.sched_getaffinity(0))
    with open("/proc/meminfo") as info:
        memory = int(re.search(r"MemAvailable: +(\d+) kB", info.read()).group(1))
    return max(1, min(max(2, cores // 2), memory // (4 << 20)))
