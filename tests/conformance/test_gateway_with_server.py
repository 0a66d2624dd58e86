"""The real gateway against the real server; only the node is a fake."""

import asyncio
import importlib

import httpx
import pytest
import uvicorn
from channels.db import database_sync_to_async as in_thread
from django.test import Client
from gateway_fakes import App, Served, Site, _made, free_port
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import aen_site.asgi
from accounts import actions as accounts
from compute_agent.protocol import AppStatus, encode
from datacenters import actions as datacenters
from projects import actions
from projects.models import AppInstance

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 30
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


async def until(condition, what):
    """Wait until ``condition``, called in a thread for the database's sake, is true."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await in_thread(condition)()):
            await asyncio.sleep(0.02)
    assert found, what
    return found


class RealServer:
    """The server on this test's loop, with a gateway process enrolled at it."""

    def __init__(self, center, settings):
        self._center = center
        port = free_port()
        self.url = settings.AEN_PUBLIC_URL = f"http://127.0.0.1:{port}"
        # The middleware takes the site's address when the application is made.
        application = importlib.reload(aen_site.asgi).application
        config = uvicorn.Config(application, port=port, log_config=None, ws="websockets-sansio")
        self._server = uvicorn.Server(config)

    async def start(self):
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.site = Site(server=self.url, server_public=self.url)
        node = f"unix:{self.site.node.path}"
        row, credential = await in_thread(datacenters.enroll_gateway)(
            "real", self._center.row, self.site.url, by=None
        )
        self.node = await in_thread(datacenters.enroll_node)(
            "node-1", self._center.row, node, by=None
        )
        self.site.credential = credential
        self.site._config["gateway_id"] = row.pk.hex
        await asyncio.to_thread(self._start_site)

    def _start_site(self):
        self.site.thread.run(self.site.node.start())
        self.site.start_gateway()

    async def stop(self):
        await asyncio.to_thread(self.site.stop)
        self._server.should_exit = True
        await self._serving


@pytest.fixture
async def real(center, settings):
    server = RealServer(center, settings)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def opened(real, project, cast):
    """The address of Mira's JupyterLab."""
    await open_lab(real, project, cast.mira)
    return real.site.url + "/mira/forecast/lab/"


async def open_lab(real, project, person):
    """Start it: asked of the server, carried to the node, reported as running."""
    node = real.site.node
    row = await in_thread(actions.start_app)(project, "lab", by=person)
    launch = await until(
        lambda: next((one for one in node.commands if one["type"] == "launch"), None), "the launch"
    )
    assert (launch["app_id"], launch["url_prefix"]) == (row.pk.hex, "/mira/forecast/lab/")
    app = real.site.thread.run(_made(App))
    path = real.site.directory / "app.sock"
    served = Served(app, uds=str(path))
    await asyncio.to_thread(real.site.thread.run, served.start())
    real.site._apps.append(served)
    node.apps[launch["app_id"]] = path
    status = AppStatus(launch["app_id"], 100, "running", account=person.username)
    await asyncio.to_thread(real.site.report, encode(status))
    await until(lambda: AppInstance.objects.filter(pk=row.pk, state="running").exists(), "running")
    return row


@pytest.fixture
async def browser(cast):
    """A browser in which Mira is signed in at the server."""
    session = Client()
    await in_thread(session.force_login)(
        cast.mira, backend="django.contrib.auth.backends.ModelBackend"
    )
    async with httpx.AsyncClient(trust_env=False, headers=PAGE, timeout=PATIENCE) as client:
        for name, morsel in session.cookies.items():
            client.cookies.set(name, morsel.value, domain="127.0.0.1")
        client.session = session
        yield client


async def test_a_person_is_signed_in_without_typing_anything(real, opened, browser):
    answer = await browser.get(opened + "tree?x=1", follow_redirects=True)
    assert (answer.status_code, answer.json()) == (200, {"path": "/mira/forecast/lab/tree"})
    assert str(answer.url) == opened + "tree?x=1"
    assert len(answer.history) == 3


@pytest.mark.row(2)
async def test_signing_out_at_the_server_closes_the_websocket(real, opened, browser):
    await browser.get(opened, follow_redirects=True)
    cookie = {"Cookie": f"aen_gateway={browser.cookies['aen_gateway']}"}
    address = opened.replace("http", "ws") + "socket"
    async with connect(address, additional_headers=cookie, origin=real.site.url, proxy=None) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        await in_thread(browser.session.logout)()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        assert ws.close_code == 3003
    answer = await browser.get(opened, headers={"Accept": "*/*"})
    assert answer.status_code == 401


@pytest.mark.row(2)
async def test_an_api_token_opens_the_app_until_it_is_revoked(real, opened, cast):
    token, secret = await in_thread(accounts.create_token)(
        cast.mira, "script", ["apps"], by=cast.mira
    )
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        assert (await client.get(opened)).status_code == 200
        await in_thread(accounts.revoke_token)(token, by=cast.mira)
        async with asyncio.timeout(PATIENCE):
            while (await client.get(opened)).status_code != 401:
                await asyncio.sleep(0.02)


async def test_another_person_finds_nothing(real, opened, cast):
    _, secret = await in_thread(accounts.create_token)(cast.otto, "script", ["apps"], by=cast.otto)
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.get(opened, headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 404


async def test_an_app_that_does_not_run_has_a_page_that_leads_to_its_project(
    real, browser, project
):
    address = real.site.url + "/mira/forecast/lab/"
    answer = await browser.get(address, follow_redirects=True)
    assert answer.status_code == 409
    assert "/mira/forecast" in answer.text


@pytest.mark.rule(12)
async def test_removing_a_member_closes_their_sockets_and_ends_their_apps_on_the_node(
    real, project, cast
):
    """From the person's WebSocket through gateway, server and wire to the node's commands."""
    row = await open_lab(real, project, cast.edda)
    _, secret = await in_thread(accounts.create_token)(cast.edda, "lab", ["apps"], by=cast.edda)
    pass_ = {"Authorization": f"Bearer {secret}"}
    address = real.site.url + "/mira/forecast/lab/"
    ws = address.replace("http", "ws") + "socket"
    async with connect(ws, additional_headers=pass_, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await in_thread(actions.remove_member)(project, "edda", by=cast.mira)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    commands = real.site.node.commands
    await until(lambda: {"type": "stop", "app_id": row.pk.hex} in commands, "the stop")
    secured = await until(lambda: [c for c in commands if c["type"] == "secure"], "the new team")
    assert [one["account"] for one in secured[-1]["project"]["members"]] == ["max", "vera"]
    async with httpx.AsyncClient(trust_env=False, headers=pass_, timeout=PATIENCE) as client:
        assert (await client.get(address)).status_code == 404


#: What ends somebody's access, and what the gateway answers afterwards.
CAUSES = {
    "a sign-out everywhere": (401, lambda p, c: accounts.sign_out_everywhere(c.edda, by=c.edda)),
    "a new password": (
        401,
        lambda p, c: accounts.set_password(c.edda, "Other-1-Secret", by=c.ada),
    ),
    "a lock": (401, lambda p, c: accounts.lock_user(c.edda, by=c.ada)),
    "a removal from the team": (404, lambda p, c: actions.remove_member(p, "edda", by=c.mira)),
    "a stop of the app": (409, lambda p, c: actions.stop_app(p, "lab", by=c.edda)),
    "a deletion of the project": (404, lambda p, c: actions.delete_project(p, by=c.mira)),
}


@pytest.mark.row(2)
@pytest.mark.parametrize("cause", CAUSES)
async def test_what_ends_access_closes_answers_and_sockets_and_refuses_new_ones(
    real, project, cast, cause
):
    await open_lab(real, project, cast.edda)
    session = Client()
    await in_thread(session.force_login)(
        cast.edda, backend="django.contrib.auth.backends.ModelBackend"
    )
    status, end = CAUSES[cause]
    address = real.site.url + "/mira/forecast/lab/"
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        for name, morsel in session.cookies.items():
            client.cookies.set(name, morsel.value, domain="127.0.0.1")
        await client.get(address, headers=PAGE, follow_redirects=True)
        cookie = {"Cookie": f"aen_gateway={client.cookies['aen_gateway']}"}
        ws = address.replace("http", "ws") + "socket"
        async with (
            connect(ws, additional_headers=cookie, origin=real.site.url, proxy=None) as socket,
            client.stream("GET", address + "gated", headers=cookie) as stream,
        ):
            chunks = stream.aiter_raw()
            await anext(chunks)
            await in_thread(end)(project, cast)
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                    await anext(chunks)
        assert (await client.get(address)).status_code == status


async def test_a_question_on_permissions_goes_to_the_node_and_back(real, opened, browser):
    here = f"{real.url}/mira/forecast/permissions?path=data/raw"
    answer = await browser.get(here.replace("/mira", "/api/v1/projects/mira", 1))
    assert (answer.status_code, answer.json()["kind"]) == (200, "missing")
    assert answer.json()["cause"] == "The project has no directory on this node yet."
    assert "There is no data/raw." in (await browser.get(here)).text
