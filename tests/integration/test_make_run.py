"""``make run`` for real: from nothing to a ready site, its end, and what may come between."""

import contextlib
import json
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from tests import service_account
from tests.places import KEPT
from tests.waiting import free_port, until

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = os.geteuid() == 0
# Downloads of earlier test runs; a new machine has none and fetches them.
CACHE = KEPT / "uv"
PASSWORD = "Only-for-this-test-7"
PROGRAMS = {"server", "worker", "gateway", "compute"}


class Run:
    """One ``make run``: ``printed`` are its lines, ``first`` what it said of being ready or not."""

    def __init__(self, env):
        self.printed = []
        self._events = queue.Queue()
        self.process = subprocess.Popen(
            ["make", "run"],
            cwd=CHECKOUT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.printed.append(line)
            if line.startswith("AEN is ready at "):
                self._events.put(True)
        self._events.put(False)

    @property
    def text(self):
        return "".join(self.printed)

    def wait_until_ready(self):
        assert self._events.get(timeout=420), self.text
        return self

    def interrupt(self):
        """Press Ctrl-C and wait for the end."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def wait(self):
        self.process.wait(60)
        self._reader.join(10)
        return self.text


class Site:
    """The environment of one site; at most one run of it at a time."""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="aen-run-", dir="/var/tmp"))
        self.home.chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AEN_", "DJANGO_"))}
        self.env = kept | {
            "AEN_HOME": str(self.home),
            "AEN_PROJECT_ROOT": str(self.home / "projects"),
            "AEN_SERVER_PORT": str(free_port()),
            "AEN_GATEWAY_PORT": str(free_port()),
            "AEN_ADMIN_PASSWORD": PASSWORD,
            "UV_CACHE_DIR": str(CACHE),
        }
        self.run = None

    def running(self):
        """Return the run that is ready, started if there is none."""
        if self.run is None or self.run.process.poll() is not None:
            self.run = Run(self.env).wait_until_ready()
        return self.run

    def end(self):
        if self.run is not None and self.run.process.poll() is None:
            self.run.interrupt()

    def processes(self):
        """Process ids by name, once Supervisor counts all as running: a second after their start."""
        until(lambda: set(self._running()) == PROGRAMS, "every program to be running")
        return self._running()

    def _running(self):
        config = self.home / "etc/supervisord.conf"
        done = subprocess.run(
            [
                self.home / "venv/bin/python",
                "-m",
                "supervisor.supervisorctl",
                "-c",
                config,
                "status",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        rows = [line.replace(",", "").split() for line in done.stdout.splitlines()]
        return {row[0]: int(row[3]) for row in rows if row[1] == "RUNNING"}

    def run_directory(self):
        told = json.loads((self.home / "node/compute-launcher-config.json").read_text())
        return Path(told["run_dir"])

    def manage(self, *arguments):
        return subprocess.run(
            ["python3", "manage.py", *arguments],
            cwd=CHECKOUT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def ours(self):
        """Ids of all processes that run from this site's installed copy."""
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.home / "venv").encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
        return found


@pytest.fixture(scope="module")
def site():
    with service_account.kept_as_it_was():
        found = Site()
        yield found
        found.end()
    shutil.rmtree(found.home, ignore_errors=True)


def test_it_says_as_whom_apps_run(site):
    text = site.running().text
    if ROOT:
        assert "Apps run as their users' own UNIX accounts." in text
    else:
        assert f"Not root: every app runs as {pwd.getpwuid(os.getuid()).pw_name};" in text


def test_the_administrator_is_there_once_it_is_ready(site):
    site.running()
    assert site.manage("aen_superuser", "add", "admin").returncode == 0


def test_a_run_beside_it_is_refused_with_the_process_that_is_there(site):
    site.running()
    holder = (site.home / "etc/running.lock").read_text().strip()
    text = Run(site.env).wait()
    assert f"AEN is already running from {site.home} (process {holder})" in text


def test_the_administrators_password_is_with_no_process_that_stays(site):
    site.running()
    for pid in site.processes().values():
        assert PASSWORD.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_no_file_of_the_server_belongs_to_root(site):
    site.running()
    site.manage("aen_token", "admin")
    owners = {path.stat().st_uid for path in (site.home / "server").rglob("*")}
    assert owners == {pwd.getpwnam("aen").pw_uid if ROOT else os.geteuid()}


def test_secrets_are_readable_by_their_owner_alone(site):
    site.running()
    for name in ("server/secret_key", "server/db.sqlite3", "gateway/credential"):
        assert (site.home / name).stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not ROOT, reason="needs root: it starts the site's Python as nobody")
def test_other_accounts_can_start_what_apps_run_from(site):
    site.running()
    done = subprocess.run(
        [site.home / "venv/bin/python", "-I", "-c", "import compute_agent, msgspec, ssl"],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_service_that_is_killed_comes_back(site):
    site.running()
    before = site.processes()["gateway"]
    os.kill(before, signal.SIGKILL)
    until(lambda: site.processes()["gateway"] != before, "the gateway to come back")


def test_ctrl_c_ends_every_process_and_leaves_no_run_directory(site):
    run = site.running()
    made = site.run_directory()
    assert (made / "agent.sock").exists()
    assert "AEN has ended." in run.interrupt()
    assert site.ours() == set()
    assert not made.exists()


def test_kill_ends_it_as_ctrl_c_does_and_counts_as_success(site):
    run = site.running()
    os.kill(int((site.home / "etc/running.lock").read_text()), signal.SIGTERM)
    assert "AEN has ended." in run.wait()
    assert run.process.returncode == 0
    assert site.ours() == set()


def test_a_second_run_finds_everything_and_downloads_nothing(site):
    site.running()
    site.manage("aen_user", "add", "mira")
    site.end()
    text = site.running().text
    assert "downloading" not in text.lower()
    assert "Administrator:" not in text
    assert site.manage("aen_superuser", "add", "mira").returncode == 0


def test_services_end_with_a_run_that_is_killed_and_the_next_one_gets_ready(site):
    site.running()
    os.kill(int((site.home / "etc/running.lock").read_text()), signal.SIGKILL)
    site.run.wait()
    site.running()
    assert set(site.processes()) == PROGRAMS


def test_a_process_that_cannot_start_is_named_with_its_last_words(site):
    site.running()
    site.end()
    key = site.home / "gateway/secret_key"
    key.chmod(0o644)
    try:
        run = Run(site.env)
        text = run.wait()
    finally:
        key.chmod(0o600)
    assert run.process.returncode != 0
    assert "The gateway process ended while it was starting." in text
    assert "run chmod 600" in text
    assert "AEN is ready" not in text
    assert site.ours() == set()


def test_a_port_in_use_is_named_with_its_variable(site):
    site.running()
    site.end()
    with socket.create_server(("127.0.0.1", int(site.env["AEN_GATEWAY_PORT"]))):
        text = Run(site.env).wait()
    assert f"Port {site.env['AEN_GATEWAY_PORT']} on 127.0.0.1 cannot be used" in text
    assert "set AEN_GATEWAY_PORT to another port" in text


def test_a_home_that_cannot_be_written_is_named(site):
    text = Run(site.env | {"AEN_HOME": "/proc/aen"}).wait()
    assert "AEN cannot write to /proc/aen" in text


@pytest.mark.skipif(not ROOT, reason="needs root: only then do apps run as other accounts")
def test_a_home_out_of_reach_for_other_accounts_is_named(site):
    closed = site.home / "closed"
    closed.mkdir(mode=0o700, exist_ok=True)
    text = Run(site.env | {"AEN_HOME": str(closed / "aen")}).wait()
    assert f"They cannot enter {closed}." in text
