"""A real agent in a process of its own, spoken to as a gateway speaks to it."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.waiting import until

CHECKOUT = Path(__file__).parents[2]
OVER = ("stopped", "failed")
DEADLINE = 90.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("node", timeout=DEADLINE)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self._path)


class Node:
    """An agent with directories of its own below ``place``; ``people`` are its users."""

    def __init__(self, place: Path, settings: dict, command=(), environment=None):
        self.place = place
        self.run_dir = place / "r"
        self.root = place / "projects"
        self.socket = self.run_dir / "agent.sock"
        self.config = place / "config.json"
        if "state_dir" in settings:
            settings = settings | {"state_dir": str(_state(place, Path(settings["state_dir"])))}
        defaults = {
            "listen": f"unix:{self.socket}",
            "project_root": str(self.root),
            "run_dir": str(self.run_dir),
            "service_account": "",
        }
        self.config.write_text(json.dumps(defaults | settings))
        self._command = list(command) or [sys.executable]
        #: What runs the agent's program for something else than serving.
        self._tools = self._command
        self._environment = environment or (os.environ | {"PYTHONPATH": str(CHECKOUT)})
        self.process = None
        #: As whom the agent runs.
        self.account = "root"

    # --- the agent ---

    def run_by(self, command, account):
        """Have the agent run by another command, which makes it ``account``'s."""
        self._command, self.account = command, account

    def start(self):
        with (self.place / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, "-m", "compute_agent", "-c", str(self.config)],
                stderr=log, cwd="/", env=self._environment, start_new_session=True,
            )  # fmt: skip
        until(self._answers, "the agent listens", 20)
        return self

    def run_agent(self, *arguments):
        """Run the agent's program for something else than serving; return its exit code."""
        command = [*self._tools, "-m", "compute_agent", "-c", str(self.config), *arguments]
        return subprocess.run(
            command, cwd="/", env=self._environment, timeout=DEADLINE, check=False
        ).returncode

    def _answers(self):
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError):
            return self.call("GET", "/v1/health")[0] == 200
        return False

    def agent(self):
        """Return the id of the agent's own process, which sudo may have started."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(str(self.socket))
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.unpack("3i", peer)[0]

    def kill(self):
        """Kill the agent at once, as a crash would."""
        os.kill(self.agent(), signal.SIGKILL)
        self.process.wait(20)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def log(self):
        return (self.place / "agent.log").read_text()

    # --- calls ---

    def call(self, method, path, message=None):
        connection = _UnixConnection(self.socket)
        with contextlib.closing(connection):
            connection.request(method, path, None if message is None else json.dumps(message))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def command(self, **message):
        return self.call("POST", "/v1/commands", message)

    def reports(self):
        """Yield every report, from the first."""
        connection = _UnixConnection(self.socket)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/events")
            answer = connection.getresponse()
            while line := answer.readline():
                yield json.loads(line)

    def wait(self, app_id, *states, seconds=DEADLINE):
        """Return the app's status once it is in one of ``states``; any end ends the wait."""
        end = time.monotonic() + seconds
        last = None
        for report in self.reports():
            if report["type"] == "app" and report["app_id"] == app_id:
                last = report
                if report["state"] in states:
                    return report
                if report["state"] in OVER:
                    break
            if time.monotonic() > end:
                break
        raise AssertionError(f"not {states}: {last}\n{self.log()}")

    def status(self, app_id):
        """Return the app's status, or ``None`` where the node does not know it."""
        for report in self.reports():
            if report["type"] == "app" and report["app_id"] == app_id:
                return report
            if report["type"] == "snapshot":
                return None
        return None

    # --- apps ---

    def launch(self, app, owner, project="demo", *, account=None, members=(), app_id=None):
        """Send a launch and return (app id, HTTP status, body)."""
        app_id = app_id or uuid.uuid4().hex
        status, body = self.command(
            type="launch", app_id=app_id, app=app, account=account or owner,
            url_prefix=f"/{owner}/{project}/{app}/", project=spec(owner, project, members),
        )  # fmt: skip
        assert status in (202, 409), body
        return app_id, status, body

    def run(self, app, owner, project="demo", **options):
        """Launch and return the id of the running app."""
        app_id = self.launch(app, owner, project, **options)[0]
        self.wait(app_id, "running")
        return app_id

    def stop(self, app_id):
        assert self.command(type="stop", app_id=app_id)[0] == 202
        return self.wait(app_id, "stopped")

    def connect(self, app_id):
        """Return (socket, headers to inject) of a connection to the app."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        sock.connect(str(self.socket))
        sock.sendall(
            f"POST /v1/apps/{app_id}/connect HTTP/1.1\r\nHost: node\r\n"
            "Connection: Upgrade\r\nUpgrade: aen-stream\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        return sock, _fields(head)["headers"]

    def passed(self, app_id):
        """Return (socket, headers to inject): the app's own socket, past the agent."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(str(self.socket))
            sock.sendall(
                f"POST /v1/apps/{app_id}/connect HTTP/1.1\r\nHost: node\r\n"
                "Connection: Upgrade\r\nUpgrade: aen-socket, aen-stream\r\n\r\n".encode()
            )
            head, descriptors, _, _ = socket.recv_fds(sock, 16384, 2)
        assert len(descriptors) == 1, head
        app = socket.socket(fileno=descriptors[0])
        app.settimeout(DEADLINE)
        return app, _fields(head)["headers"]

    def get(self, app_id, path, method="GET", body=None):
        """Make one request to the app itself; return (status, body)."""
        sock, headers = self.connect(app_id)
        connection = http.client.HTTPConnection("app", timeout=DEADLINE)
        connection.sock = sock
        with contextlib.closing(connection):
            connection.request(method, path, body, headers | {"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def directory(self, app_id):
        return self.run_dir / app_id[:12]

    def processes(self, app_id):
        """Return the ids of all processes that carry the app's mark, runner left out."""
        mark = f"AEN_APP_ID={app_id}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def runner(self, app_id):
        return json.loads((self.directory(app_id) / "runner.json").read_text())["pid"]

    def project(self, owner, name="demo"):
        return self.root / owner / name


def _fields(head):
    lines = head.decode().split("\r\n")
    assert lines[0].startswith("HTTP/1.1 101"), head
    return json.loads(dict(line.split(": ", 1) for line in lines[1:] if line)["AEN-Inject"])


def _state(place, built):
    """Return a node's own state, in which only the environments are those that were built."""
    if built.is_relative_to(place):
        return built
    state = place / "state"
    state.mkdir(mode=0o755, exist_ok=True)
    (state / "environments").symlink_to(built / "environments")
    return state


def spec(owner, project="demo", members=()):
    return {"owner": owner, "name": project, "owner_account": owner, "members": list(members)}


def as_user(name, *command, umask="027"):
    """Run a command as an account; return (exit code, output)."""
    done = subprocess.run(
        ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--", "sh", "-c",
         f'umask {umask}; exec "$@"', "sh", *map(str, command)],
        capture_output=True, text=True, cwd="/", errors="replace", timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def running(node):
    """Start the node; at the end nothing of it is left, whatever the test did."""
    try:
        yield node.start()
    finally:
        if node.process.poll() is not None:
            node.start()
        node.run_agent("--stop-all")
        node.end()


def long_unused(node, *apps):
    """Restart the agent as one that last saw these apps used an hour ago; return that time."""
    before = time.time() - 3600
    for app_id in apps:
        until(lambda app_id=app_id: node.status(app_id)["active_at"], "its use is noted")
    node.kill()
    for app_id in apps:
        path = node.directory(app_id) / "record.json"
        stored = json.loads(path.read_text())
        stored["status"]["active_at"] = before
        path.write_text(json.dumps(stored | {"spent": None}))
    node.start()
    return before


def small_apps(place):
    """Describe apps that run ``small_app.py``; return the settings of a node that offers them."""
    directory = place / "apps"
    directory.mkdir()
    program = directory / "small_app.py"
    shutil.copy(Path(__file__).parent / "small_app.py", program)
    program.chmod(0o644)
    base = ["%(environment)s/bin/python", str(program), "%(socket)s", "%(urlPrefix)s"]
    token = {"variable": "SECRET", "header": "X-Secret", "format": "is %(token)s"}
    for name, app in {
        "web": {"command": base, "token": token},
        "failing": {"command": [*base, "fail"]},
        "silent": {"command": [*base, "silent"], "timeout": 1},
        "stubborn": {"command": [*base, "stubborn"]},
        "missing": {"command": ["/nonexistent/program", "%(socket)s"]},
        "limited": {"command": base, "limits": {"memory": 0.125, "processes": 20}},
        "greedy": {"command": [*base, "greedy"], "limits": {"memory": 0.125}},
    }.items():
        described = {"name": name, "title": name.title(), "icon": name, "timeout": 20} | app
        (directory / f"{name}.json").write_text(json.dumps(described))
    return {"apps_dir": str(directory), "stop_grace": 0.5}
