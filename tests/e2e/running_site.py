"""A whole site, brought up by ``make run`` as a newcomer does, on ports of its own."""

import contextlib
import os
import pwd
import queue
import secrets
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx

from tests import service_account
from tests.places import KEPT
from tests.waiting import PATIENCE, free_port, until

CHECKOUT = Path(__file__).parents[2]
ROOT = os.geteuid() == 0
#: Downloads of earlier runs; a new machine has none and fetches them.
CACHE = KEPT / "uv"
START_WITHIN = 420


class Site:
    """``with Site() as site``: ready when entered, gone when left, accounts and files included."""

    def __init__(self):
        self.ports = {name: free_port() for name in ("server", "gateway", "compute")}
        self.url = f"http://127.0.0.1:{self.ports['server']}"
        self.gateway = f"http://127.0.0.1:{self.ports['gateway']}"
        self.public = {}
        self.home = Path(tempfile.mkdtemp(prefix="aen-e2e-", dir="/var/tmp"))
        self.home.chmod(0o755)
        self.password = secrets.token_urlsafe(12)
        self.suffix = secrets.token_hex(2)
        self.people = {}
        self.printed = []
        self.process = None
        self.left = contextlib.ExitStack()

    # --- up and down ---------------------------------------------------------------------------

    def __enter__(self):
        self.left.enter_context(service_account.kept_as_it_was())
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        self.stop()
        for name in self.people.values():
            if ROOT and _has_account(name):
                subprocess.run(["userdel", "--remove", name], capture_output=True, check=False)
        self.left.close()
        # Tens of thousands of files: others need not wait for that.
        subprocess.Popen(["rm", "-rf", "--", self.home], stdin=subprocess.DEVNULL)

    @property
    def environment(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AEN_", "DJANGO_"))}
        return kept | {
            "AEN_HOME": str(self.home),
            "AEN_PROJECT_ROOT": str(self.home / "projects"),
            "AEN_SERVER_PORT": str(self.ports["server"]),
            "AEN_GATEWAY_PORT": str(self.ports["gateway"]),
            "AEN_COMPUTE_PORT": str(self.ports["compute"]),
            "AEN_ADMIN_PASSWORD": self.password,
            "UV_CACHE_DIR": str(CACHE),
            **self.public,
        }

    def start(self, **more):
        """Run ``make run`` and wait for its line."""
        self.process = subprocess.Popen(
            ["make", "run"], cwd=CHECKOUT, env=self.environment | more, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        ready = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout, ready), daemon=True).start()
        found = ready.get(timeout=START_WITHIN)
        assert found, "make run ended before the site was ready:\n" + "".join(self.printed[-60:])

    def _read(self, lines, ready):
        for line in lines:
            self.printed.append(line)
            if line.startswith("AEN is ready at "):
                ready.put(line.split()[-1])
        ready.put(None)

    def stop(self):
        """Press Ctrl-C, as a person would, and wait for the end."""
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise

    # --- what an administrator does --------------------------------------------------------------

    def manage(self, *args):
        """Run a command of manage.py and return what it printed."""
        done = subprocess.run(
            ["python3", "manage.py", *args], cwd=CHECKOUT, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def person(self, name):
        """Return the user name of a person of the cast, added at first mention."""
        if name not in self.people:
            username = f"{name}-{self.suffix}"
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(self.password_of(username))
                file.flush()
                if ROOT:
                    shutil.chown(file.name, "aen")
                self.manage("aen_user", "add", username, "--password-file", file.name)
            self.people[name] = username
        return self.people[name]

    def audited(self, verb):
        """Return when something of this kind was last written down, in seconds since 1970."""
        file = f"file:{self.home}/server/db.sqlite3?mode=ro"
        newest = "select max(at) from accounts_auditentry where verb = ?"
        with contextlib.closing(sqlite3.connect(file, uri=True)) as database:
            at = database.execute(newest, [verb]).fetchone()[0]
        return datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()

    def password_of(self, username):
        return f"{username}-Secret-1"

    def account_of(self, username):
        """Return the UNIX account as which this person's apps run."""
        return username if ROOT else pwd.getpwuid(os.geteuid()).pw_name

    def token(self, name, *scopes):
        args = [part for scope in scopes for part in ("--scope", scope)]
        return self.manage("aen_token", self.person(name), *args).strip()

    def rest(self, name):
        """Return a client of the REST API for a person of the cast."""
        return httpx.Client(
            base_url=f"{self.url}/api/v1/", timeout=30, trust_env=False,
            headers={"Authorization": f"Bearer {self.token(name, 'api', 'apps')}"},
        )  # fmt: skip

    # --- what goes wrong at two in the morning -----------------------------------------------------

    def supervisorctl(self, *args):
        """Run a command of Supervisor's and return what it printed."""
        program, config = self.home / "venv/bin/supervisorctl", self.home / "etc/supervisord.conf"
        return subprocess.run(
            [program, "-c", config, *args], capture_output=True, text=True, check=False
        ).stdout.strip()

    def pid(self, program):
        """Return the process id of one of Supervisor's programs, or ``None`` while it is down."""
        text = self.supervisorctl("pid", program)
        return int(text) if text.isdigit() and text != "0" else None

    def kill(self, program):
        """Kill a process the hard way and wait until Supervisor has started it again."""
        before = self.pid(program)
        os.kill(before, signal.SIGKILL)
        until(lambda: self.pid(program) not in (None, before), f"{program} to be started again")
        until(self.is_ready, f"the site to be well after {program} was killed")

    def is_ready(self):
        """Return whether both say so, asked as what is in front of them asks."""
        pages = [("server", self.url, "/api/v1/health"), ("gateway", self.gateway, "/-/health")]
        return all(self._is_well(*page) for page in pages)

    def _is_well(self, part, public, path):
        public = httpx.URL(public)
        asked = {"Host": public.netloc.decode(), "X-Forwarded-Proto": public.scheme}
        here = f"http://127.0.0.1:{self.ports[part]}{path}"
        said = httpx.get(here, headers=asked, timeout=5, trust_env=False)
        return said.is_success and said.json()["status"] == "ok"


def _has_account(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
