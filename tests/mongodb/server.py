"""A MongoDB-compatible server for tests. No registry that Python or Debian know has MongoDB itself.

SecantusDB is beta and GPL-2.0: it is installed into an environment of its own, runs as a process of
its own and is imported by nothing here. What it answers wrong is in ``test_known_answers.py``.
"""

import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from compute_agent.host.process import die_with_parent
from tests.places import KEPT
from tests.waiting import free_port

CHECKOUT = Path(__file__).parents[2]
LOCK = Path(__file__).with_name("requirements.txt")
PATIENCE = 30


@functools.cache
def why_not() -> str | None:
    """Return why there can be no such server here, or ``None``. Installs it the first time."""
    program = _folder() / "bin/secantusd-py"
    stamp = _folder() / "installed.txt"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "secantusdb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists() and stamp.exists() and stamp.read_text() == LOCK.read_text():
            return None
        for command in _installing():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"SecantusDB can't be installed: {done.stderr.strip()[-200:]}"
        stamp.write_text(LOCK.read_text())
    return None


def _folder() -> Path:
    return KEPT / "secantusdb"


def _installing() -> list[list[str]]:
    uv = [str(Path(sys.prefix, "bin/uv"))]
    place = ["--python", str(_folder() / "bin/python")]
    return [
        [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(_folder())],
        [*uv, "pip", "sync", "--quiet", "--require-hashes", *place, str(LOCK)],
    ]


class Server:
    """``with Server() as server``: runs when entered, gone when left, its files included.

    ``lasting``: what it acknowledged is on the disk; without it a killed server forgets some.
    ``alone``: it says that it is in no replica set.
    """

    def __init__(self, *, lasting: bool = False, alone: bool = False) -> None:
        self.options = ["--sync-on-commit"] * lasting + ["--standalone"] * alone
        self.folder = Path(tempfile.mkdtemp(prefix="aen-mongodb-"))
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.translator: subprocess.Popen | None = None

    def __enter__(self) -> "Server":
        try:
            self.start()
            self.translator = subprocess.Popen(
                [sys.executable, "-m", "tests.mongodb.translate", str(self.port)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                preexec_fn=functools.partial(die_with_parent, signal.SIGKILL),  # noqa: PLW1509
            )  # fmt: skip
            self.translated_port = int(self.translator.stdout.readline())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()
        if self.translator is not None:
            self.translator.kill()
            self.translator.wait(PATIENCE)
            self.translator.stdout.close()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it, and return when it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_folder() / "bin/secantusd-py", "--host", "127.0.0.1", "--port", str(self.port),
                 "--storage-path", self.folder / "data", "--log-level", "WARNING", *self.options],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.defpath, "HOME": str(self.folder)},
                preexec_fn=functools.partial(die_with_parent, signal.SIGKILL),  # noqa: PLW1509
            )  # fmt: skip
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self.client(serverSelectionTimeoutMS=500) as client:
                    client.server_info()
                return
            except PyMongoError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text()) from None

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def stop(self) -> None:
        """End it in good order; nothing is forgotten. ``start`` has it go on."""
        self.process.terminate()
        self.process.wait(PATIENCE)

    def database(self, name: str) -> str:
        """Return an empty database as ``AEN_DATABASE_URL`` takes it."""
        return self.url(name)

    def client(self, *, translated: bool = False, **options: object) -> pymongo.MongoClient:
        port = self.translated_port if translated else self.port
        return pymongo.MongoClient("127.0.0.1", port, directConnection=True, **options)

    @property
    def host(self) -> str:
        """What ``DATABASES`` names as its host."""
        return self.url("")

    def url(self, name: str) -> str:
        """Return a database of it as ``AEN_DATABASE_URL`` takes it."""
        options = "directConnection=true&serverSelectionTimeoutMS=1000"
        return f"mongodb://127.0.0.1:{self.translated_port}/{name}?{options}"
