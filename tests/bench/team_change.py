"""Seconds from a change of the team, asked for by REST, until the last file has its access list.

And what a start of a large project waits for: its ``permissions`` step. Needs root. Run:
``python tests/bench/team_change.py [rounds]``.
"""

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from running_site import ROOT, Site, until

SIZES = (10_000, 100_000)
ACCESS = "system.posix_acl_access"


def fill(folder, entries):
    """Put so many entries into a project, all its owner's, a hundred to a folder."""
    owner = folder.stat()
    for number in range(entries // 100):
        place = folder / "data" / str(number)
        place.mkdir(parents=True)
        for name in range(99):
            (place / str(name)).touch()
        for path in (place, *place.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)
    os.chown(folder / "data", owner.st_uid, owner.st_gid)


def lists(folder):
    """Return the access lists of two files in each folder, wherever the pass is last."""
    return {os.getxattr(path, ACCESS) for path in folder.glob("data/*/[05]")}


def change(api, path, folder, method, **body):
    """Ask for a change of the team; return the seconds until all has the same, new list."""
    before = lists(folder)
    began = time.monotonic()
    api.request(method, path, **body).raise_for_status()
    until(lambda: len(now := lists(folder)) == 1 and now != before, "the change on disk", 60)
    return time.monotonic() - began


def start(api, path):
    """Start an app, and return what its permissions step took and said."""
    api.post(f"{path}/apps/terminal/start").raise_for_status()
    shown = f"{path}/apps/terminal"
    until(lambda: api.get(shown).json()["state"] == "running", "the start", 120)
    [step] = [s for s in api.get(shown).json()["progress"] if s["step"] == "permissions"]
    api.post(f"{shown}/stop").raise_for_status()
    until(lambda: api.get(shown).json()["state"] == "stopped", "the stop", 60)
    return step["seconds"], step["fact"]


def measure(site, api, size, rounds):
    """Print the lines for a project of ``size`` entries."""
    mira, edda, vera = (site.person(name) for name in ("mira", "edda", "vera"))
    path = f"projects/{mira}/size-{size}"
    api.post("projects", json={"name": f"size-{size}"}).raise_for_status()
    api.put(f"{path}/team/{vera}", json={"role": "viewer"}).raise_for_status()
    start(api, path)
    folder = site.home / "projects" / mira / f"size-{size}"
    fill(folder, size)
    after_filling = start(api, path)
    until(lambda: len(lists(folder)) == 1, "the files' first lists", 60)
    took = []
    for _ in range(rounds):
        took.append(change(api, f"{path}/team/{edda}", folder, "PUT", json={"role": "editor"}))
        took.append(change(api, f"{path}/team/{edda}", folder, "DELETE"))
    again = [start(api, path) for _ in range(rounds)]
    print(f"{size:,} entries")
    print(f"  team change on disk, s     {statistics.median(took):.2f}   at most {max(took):.2f}")
    print(f"  start waits, all new, s    {after_filling[0]:.2f}   {after_filling[1]}")
    print(f"  start waits, unchanged, s  {statistics.median(s for s, _ in again):.2f}"
          f"   {again[-1][1]}")  # fmt: skip


def main(rounds=5):
    if not ROOT:
        raise SystemExit("This benchmark needs accounts and access lists, so it needs root.")
    with Site() as site, site.rest("mira") as api:
        for size in SIZES:
            measure(site, api, size, rounds)


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
