"""The database goes away for a while: people are told, apps go on, and all is well afterwards.

The while is longer than all that a site waits for, which is shortened here: until a node counts as
away, until a start counts as failed, and until a command is sent again. A gateway's patience, a minute,
is not.
"""

import socket
import time

import httpx
import pytest
from gateway_fakes import App, Served, Site, _made
from own_site import PATIENCE, until
from websockets.sync.client import connect

from compute_agent.protocol import AppStatus, encode
from tests.integration.databases.impatient import LONGEST

_ENQUEUE = """
import json, django
django.setup()
from accounts import jobs
print(json.dumps(jobs.enqueue("accounts.prune_jobs").pk.hex))
"""
_STATE = """
import json, sys, uuid, django
django.setup()
from accounts.models import Job
print(json.dumps(Job.objects.get(pk=uuid.UUID(sys.argv[1])).state))
"""


class Parts:
    """Server and worker on a database of its own process, a gateway, and a node that is a fake."""

    def __init__(self, site):
        self.site = site
        made = site.set_up()
        self.server = site.serve()
        self.worker = site.start("-m", "django", "aen_worker")
        self.near = Site(server=site.url, server_public=site.url)
        self.near.credential = made["credential"]
        self.near._config["gateway_id"] = made["gateway"]
        self.bearer = {"Authorization": f"Bearer {made['token']}"}

    def start(self):
        near = self.near
        near.node.path = self.site.folder / "agent.sock"
        near.thread.run(near.node.start())
        near.start_gateway()
        until(self.is_well, "the node to be up")

    def rest(self, method, path, **more):
        url = f"{self.site.url}/api/v1/{path}"
        more = {"headers": self.bearer, "timeout": PATIENCE} | more
        return httpx.request(method, url, trust_env=False, **more)

    def is_well(self):
        return self.rest("GET", "health").json()["status"] == "ok"

    def open_app(self):
        """Start Mira's app, answer for the node, and return the app's address at the gateway."""
        app_id = self.start_app("forecast")
        near = self.near
        served = Served(near.thread.run(_made(App)), uds=str(near.directory / "app.sock"))
        near.thread.run(served.start())
        near._apps.append(served)
        near.node.apps[app_id] = near.directory / "app.sock"
        near.report(encode(AppStatus(app_id, 100, "running", account="mira")))
        until(lambda: self.state_in("forecast") == "running", "the app to run")
        return f"{near.url}/mira/forecast/lab/"

    def start_app(self, project):
        """Ask for a start in a new project; return its id once the node was told to launch it."""
        self.rest("POST", "projects", json={"name": project}).raise_for_status()
        answer = self.rest("POST", f"projects/mira/{project}/apps/lab/start")
        assert answer.status_code == 202, answer.text
        app_id = answer.json()["id"].replace("-", "")
        until(lambda: self.told("launch", app_id), "the launch to reach the node")
        return app_id

    def state_in(self, project):
        return self.rest("GET", f"projects/mira/{project}/apps/lab").json()["state"]

    def told(self, kind, app_id):
        return [c for c in self.near.node.commands if (c["type"], c["app_id"]) == (kind, app_id)]

    def stop(self):
        self.near.stop()


@pytest.fixture(params=["postgresql", "mongodb"])
def database(request):
    """The database's server, which can be stopped and started."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def parts(site_on, database, request):
    site = site_on(request.node.callspec.params["database"])
    site.settings = "tests.integration.databases.impatient_settings"
    site.more = {"AEN_START_TIMEOUT": str(LONGEST)}
    running = Parts(site)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_a_while_without_a_database_is_told_and_survived(parts, database):
    address = parts.open_app()
    starting = parts.start_app("starting")
    parts.near.node.apps[starting] = parts.near.directory / "none.sock"  # it knows of it
    parts.near.report(encode(AppStatus(starting, 100, "preparing")))
    until(lambda: parts.state_in("starting") == "preparing", "the start to be under way")
    with connect(
        address.replace("http", "ws") + "socket", additional_headers=parts.bearer, proxy=None
    ) as socket:
        assert _use(parts, address, socket) == 200
        database.stop()
        try:
            gone = time.monotonic()
            _while_it_is_away(parts, address, socket)
            until(lambda: time.monotonic() > gone + LONGEST + 2, "all patience to end")
        finally:
            database.start()
        until(parts.is_well, "all parts to be well again")
        assert _use(parts, address, socket) == 200
    assert parts.state_in("starting") == "preparing"  # nobody gave it up, nor what runs
    parts.near.report(encode(AppStatus(starting, 101, "running", account="mira")))
    until(lambda: parts.state_in("starting") == "running", "the start to come to its end")
    assert parts.state_in("forecast") == "running"
    assert not parts.told("stop", starting)
    assert (parts.server.poll(), parts.worker.poll()) == (None, None)
    _works_as_before(parts)
    assert "Traceback" not in parts.site.log()


def _use(parts, address, socket):
    """Use the open socket, and return how the app's page is answered."""
    socket.send("hello")
    assert socket.recv(PATIENCE) == "hello"
    answer = httpx.get(address, headers=parts.bearer, timeout=PATIENCE, trust_env=False)
    return answer.status_code


def _while_it_is_away(parts, address, socket):
    page = parts.site.get("/", headers={"Cookie": "aen_session=" + "s" * 32})
    assert page.status_code == 503
    assert "can’t reach its database" in page.text
    assert page.headers["Retry-After"] == "5"
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for method, path, body in [("GET", "projects", None), ("POST", "projects", {"name": "new"})]:
        answer = parts.rest(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    health = parts.rest("GET", "health").json()
    assert (health["status"], health["messages"][0][:8]) == ("problem", "The data")
    # The wire is down by now, and what was granted is older than the server said it may be.
    until(lambda: "wire to gateway" in parts.site.log(), "the wire to break")
    assert _use(parts, address, socket) == 200
    until(lambda: "trying again" in parts.site.log(), "the worker to notice")


def _works_as_before(parts):
    shown = {p["name"] for p in parts.rest("GET", "projects").json()["items"]}
    assert shown == {"forecast", "starting"}
    job = parts.site.run_json(_ENQUEUE)
    until(lambda: parts.site.run_json(_STATE, job) == "done", "the worker to do a job")
    parts.rest("POST", "projects/mira/forecast/apps/lab/stop").raise_for_status()
    launched = [c["app_id"] for c in parts.near.node.commands if c["type"] == "launch"]
    until(lambda: parts.told("stop", launched[0]), "the stop to reach the node")


def test_callers_that_hang_up_take_no_connection_with_them(site_on):
    site = site_on("postgresql")
    token = site.set_up()["token"]
    site.serve()
    head = "GET /api/v1/projects HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Authorization: Bearer {token}\r\n\r\n"
    for _ in range(3 * 20):  # the pool three times over
        with socket.create_connection(("127.0.0.1", site.port)) as caller:
            caller.sendall(head.encode())
    bearer = {"Authorization": f"Bearer {token}"}
    for _ in range(5):
        assert site.get("/api/v1/projects", headers=bearer).status_code == 200
