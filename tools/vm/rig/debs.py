# SPDX-License-Identifier: Apache-2.0
"""Debian packages of several suites, unpacked side by side without installing.

apt runs with a state, a cache and a list of sources of its own, so that
neither the machine's packages nor its apt configuration change.
"""
import os
import re
import subprocess
from . import cache
from .cache import Failure, say

MIRROR = os.environ.get("VGPU_MIRROR", "http://deb.debian.org/debian")
SECURITY = os.environ.get("VGPU_MIRROR_SECURITY",
                          "http://deb.debian.org/debian-security")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = [
    (MIRROR, "bookworm"), (SECURITY, "bookworm-security"),
    (MIRROR, "bookworm-backports"),
    (MIRROR, "trixie"), (MIRROR, "trixie-backports"),
]

UNPACKED = cache.path("root")       # all unpacked packages share this one root


def _apt(*words):
    env = dict(os.environ, APT_CONFIG=cache.path("apt", "apt.conf"))
    return subprocess.run(words, env=env, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _configure():
    base = cache.path("apt")
    for folder in ("lists/partial", "archives/partial", "etc"):
        os.makedirs(os.path.join(base, folder), exist_ok=True)
    open(os.path.join(base, "status"), "a").close()
    with open(os.path.join(base, "etc", "sources.list"), "w") as out:
        for url, suite in SUITES:
            out.write(f"deb [signed-by={KEYRING}] {url} {suite} main\n")
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


def refresh(force=False):
    """Read the suites' lists, once; later only when asked or when one is stale."""
    stamp = cache.path("apt", "refreshed")
    if not force and os.path.exists(stamp):
        return
    with cache.lock("apt"):
        if not force and os.path.exists(stamp):
            return
        _configure()
        say("reading the package lists of " + ", ".join(s for _, s in SUITES))
        done = _apt("apt-get", "update", "-q")
        if done.returncode or re.search(r"^(E|Err):", done.stdout, re.M):
            raise Failure("cannot read the package lists:\n" + done.stdout)
        open(stamp, "w").close()


def version_key(text):
    """Order of Debian versions as far as kernel package names need it."""
    return [int(n) for n in re.findall(r"\d+", text)]


def newest(pattern):
    """The newest package whose whole name matches; group 1 is its version."""
    refresh()
    done = _apt("apt-cache", "pkgnames")
    found = [m for m in (re.fullmatch(pattern, name)
                         for name in done.stdout.split()) if m]
    if not found:
        raise Failure(f"no package is named like {pattern}")
    return max(found, key=lambda m: version_key(m.group(1)))


def _show(name):
    """The candidate's record of a package."""
    done = _apt("apt-cache", "show", "--no-all-versions", name)
    if done.returncode:
        raise Failure(f"no package {name}: {done.stdout.strip()}")
    return dict(re.findall(r"^([A-Za-z-]+): (.*)$", done.stdout, re.M))


def version(name):
    refresh()
    return _show(name)["Version"]


def closure(names, follow):
    """These packages and those of their dependencies whose names match follow.

    Of alternatives the first that matches is taken."""
    todo, seen = list(names), {}
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        record = seen[name] = _show(name)
        for group in record.get("Depends", "").split(","):
            for choice in group.split("|"):
                word = choice.split()[0].split(":")[0] if choice.strip() else ""
                if re.match(follow, word):
                    todo.append(word)
                    break
    return {name: record["Version"] for name, record in seen.items()}


def download(names, into):
    """Fetch the candidates of these packages; returns their files."""
    os.makedirs(into, exist_ok=True)
    env = dict(os.environ, APT_CONFIG=cache.path("apt", "apt.conf"))
    for attempt in (1, 2):
        done = subprocess.run(["apt-get", "download", "-q", *names], cwd=into,
                              env=env, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if not done.returncode:
            return [os.path.join(into, f) for f in sorted(os.listdir(into))]
        # A mirror drops old versions: the lists may be older than that.
        if attempt == 1:
            refresh(force=True)
    raise Failure(f"cannot fetch {' '.join(names)}:\n{done.stdout}")


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
