# SPDX-License-Identifier: Apache-2.0
"""Where the rig keeps what it fetched and built, and how it says what it does."""
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
HERE = os.path.join(TOP, "tools", "vm")
BUILD = os.path.join(TOP, "build")
ROOT = os.environ.get("VGPU_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vgpu")

verbose = bool(os.environ.get("V"))


class Failure(Exception):
    """Something the user must read; ends the program without a traceback."""


def path(*parts):
    return os.path.join(ROOT, *parts)


def say(text):
    """Progress goes to stderr: stdout belongs to the answers."""
    print(f"  {text}", file=sys.stderr, flush=True)


def main(function):
    """Run a door's main, with the two ways in which it may end early.

    Its machines end with it when it is asked to end, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(function())
    except Failure as failure:
        print(f"{os.path.basename(sys.argv[0])}: {failure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@contextlib.contextmanager
def lock(name):
    """One builder of a thing at a time, across processes."""
    os.makedirs(path("locks"), exist_ok=True)
    with open(path("locks", name), "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest(*parts):
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes) else str(part).encode())
        sha.update(b"\0")
    return sha.hexdigest()[:12]


def quiet(command, what, log=None, **kwargs):
    """Run a command silently; its output is shown only when it fails."""
    if verbose:
        say("+ " + " ".join(command))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          errors="replace", **kwargs)
    if log:
        with open(log, "w") as out:
            out.write(done.stdout)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise Failure(f"{what} failed ({' '.join(command)}):\n{tail}")
    return done.stdout


def long_job(command, what, log, steps, **kwargs):
    """Run a build of minutes, with a line of progress every few seconds.

    steps is about how many lines the build prints, so that the progress can
    be a share; a wrong guess costs only a wrong percentage."""
    start, shown, count = time.time(), 0.0, 0
    say(f"{what}: started, log in {log}")
    with open(log, "w") as out:
        job = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               errors="replace", **kwargs)
        for line in job.stdout:
            out.write(line)
            count += 1
            now = time.time()
            if now - shown >= (2 if sys.stderr.isatty() else 20):
                shown = now
                share = min(99, 100 * count // steps)
                text = f"{what}: {share}% {int(now - start)} s"
                if sys.stderr.isatty():
                    print(f"\r  {text}\033[K", end="", file=sys.stderr, flush=True)
                else:
                    say(text)
        job.wait()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if job.returncode:
        with open(log) as out:
            lines = out.read().splitlines()
        bad = [l for l in lines if "error" in l.lower() or "Error" in l][-15:]
        raise Failure(f"{what} failed, log in {log}:\n" +
                      "\n".join(bad or lines[-20:]))
    say(f"{what}: done in {int(time.time() - start)} s")
    return count


def replace_tree(new, final):
    """Put a finished folder in its place, so that a half-built one never is."""
    shutil.rmtree(final, ignore_errors=True)
    os.makedirs(os.path.dirname(final), exist_ok=True)
    os.rename(new, final)


def jobs():
    return len(os.sched_getaffinity(0))


class Lines(threading.Thread):
    """Hand each line of a stream to a function, in a thread of its own."""

    def __init__(self, stream, function):
        super().__init__(daemon=True)
        self.stream, self.function = stream, function
        self.start()

    def run(self):
        for line in self.stream:
            self.function(line)
