# SPDX-License-Identifier: Apache-2.0
"""Debian packages of several suites, unpacked side by side without installing.

apt runs with a state, a cache and a list of sources of its own, so that
neither the machine's packages nor its apt configuration change.
"""
import os
import re
import shutil
import subprocess
from . import cache
from .cache import Failure, say

MIRROR = os.environ.get("VGPU_MIRROR", "http://deb.debian.org/debian")
SECURITY = os.environ.get("VGPU_MIRROR_SECURITY",
                          "http://deb.debian.org/debian-security")
# An empty name trusts the mirror without signatures (a made-up one of a test).
KEYRING = os.environ.get("VGPU_KEYRING", "/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = [
    (MIRROR, "bookworm"), (SECURITY, "bookworm-security"),
    (MIRROR, "bookworm-backports"),
    (MIRROR, "trixie"), (MIRROR, "trixie-backports"),
]

UNPACKED = cache.path("root")       # all unpacked packages share this one root


class Incomplete(Failure):
    """The archive lists a package that it cannot deliver, or not all that it needs."""


class Unreachable(Failure):
    """The archive could not be read at all."""


def _apt(*words, base="apt", **kwargs):
    env = dict(os.environ, APT_CONFIG=cache.path(base, "apt.conf"), LC_ALL="C")
    try:
        return subprocess.run(words, env=env, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    except FileNotFoundError:
        raise Unreachable(f"{words[0]} is not there: kernels are fetched from Debian's "
                          "archive, with apt") from None


def _configure(name="apt", parts=None):
    """parts: (URL, suite, component) of each part of an archive."""
    base = cache.path(name)
    for folder in ("lists/partial", "archives/partial", "etc"):
        os.makedirs(os.path.join(base, folder), exist_ok=True)
    open(os.path.join(base, "status"), "a").close()
    trust = f"signed-by={KEYRING}" if KEYRING else "trusted=yes"
    with open(os.path.join(base, "etc", "sources.list"), "w") as out:
        for part in parts or [(url, suite, "main") for url, suite in SUITES]:
            out.write(f"deb [{trust}] {' '.join(part)}\n")
    with open(os.path.join(base, "apt.conf"), "w") as out:
        out.write(f'''Dir::State "{base}";
Dir::State::lists "{base}/lists";
Dir::State::status "{base}/status";
Dir::Cache "{base}";
Dir::Cache::archives "{base}/archives";
Dir::Etc::sourcelist "{base}/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "{base}";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
APT::Install-Recommends "0";
''')


_refreshed = False


def refresh(force=False):
    """Read the suites' lists once for each cache, or again when forced.

    A suite that cannot be read is named and left as it was: its last lists may
    still do. If no suite can be read, Unreachable is raised."""
    global _refreshed
    stamp = cache.path("apt", "refreshed")
    if _refreshed or not force and os.path.exists(stamp):
        return
    with cache.lock("apt"):
        if not force and os.path.exists(stamp):
            return
        _configure()
        say("reading the package lists of " + ", ".join(s for _, s in SUITES))
        done = _apt("apt-get", "update", "-q")
        failed = [f"{url} {suite}" for url, suite in SUITES
                  if re.search(rf"^([EW]: Failed to fetch|Err:\d+|[EW]: The repository)"
                               rf" '?{re.escape(url)}/?(dists/| ){re.escape(suite)}[/ ]",
                               done.stdout, re.M)]
        _records.clear()
        if len(failed) == len(SUITES) or done.returncode and not failed:
            raise Unreachable(f"the package lists of {MIRROR} cannot be read "
                              f"({_reason(done.stdout)})")
        if failed:
            say(f"the package lists of {', '.join(failed)} cannot be read "
                f"({_reason(done.stdout)}); going on without news of them")
        else:
            open(stamp, "w").close()
        _refreshed = True


def _reason(text):
    """Of what apt printed, the part of a line that says why it failed."""
    found = re.findall(r"^(?:E|W|Err:\d+):? (.*)$", text, re.M)
    causes = re.findall(r"^  (?! )(.*)$", text, re.M) + found + ["apt gave no reason"]
    return " ".join(causes[0].split())[:160]


def version_key(text):
    """Order of Debian versions as far as kernel package names need it."""
    return [int(n) for n in re.findall(r"\d+", text)]


def releases(pattern):
    """Group 1 of all packages whose whole name matches the pattern, newest first."""
    done = _apt("apt-cache", "pkgnames")
    found = {m.group(1) for m in (re.fullmatch(pattern, name)
                                  for name in done.stdout.split()) if m}
    return sorted(found, key=version_key, reverse=True)


_records = {}


def _show(name):
    """The candidate's record of a package; None if the archive only mentions it."""
    if name not in _records:
        done = _apt("apt-cache", "show", "--no-all-versions", name)
        record = dict(re.findall(r"^([A-Za-z-]+): (.*)$", done.stdout, re.M))
        _records[name] = record if "Version" in record else None
    return _records[name]


def version(name):
    record = _show(name)
    if not record:
        raise Incomplete(f"the archive has no {name}")
    return record["Version"]


def closure(names, follow):
    """These packages and those of their dependencies whose names match follow,
    with their versions.

    Of alternatives the first that matches is taken. Incomplete is raised if the
    archive lacks one of them, or has it in another version than is asked for: an
    archive that is being updated has for days one half of a kernel."""
    todo, seen = [(name, None) for name in names], {}
    while todo:
        name, needed_by = todo.pop()
        if name in seen:
            continue
        record = _show(name)
        if not record:
            raise Incomplete(f"the archive has no {name}" +
                             (f", which {needed_by} needs" if needed_by else ""))
        seen[name] = record["Version"]
        for group in record.get("Depends", "").split(","):
            for choice in group.split("|"):
                found = re.match(r"\s*([^\s:(]+)(?::\w+)?\s*(?:\(([<>=]+)\s*([^)]+)\))?",
                                 choice)
                if not found or not re.match(follow, found.group(1)):
                    continue
                _check_version(name, *found.groups())
                todo.append((found.group(1), name))
                break
    return seen


def _check_version(needed_by, name, relation, wanted):
    record = _show(name)
    if not relation or not record:
        return
    done = subprocess.run(["dpkg", "--compare-versions", record["Version"],
                           relation, wanted])
    if done.returncode:
        raise Incomplete(f"the archive has {name} {record['Version']}, and {needed_by} "
                         f"needs {relation} {wanted}")


def download(names, into):
    """Fetch the candidates of these packages; returns their files.

    Incomplete is raised if the archive does not deliver one of them."""
    os.makedirs(into, exist_ok=True)
    if not names:
        return []
    done = _apt("apt-get", "download", "-q", *names, cwd=into)
    if done.returncode:
        raise Incomplete(f"the archive does not deliver {' '.join(names)} "
                         f"({_reason(done.stdout)})")
    return [os.path.join(into, f) for f in sorted(os.listdir(into))]


def fetch_from(suite, component, name, into):
    """Fetch one package of a component that kernels do not come from; returns its file.

    The component is read by itself, so that it is asked for nothing else."""
    base = f"apt-{suite}-{component}"
    with cache.lock(base):
        _configure(base, [(MIRROR, suite, component)])
        done = _apt("apt-get", "update", "-q", base=base)
        if done.returncode or re.search(r"^(Err:|W: Failed)", done.stdout, re.M):
            raise Unreachable(f"the package list of {MIRROR} {suite} {component} cannot be "
                              f"read ({_reason(done.stdout)})")
        os.makedirs(into, exist_ok=True)
        done = _apt("apt-get", "download", "-q", name, base=base, cwd=into)
    if done.returncode:
        raise Incomplete(f"the archive does not deliver {name} ({_reason(done.stdout)})")
    return next(os.path.join(into, f) for f in os.listdir(into) if f.startswith(name + "_"))


def fetch_with_needs(suites, name):
    """Fetch a package of the last of these suites with all that it needs; returns the files.

    The suites are read by themselves, so that the kernels' lists stay as they are. Nothing
    of this machine counts as installed, so the C library and its loader come along."""
    base = f"apt-{name}"
    archives = cache.path(base, "archives")
    with cache.lock(base):
        _configure(base, [(MIRROR, suite, "main") for suite in suites])
        done = _apt("apt-get", "update", "-q", base=base)
        if done.returncode or re.search(r"^(Err:|W: Failed)", done.stdout, re.M):
            raise Unreachable(f"the package lists of {MIRROR} {' '.join(suites)} cannot be read "
                              f"({_reason(done.stdout)})")
        shutil.rmtree(archives)
        os.makedirs(os.path.join(archives, "partial"))
        done = _apt("apt-get", "install", "-q", "-y", "--download-only", "-t", suites[-1], name,
                    base=base)
    files = sorted(f for f in os.listdir(archives) if f.endswith(".deb"))
    if done.returncode or not files:
        raise Incomplete(f"the archive does not deliver {name} of {suites[-1]} "
                         f"({_reason(done.stdout)})")
    return [os.path.join(archives, f) for f in files]


def newest_whole(candidates, fetch, what):
    """fetch(c) of the first candidate that the archive delivers whole; None if none.

    Each candidate that is left out is named, with what is missing. Lists that an
    earlier run has read are read again before a candidate is given up, because an
    archive drops old packages."""
    refresh()
    while True:
        fresh = _refreshed
        for candidate in candidates():
            try:
                return fetch(candidate)
            except Incomplete as reason:
                if not fresh:
                    break
                say(f"{what} {candidate} is left out: {reason}")
        if fresh:
            return None
        refresh(force=True)


def unpack(deb, into, members=()):
    """Unpack a package, or only its members that match the tar patterns."""
    os.makedirs(into, exist_ok=True)
    tar = ["tar", "-x", "-C", into, "--no-same-owner", "--keep-directory-symlink"]
    if members:
        tar += ["--wildcards", "--no-anchored", *members]
    stream = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                              stdout=subprocess.PIPE)
    done = subprocess.run(tar, stdin=stream.stdout, text=True,
                          stderr=subprocess.PIPE)
    stream.stdout.close()
    if stream.wait():
        raise Failure(f"{deb} is damaged")
    # A pattern that one package of several lacks is no error.
    trouble = [l for l in done.stderr.splitlines()
               if "Not found in archive" not in l and "previous errors" not in l]
    if done.returncode and trouble:
        raise Failure(f"unpacking {deb}: " + "\n".join(trouble))
