"""How a node carries many apps: 50 starts at once, one start, the memory of 200 running apps.

A real agent is spoken to over its socket as the gateway does. The app is a small web server in Python.
Beside it the same command is started by hand, as the same accounts, and asked until it answers as the
agent asks. Both take turns. Accounts, projects and environments are there before anything is measured.
Memory is PSS: a page that several processes share counts in parts that add up to one.
Needs root. Run: ``python tests/bench/node_scale.py [rounds]``.
"""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "host"))
from node_client import Node, running, small_apps

from compute_agent.config import Config
from compute_agent.environments import Environments
from compute_agent.host.reachable import closed_ancestor
from tests.places import KEPT

AT_ONCE, PEOPLE, MANY, SINGLES = 50, 5, 200, 20
LOOK_EVERY = 0.02  # seconds; what the agent does
PREFIX = "/bench/bench/web/"


# --- what the kernel knows of processes -----------------------------------------------------------


def pss(pids):
    """Return the megabytes of these processes, shared pages by parts."""
    found = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    found += int(line.split()[1])
    return found / 1024


def cpu(pids):
    """Return the milliseconds of processor time that all threads of these processes took."""
    found = 0
    for pid in pids:
        for place in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                found += int(place.read_text().split()[0])
    return found / 1e6


def below(root):
    """Return the ids of all processes below ``root``, at any depth."""
    children = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = place.read_text()
            parent = int(text[text.rindex(")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(place.parent.name))
    found, waiting = [], [root]
    while waiting:
        some = children.get(waiting.pop(), [])
        found += some
        waiting += some
    return found


# --- the bare command -----------------------------------------------------------------------------


class Bare:
    """The app's command, started by hand."""

    def __init__(self, bench, number):
        self.account = pwd.getpwnam(bench.owner(number))
        self.folder = Path(tempfile.mkdtemp(dir=bench.place))
        os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self.socket = self.folder / "s"
        home = bench.node.project(bench.owner(number), bench.name(number))
        self.command = [home / "envs/default/bin/python", bench.program, self.socket, PREFIX]

    async def start(self):
        """Return the seconds until it answers."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[],
        )  # fmt: skip
        while not await self._answers():
            await asyncio.sleep(LOOK_EVERY)
        return time.monotonic() - began

    async def _answers(self):
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.write(f"GET {PREFIX} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        return b" 200 " in line

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


async def bare_starts(bench, count):
    """Start so many at once; return seconds until all answer, of each, and megabytes."""
    apps = [Bare(bench, number) for number in range(count)]
    try:
        began = time.monotonic()
        each = await asyncio.gather(*(app.start() for app in apps))
        return time.monotonic() - began, each, pss(app.process.pid for app in apps)
    finally:
        for app in apps:
            app.stop()


def bare_single(bench):
    """Return seconds and milliseconds of processor time until one answers."""

    async def one():
        app = Bare(bench, 0)
        try:
            return await app.start(), cpu([app.process.pid])
        finally:
            app.stop()

    return asyncio.run(one())


# --- ours -----------------------------------------------------------------------------------------


class Reports:
    """Listens to the agent for as long as the benchmark runs."""

    def __init__(self, node):
        self.seen = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, args=(node,), daemon=True).start()

    def _listen(self, node):
        with contextlib.suppress(OSError, ValueError):
            for report in node.reports():
                if report["type"] == "app":
                    with self._changed:
                        self.seen.setdefault(report["app_id"], {}).setdefault(
                            report["state"], (time.monotonic(), report)
                        )
                        self._changed.notify_all()

    def wait(self, apps, state):
        """Return the first report of ``state`` of each app, with the time at which it came."""

        def there():
            for app in apps:
                if failed := self.seen.get(app, {}).get("failed"):
                    raise SystemExit(failed[1]["cause"])
            return all(state in self.seen.get(app, {}) for app in apps)

        with self._changed:
            if not self._changed.wait_for(there, 120):
                raise SystemExit(f"not every app came to be {state} within 120 s")
            return [self.seen[app][state] for app in apps]


class Bench:
    """A node with projects of a few people, each with its directory and environment."""

    def __init__(self, place, node):
        self.place, self.node = place, node
        self.program = place / "apps/small_app.py"
        self.begin()
        self.stop(self.launch(AT_ONCE)[0])

    def begin(self):
        """Listen to the agent, also to one that was started anew."""
        self.reports = Reports(self.node)
        self.agent = self.node.agent()

    def owner(self, number):
        return f"aensc{os.getpid()}x{number % PEOPLE}"

    def name(self, number):
        return f"p{number % AT_ONCE}"

    def launch(self, count):
        """Start so many apps at once; return their ids and the seconds until each ran, and all."""
        began, apps, at = time.monotonic(), [], []
        for number in range(count):
            at.append(time.monotonic())
            apps.append(self.node.launch("web", self.owner(number), self.name(number))[0])
        times = [when for when, _ in self.reports.wait(apps, "running")]
        each = [when - asked for when, asked in zip(times, at, strict=True)]
        return apps, each, max(times) - began

    def stop(self, apps):
        for app in apps:
            self.node.command(type="stop", app_id=app)
        self.reports.wait(apps, "stopped")
        for app in apps:
            self.node.command(type="forget", app_id=app)

    def runners(self, apps):
        """Return the processes of AEN's own, the apps, one list each."""
        ours, theirs = [], []
        for app in apps:
            runner = self.node.runner(app)
            for pid in (runner, *below(runner)):
                uid = Path(f"/proc/{pid}").stat().st_uid
                (theirs if uid else ours).append(pid)
        return ours, theirs

    def starts(self, count):
        apps, each, all_ready = self.launch(count)
        ours, theirs = self.runners(apps)
        found = all_ready, each, pss(ours) + pss(theirs), pss(ours)
        self.stop(apps)
        return found

    def single(self):
        """Return seconds without permissions and environment, and milliseconds of processor."""
        before = cpu([self.agent])
        [app], [took], _ = self.launch(1)
        spent = cpu([self.agent]) - before
        [(_, report)] = self.reports.wait([app], "running")
        steps = {step["step"]: step["seconds"] for step in report["progress"]}
        ours, theirs = self.runners([app])
        found = {
            "seconds": took - steps["permissions"] - steps["environment"],
            "steps": steps, "agent": spent, "runner": cpu(ours), "app": cpu(theirs),
        }  # fmt: skip
        self.stop([app])
        return found


# --- tables ---------------------------------------------------------------------------------------


def show_many(bench, rounds):
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(asyncio.run(bare_starts(bench, AT_ONCE)))
        ours.append(bench.starts(AT_ONCE))
    ratio = statistics.median(a[0] / b[0] for a, b in zip(ours, bare, strict=True))
    print(f"{AT_ONCE} starts at once         all ready, s   median   max   × bare   memory, MB")
    for title, found, times in (("bare command", bare, ""), ("AEN", ours, f"{ratio:.2f}")):
        each = [seconds for row in found for seconds in row[1]]
        print(
            f"  {title:<22} {statistics.median(row[0] for row in found):12.2f}"
            f" {statistics.median(each):8.2f} {max(each):5.2f} {times:>8}"
            f" {statistics.median(row[2] for row in found):12.0f}"
        )
    one = statistics.median(row[3] for row in ours) / AT_ONCE
    print(f"  of an app's memory AEN's own, {AT_ONCE} running: {one:.2f} MB")


def show_single(bench):
    bare, ours = [], []
    for _ in range(SINGLES):
        bare.append(bare_single(bench))
        ours.append(bench.single())
    seconds = statistics.median(took for took, _ in bare) * 1000
    spent = statistics.median(used for _, used in bare)

    def median(of):
        return statistics.median(map(of, ours))

    took = median(lambda one: one["seconds"]) * 1000
    print("one start, ms                 until it answers   CPU")
    print(f"  bare command                {seconds:16.0f} {spent:5.0f}")
    total = median(lambda one: one["agent"] + one["runner"] + one["app"])
    print(f"  AEN, all but ACL and env    {took:16.0f} {total:5.0f}")
    over = statistics.median(a["seconds"] - b[0] for a, b in zip(ours, bare, strict=True)) * 1000
    print(f"  more than bare              {over:16.0f} {total - spent:5.0f}")
    for name in ("agent", "runner", "app"):
        print(f"    CPU of {name:<8} {median(lambda one, name=name: one[name]):35.1f}")
    for name in ours[0]["steps"]:
        value = median(lambda one, name=name: one["steps"][name]) * 1000
        print(f"    step {name:<12} {value:24.0f}")


def show_memory(bench):
    bench.node.end()
    bench.node.start()
    bench.begin()
    bench.stop(bench.launch(AT_ONCE)[0])
    empty = pss([bench.agent])
    apps = []
    for _ in range(MANY // AT_ONCE):
        apps += bench.launch(AT_ONCE)[0]
    full = pss([bench.agent])
    ours, theirs = bench.runners(apps)
    before, began = cpu([bench.agent]), time.monotonic()
    time.sleep(10)
    rest = (cpu([bench.agent]) - before) / (time.monotonic() - began) / 10
    print(f"{MANY} running apps                             MB")
    print(f"  the agent, PSS                     {full:8.1f}")
    print(f"  the same with none running         {empty:8.1f}")
    print(f"  the agent, each app                {(full - empty) / MANY:8.3f}")
    print(f"  AEN's processes beside each app    {pss(ours) / MANY:8.2f}")
    print(f"  the app itself                     {pss(theirs) / MANY:8.2f}")
    print(f"  the agent at rest: {rest:.1f} % of one processor; {len(ours)} processes of AEN")
    bench.stop(apps)


def environments(place):
    """Return a node's settings with nothing but Python in its ``default`` environment."""
    lock = place / "empty.txt"
    lock.write_text("")
    candidates = map(Path, (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"))
    open_ones = [
        path for path in candidates if path.exists() and not closed_ancestor(path.resolve())
    ]
    if not open_ones:
        raise SystemExit("This benchmark needs a Python that other accounts can run.")
    python, state = str(open_ones[0]), str(KEPT / "node-bare")
    settings = {"state_dir": state, "python": python, "default_lock": str(lock)}
    Environments(Config(**settings)).ensure("default")
    return settings


def _patient(description):
    """Have the app wait longer than any busy machine needs."""
    content = json.loads(description.read_text())
    description.write_text(json.dumps(content | {"timeout": 120}))


def remove(place):
    for number in range(PEOPLE):
        name = f"aensc{os.getpid()}x{number}"
        subprocess.run(["userdel", "--remove", "--force", name], capture_output=True, check=False)
    shutil.rmtree(place, ignore_errors=True)


def main(rounds=3):
    if os.geteuid() != 0:
        raise SystemExit("This benchmark starts apps as several accounts, so it needs root.")
    place = Path(f"/tmp/aensc{os.getpid()}")
    place.mkdir(mode=0o711)
    try:
        node = Node(place, environments(place) | small_apps(place))
        _patient(place / "apps/web.json")
        with running(node):
            bench = Bench(place, node)
            show_many(bench, rounds)
            show_single(bench)
            show_memory(bench)
    finally:
        remove(place)


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
