"""PostgreSQL for tests: Debian's own server, as an ordinary account, on a Unix socket alone."""

import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from compute_agent.host.process import die_with_parent

PATIENCE = 30
#: For tests whose subject is not what a machine without power keeps. Commits still wait until the
#: kernel has them: what was acknowledged outlives a server that is ended at once.
_HASTY = ("fsync=off", "full_page_writes=off")


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed, if there is one."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if on_path := shutil.which("initdb"):
        places.append(Path(on_path).resolve().parent)
    return next((p for p in reversed(places) if (p / "initdb").exists()), None)


def why_not() -> str | None:
    """Return why there can be no PostgreSQL here, or ``None``."""
    if programs() is None:
        return "PostgreSQL's programs are not installed (Debian's package postgresql)"
    return None


class PostgreSQL:
    """``with PostgreSQL() as server``: runs when entered, gone when left, its files included."""

    def __init__(self, *, hasty: bool = True) -> None:
        self.programs = programs()
        self.options = _HASTY if hasty else ()
        self.folder = Path(tempfile.mkdtemp(prefix="aen-pg-"))
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "PostgreSQL":
        try:
            if os.geteuid() == 0:  # the server refuses to run as root
                nobody = pwd.getpwnam("nobody")
                os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._run("initdb", "-D", str(self.data), "-U", "aen", "--auth=trust",
                      "--encoding=UTF8", "--locale=C", "--no-sync")  # fmt: skip
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def host(self) -> str:
        """What ``DATABASES`` names as its host."""
        return str(self.folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", *self.options)
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                # SIGQUIT is its way to end at once, with all that it started.
                preexec_fn=functools.partial(die_with_parent, signal.SIGQUIT),  # noqa: PLW1509
                **_account(),
            )  # fmt: skip
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once: whoever is connected is cut off."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(PATIENCE)

    def execute(self, statement: str) -> None:
        """Run a statement outside any transaction, in the database ``postgres``."""
        where = f"host={self.folder} user=aen dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement)

    def database(self, name: str) -> str:
        """Make an empty database; return it as ``AEN_DATABASE_URL`` takes it."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://aen@{quote(str(self.folder), safe='')}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, **_account(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def _account() -> dict[str, object]:
    """Return as whom its processes run, for ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
