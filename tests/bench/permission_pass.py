"""The permission pass beside ``setfacl -R -P`` and ``find -printf`` on one tree of 100,000 entries.

Rounds take turns on an otherwise idle machine: a team is applied to files that had another one, by
``setfacl`` and by us; then the unchanged tree is checked again by each, and listed by ``find``. Ours
also once with nothing remembered, and once on a project of 10,000 entries whose team changes.
Needs root. Run: ``python tests/bench/permission_pass.py [rounds]``.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from compute_agent.host.permissions import Rules, secure
from compute_agent.host.permissions.listing import TICK_NS

#: Ids of nobody: the files' owner, and members of two teams.
OWNER = 61000
TEAMS = (((61001, 7), (61002, 5), (61003, 7)), ((61004, 7), (61005, 5), (61006, 7)))
LETTERS = {7: "rwX", 5: "rX"}


def make(root, entries):
    """Make folders of 99 files each until there are ``entries`` below ``root``."""
    for number in range(entries // 100):
        folder = root / str(number % 10) / str(number)
        folder.mkdir(parents=True)
        for name in range(99):
            (folder / f"file{name}.py").touch()
    for directory, _, files in os.walk(root):
        for name in (".", *files):
            os.chown(Path(directory, name), OWNER, OWNER)


def setfacl(root, team):
    """Give the tree to ``team`` and to it alone, with defaults for what comes later."""
    entries = ",".join(f"u:{uid}:{LETTERS[rights]}" for uid, rights in team)
    defaults = ",".join(f"d:u:{uid}:{LETTERS[rights]}" for uid, rights in team)
    command = ["setfacl", "-R", "-P", "-m", f"{entries},{defaults}", str(root)]
    return seconds(lambda: subprocess.run(command, check=True))


def find(root):
    command = ["find", str(root), "-printf", "%m %U %G %C@\\n"]
    return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def ours(root, team, known=None):
    fd = os.open(root, os.O_RDONLY)
    try:
        return seconds(lambda: secure(fd, Rules(OWNER, OWNER, team, frozenset({0})), known=known))
    finally:
        os.close(fd)


def seconds(work):
    """Return (seconds that passed, seconds of processor) for ``work`` and its processes."""
    began, used = time.monotonic(), processor()
    work()
    return time.monotonic() - began, processor() - used


def processor():
    every = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in every)


def measure(place, rounds):
    """Return seconds of each round by what was done."""
    large, small, known = place / "large", place / "small", place / "known/state"
    make(large, 100_000)
    make(small, 10_000)
    found = {}

    def note(name, took):
        found.setdefault(name, []).append(took)

    for number in range(rounds):
        mine, theirs = TEAMS[number % 2], TEAMS[1 - number % 2]
        setfacl(large, theirs)
        subprocess.run(["setfacl", "-R", "-P", "-b", str(large)], check=True)
        note("setfacl, applying", setfacl(large, mine))
        note("setfacl, unchanged", setfacl(large, mine))
        note("find -printf", find(large))
        subprocess.run(["setfacl", "-R", "-P", "-b", str(large)], check=True)
        note("ours, applying", ours(large, mine))
        time.sleep(2 * TICK_NS / 1e9)
        note("ours, unchanged, nothing remembered", ours(large, mine, known))
        note("ours, unchanged", ours(large, mine, known))
        ours(small, theirs)
        note("ours, 10,000 entries, the team changes", ours(small, mine))
    return found


def table(found):
    """Return the lines of the table: medians, and the median of the ratios round by round."""
    yield "100,000 entries                         seconds    min    max    CPU   × setfacl, same work"
    for name, rounds in found.items():
        times = [took for took, _ in rounds]
        peer = found["setfacl, unchanged" if "unchanged" in name else "setfacl, applying"]
        ratio = statistics.median(b / a for a, (b, _) in zip(times, peer, strict=True))
        last = "" if "10,000" in name or "find" in name else f"{ratio:12.2f}"
        used = statistics.median(used for _, used in rounds)
        yield (
            f"  {name:<38} {statistics.median(times):6.2f} {min(times):6.2f} {max(times):6.2f}"
            f" {used:6.2f}{last}"
        )


def main(rounds=7):
    if os.geteuid() != 0:
        raise SystemExit("This gives files to other accounts, so it needs root.")
    if shutil.which("setfacl") is None:
        raise SystemExit("There is no setfacl here to compare with: install the package acl.")
    # On a disk, as projects are; /tmp may be memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        for line in table(measure(Path(place), rounds)):
            print(line)


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
