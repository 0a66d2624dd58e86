"""Wire 1 and wire 2: what the gateway relays, and what it does when one end is away."""

import json

import pytest
from fake_haproxy import ABSENT
from gateway_fakes import NODE_ID, eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from compute_agent.protocol import AppStatus, encode
from gateway.protocol import NodeAddress

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
WAYS = pytest.mark.parametrize(
    "way",
    [
        pytest.param({"express": True}, id="express"),
        pytest.param({"express": False}, id="consumers"),
        pytest.param(
            {"haproxy": True}, id="haproxy", marks=pytest.mark.skipif(bool(ABSENT), reason=ABSENT)
        ),
    ],
)


@pytest.fixture
def opened(site):
    return site.open_app()


@pytest.fixture
def http(site):
    with site.client() as client:
        yield client


def received(site, kind):
    return [event for event in site.server.received if type(event).__name__ == kind]


def bodies(site):
    return [json.loads(bytes(event.body)) for event in received(site, "FromNode")]


def open_socket(site, opened):
    return connect(
        opened.ws + "socket", additional_headers=opened.cookie, origin=site.url, proxy=None
    )


# --- relaying ------------------------------------------------------------------------------------


def test_the_gateway_says_hello_and_which_nodes_it_reaches(site):
    assert received(site, "Hello")
    assert eventually(lambda: received(site, "NodeLink"))[0].up is True


def test_reports_of_a_node_reach_the_server_as_they_are(site):
    status = AppStatus("a" * 32, 3, "running", log=("line \u2028 separator \x85",))
    site.report(encode(status))
    body = eventually(lambda: [one for one in bodies(site) if one["type"] == "app"])[0]
    assert (body["revision"], body["log"]) == (3, ["line \u2028 separator \x85"])


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"app"},"node":"' + b"9" * 32 + b'","x":{}',
        b"[1]",
        b'"text"',
        b"{",
        b'{"a":"\xff"}',
    ],
)
def test_a_line_that_is_not_one_json_object_goes_no_further(site, line):
    site.report(line)
    marker = {"type": "app", "marker": line.hex()}
    site.report(json.dumps(marker).encode())
    eventually(lambda: marker in bodies(site))
    assert {event.node for event in received(site, "FromNode")} == {NODE_ID}
    assert received(site, "Hello") and len(received(site, "Hello")) == 1


def test_commands_reach_the_node_in_order(site):
    for number in range(20):
        site.command({"type": "stop", "number": number})
    eventually(lambda: len(site.node.commands) >= 20)
    assert [one["number"] for one in site.node.commands[-20:]] == list(range(20))


def test_a_command_that_the_node_refuses_comes_back_as_final(site):
    site.node.refuse_commands = True
    try:
        name = site.command({"type": "stop"})
        back = eventually(lambda: [e for e in received(site, "Undelivered") if e.id == name])[0]
        assert (back.final, back.cause) == (True, "The node will not.")
    finally:
        site.node.refuse_commands = False


def test_the_node_is_told_which_apps_were_used_past_it(site):
    used, idle = site.open_app(), site.open_app()
    with open_socket(site, used) as socket:
        eventually(lambda: used.app_id in site.node.used, 30)
        site.node.used.clear()
        socket.send("still here")
        eventually(lambda: used.app_id in site.node.used, 30)
    assert idle.app_id not in site.node.used


def test_a_node_that_passes_no_sockets_is_spliced(site, http):
    opened = site.open_app()
    site.node.passes = False
    try:
        before = site.node.spliced
        assert http.get(opened.url, headers=opened.cookie).status_code == 200
        with open_socket(site, opened) as socket:
            socket.send("there")
            assert socket.recv() == "there"
        assert site.node.spliced > before
    finally:
        site.node.passes = True


def test_a_command_for_an_unknown_node_comes_back_as_not_final(own_site):
    site = own_site()
    site.server.nodes = ()
    site.send_nodes()
    with site.client() as client:
        eventually(lambda: client.get(site.url + "/-/health").json()["messages"] == [])
    name = site.command({"type": "stop"})
    back = eventually(lambda: [e for e in received(site, "Undelivered") if e.id == name])[0]
    assert back.final is False


def test_an_address_that_cannot_be_used_is_reported(site):
    other = NodeAddress("3" * 32, "odd", "http://169.254.169.254")
    site.server.nodes = (*site.server.nodes, other)
    site.send_nodes()
    link = eventually(lambda: [e for e in received(site, "NodeLink") if e.node == other.id])[0]
    assert link.up is False
    assert "neither unix: nor https:" in link.cause
    site.server.nodes = site.server.nodes[:1]
    site.send_nodes()


# --- one end away --------------------------------------------------------------------------------


@WAYS
def test_an_open_websocket_survives_the_server(own_site, way):
    site = own_site(**way)
    opened = site.open_app()
    with open_socket(site, opened) as ws, site.client() as client:
        site.stop_server()
        eventually(lambda: client.get(site.url + "/-/health").json()["status"] == "problem")
        ws.send("still here")
        assert ws.recv(timeout=15) == "still here"
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
        assert client.get(site.url + "/-/ready").status_code == 503
        site.start_server()
        site.wait_ready()
        ws.send("again")
        assert ws.recv(timeout=15) == "again"


@WAYS
def test_within_the_grace_time_sessions_go_on_and_new_ones_wait(own_site, way):
    site = own_site(grace=3600.0, **way)
    site.server.ttl = 0.0
    opened, other = site.open_app(), site.open_app()
    with site.client() as client:
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
        site.server.away = True
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
        page = client.get(other.url, headers=other.cookie | PAGE)
        assert page.status_code == 503
        assert '<meta http-equiv="refresh" content="3">' in page.text
        assert "The server is away" in page.text


@WAYS
def test_without_grace_nobody_passes_while_the_server_is_away(own_site, way):
    site = own_site(grace=0.0, **way)
    site.server.ttl = 0.0
    opened = site.open_app()
    with site.client() as client:
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
        site.server.away = True
        assert client.get(opened.url, headers=opened.cookie).status_code == 503


@WAYS
def test_what_was_revoked_while_the_wire_was_down_is_closed_when_it_is_up(own_site, way):
    site = own_site(**way)
    opened, kept = site.open_app(), site.open_app()
    with open_socket(site, opened) as ws, open_socket(site, kept) as other:
        site.stop_server()
        site.server.sessions.pop(opened.session)
        site.start_server()
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
        other.send("kept")
        assert other.recv(timeout=15) == "kept"


def test_after_a_reconnection_the_server_is_told_everything_again(own_site):
    site = own_site()
    eventually(lambda: [one for one in bodies(site) if one["type"] == "snapshot"])
    site.stop_server()
    site.server.received.clear()
    site.start_server()
    eventually(lambda: [one for one in bodies(site) if one["type"] == "snapshot"])
    assert [one["type"] for one in bodies(site)[:2]] == ["node", "snapshot"]


def test_a_node_that_goes_and_comes_is_reported_and_read_again(own_site):
    site = own_site()
    site.thread.run(site.node.stop())
    eventually(lambda: [e for e in received(site, "NodeLink") if not e.up])
    eventually(lambda: "its agent does not run" in received(site, "NodeLink")[-1].cause)
    before = len(bodies(site))
    site.thread.run(site.node.start())
    eventually(lambda: received(site, "NodeLink")[-1].up)
    eventually(lambda: len(bodies(site)) > before)


def test_a_request_waits_for_a_node_that_restarts(own_site):
    site = own_site()
    opened = site.open_app()
    site.thread.run(site.node.stop())
    with site.client() as client:
        import threading

        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(client.get(opened.url, headers=opened.cookie))
        )
        asking.start()
        eventually(lambda: site.server.asked)
        site.thread.run(site.node.start())
        asking.join(20)
    assert answers[0].status_code == 200


@WAYS
def test_a_node_that_stays_away_gives_a_page_that_tries_again(own_site, way):
    site = own_site(**way)
    opened = site.open_app()
    site.thread.run(site.node.stop())
    with site.client() as client:
        page = client.get(opened.url, headers=opened.cookie | PAGE)
    assert page.status_code == 502
    assert "The app did not answer" in page.text
    assert page.headers["retry-after"] == "3"


def test_an_app_that_is_gone_from_its_node_is_asked_about_again(site, opened, http):
    http.get(opened.url, headers=opened.cookie)
    del site.node.apps[opened.app_id]
    site.server.statuses[opened.key] = 409
    site.thread.run(opened.served.stop())
    assert http.get(opened.url, headers=opened.cookie).status_code == 409


def test_a_killed_gateway_comes_back_and_serves_open_sessions(own_site):
    site = own_site()
    opened = site.open_app()
    with site.client() as client:
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
        site.stop_gateway(kill=True)
        site.start_gateway()
        assert client.get(opened.url, headers=opened.cookie).status_code == 200


# --- the process ---------------------------------------------------------------------------------


@pytest.mark.row(22)
def test_no_secret_and_no_query_is_in_the_log(site, opened, http):
    http.get(opened.url + "x?token=in-the-query", headers=opened.cookie)
    http.get(opened.url, headers=opened.bearer)
    with open_socket(site, opened):
        pass
    eventually(lambda: f'"WEBSOCKET {opened.prefix}' in site.log.read_text())
    text = site.log.read_text()
    assert f'"GET {opened.prefix}x HTTP/1.1" 200' in text
    for secret in (opened.session, opened.token, "in-the-query", site.credential, "of-the-app"):
        assert secret not in text


def test_health_is_as_published(site, http):
    assert http.get(site.url + "/-/health").json() == {"status": "ok", "messages": []}
    assert http.get(site.url + "/-/ready").status_code == 200


@pytest.mark.row(22)
def test_health_tells_strangers_what_and_not_where(own_site):
    site = own_site(trusted_proxies=["127.0.0.1"])
    site.stop_server()
    with site.client() as client:
        eventually(lambda: client.get(site.url + "/-/ready").status_code == 503)
        (full,) = client.get(site.url + "/-/health").json()["messages"]
        assert full.startswith("The server is not connected: ")
        stranger = {"X-Forwarded-For": "192.0.2.7"}
        told = client.get(site.url + "/-/health", headers=stranger).json()["messages"]
        assert told == ["The server is not connected."]
