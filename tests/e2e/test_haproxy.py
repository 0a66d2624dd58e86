"""A site whose gateway has HAProxy in front, in a browser: what people do there is as ever."""

import json
import os
import re
import subprocess

import httpx
import pytest
from fake_haproxy import ABSENT, PROGRAM
from running_site import Site, free_port, until
from test_main_job import Notebook, create_project, open_app
from test_optional_apps import (
    PANEL,
    STREAMLIT,
    choose,
    doubled,
    has_code_server,
    offered,
    opened,
    opens_readme,
)

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(ABSENT), reason=ABSENT)]


class SiteBehindHaproxy(Site):
    """HAProxy listens where browsers are sent, as ``deploy.render`` has configured it."""

    def __init__(self):
        super().__init__()
        self.behind = self.ports["gateway"]
        self.front = free_port()
        self.gateway = f"http://127.0.0.1:{self.front}"
        self.haproxy = None

    @property
    def environment(self):
        return super().environment | {"AEN_GATEWAY_PUBLIC_URL": self.gateway}

    def __enter__(self):
        super().__enter__()
        try:
            self._put_haproxy_in_front()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _put_haproxy_in_front(self):
        place = self.home / "gateway"
        config = self.home / "haproxy.cfg"
        text = subprocess.run(
            [self.home / "venv/bin/python", "-I", "-m", "deploy.render", "haproxy"],
            env=self.environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        config.write_text(text)
        agent = re.search(r"server agent unix@(\S+)", text)[1]
        file = place / "gateway.json"
        wanted = {"runtime": str(place / "haproxy.sock"), "listen": str(place / "requests.sock"),
                  "agent": f"unix:{agent}"}  # fmt: skip
        file.write_text(json.dumps(json.loads(file.read_text()) | {"haproxy": wanted}))
        self.log = self.home / "haproxy.log"
        with self.log.open("wb") as log:
            self.haproxy = subprocess.Popen([PROGRAM, "-db", "-f", config], stdout=log, stderr=log)
        before = self.pid("gateway")
        os.kill(before, 15)
        until(lambda: self.pid("gateway") not in (None, before), "the gateway to start again")
        until(self.is_ready, "HAProxy and gateway to find each other")

    def __exit__(self, *failure):
        if self.haproxy is not None:
            self.haproxy.terminate()
            self.haproxy.wait(20)
        super().__exit__(*failure)

    def carried(self, path):
        """Return the lines of HAProxy's own log about what is below ``path``."""
        return [line for line in self.log.read_text().splitlines() if path in line]


def assert_carried(site, tab, place):
    """The tab is below ``place``, and HAProxy carried its pages and its WebSockets."""
    place = f"/{site.person('mira')}/{place}/"
    assert tab.url.startswith(f"{site.gateway}{place}")
    until(lambda: any(" 200 " in line for line in site.carried(place)), "a page by HAProxy")
    tab.close()  # HAProxy writes its line at the end
    until(lambda: any('" 101 ' in line for line in site.carried(place)), "a WebSocket by HAProxy")


@pytest.fixture(scope="module")
def fronted():
    with SiteBehindHaproxy() as running:
        choose(running, ["streamlit", "panel", "code-server"])
        yield running


def test_a_notebook_runs_and_haproxy_carries_it(fronted, visit_at):
    page = visit_at(fronted, "mira")
    create_project(page, fronted, "forecast")
    tab = open_app(page, "JupyterLab")
    assert tab.url.startswith(fronted.gateway)
    assert Notebook(tab).run("print(6 * 7)") == "42"
    place = f"/{fronted.person('mira')}/forecast/lab/"
    until(lambda: fronted.carried(f"{place}api/"), "HAProxy to carry the notebook's requests")
    assert "token" not in fronted.log.read_text()
    assert httpx.get(f"{fronted.gateway}/-/health", trust_env=False).json()["status"] == "ok"


def test_a_token_of_the_persons_opens_the_app_for_a_script(fronted):
    address = f"{fronted.gateway}/{fronted.person('mira')}/forecast/lab/api/status"
    shown = {"Authorization": f"Bearer {fronted.token('mira', 'apps')}"}
    with httpx.Client(headers=shown, trust_env=False, timeout=30) as client:
        assert [client.get(address).status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize(
    ("app", "title", "text"), [("streamlit", "Streamlit", STREAMLIT), ("panel", "Panel", PANEL)]
)
def test_a_dashboard_computes_behind_haproxy(fronted, visit_at, app, title, text):
    page = visit_at(fronted, "mira")
    tab = opened(fronted, page, app, title, file=f"{app}_app.py", text=text)
    doubled(tab, "Hours")
    assert_carried(fronted, tab, f"with-{app}/{app}")


@has_code_server
def test_code_server_opens_a_file_behind_haproxy(fronted, visit_at):
    page = visit_at(fronted, "mira")
    create_project(page, fronted, "coded")
    offered(page, "Code")
    tab = open_app(page, "Code")
    opens_readme(tab)
    assert_carried(fronted, tab, "coded/code-server")
