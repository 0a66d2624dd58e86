"""A server of AEN in processes of its own, on whichever database."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.waiting import PATIENCE, free_port, until

CHECKOUT = Path(__file__).parents[3]
_SET_UP = """
import json, sys, django
django.setup()
from accounts import actions as accounts
from datacenters import actions as datacenters
mira = accounts.create_user("mira", by=None)
for name in ("edda", "vera"):
    accounts.create_user(name, by=None)
center = datacenters.ensure_data_center("north", by=None)
gateway, credential = datacenters.enroll_gateway("north", center, "http://127.0.0.1:1", by=None)
node = datacenters.enroll_node("node-1", center, sys.argv[1], by=None)
token = accounts.create_token(mira, "t", ["api", "apps"], by=None)[1]
print(json.dumps({"gateway": gateway.pk.hex, "credential": credential, "token": token}))
"""


class OwnSite:
    """The server's commands and processes with a home in ``folder`` and the database of ``url``."""

    def __init__(self, folder, url):
        self.folder, self.database = folder, url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes = []
        self.settings = "tests.integration.databases.own_settings"
        #: Of the environment of its processes.
        self.more = {}

    @property
    def environment(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AEN_", "DJANGO_"))}
        return (
            kept
            | {
                "DJANGO_SETTINGS_MODULE": self.settings,
                "AEN_HOME": str(self.folder),
                "AEN_SECRET_KEY": "only-for-tests-" + "0123456789abcdef" * 2,
                "AEN_DATABASE_URL": self.database,
                "AEN_PUBLIC_URL": self.url,
                "AEN_ACCESS_TTL": "1",  # gateways ask soon again
                "PYTHONPATH": str(CHECKOUT),
            }
            | self.more
        )

    def run(self, *arguments, code=0):
        """Run a program of Python, for instance ``"-m", "django", "migrate"``; return its output."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self.environment, cwd=self.folder, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def manage(self, *arguments, code=0):
        return self.run("-m", "django", *arguments, code=code)

    def start(self, *arguments, stdin=subprocess.DEVNULL):
        """Start a program of Python that goes on; ``end`` ends it."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=self.environment, cwd=self.folder,
                stdin=stdin, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def set_up(self):
        """Make the tables, Mira with her token, and a gateway with a node; return what was made."""
        self.manage("migrate", "-v0")
        return self.run_json(_SET_UP, f"unix:{self.folder}/agent.sock")

    def run_json(self, code, *arguments):
        """Run that code on the site's database and return what it printed."""
        return json.loads(self.run("-c", code, *arguments))

    def serve(self):
        """Start the server as it is served, and return its process once it answers."""
        process = self.start("-m", "uvicorn", "aen_site.asgi:application", "--host", "127.0.0.1",
                             "--port", str(self.port), "--loop", "uvloop",
                             "--http", "aen_site.protocol:Protocol",
                             "--ws", "websockets-sansio", "--no-access-log")  # fmt: skip
        until(lambda: process.poll() is not None or self.get("/static/none"), "the server")
        assert process.poll() is None, self.log()
        return process

    def get(self, path, **more):
        return httpx.get(self.url + path, timeout=PATIENCE, trust_env=False, **more)

    def log(self):
        return (self.folder / "log").read_text()

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait(PATIENCE)
