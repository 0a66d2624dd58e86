"""When an app was last used: real apps, and a real agent that watches them."""

import http.client
import json

import pytest
from node_client import as_user, long_unused, until

pytestmark = pytest.mark.host


def test_work_and_traffic_are_signs_of_use_and_waiting_is_none(small_node, people):
    mira = people()
    busy, visited, idle = (small_node.run("web", mira) for _ in range(3))
    small_node.get(busy, "/spin")
    before = long_unused(small_node, busy, visited, idle)

    def used(app_id):
        return small_node.status(app_id)["active_at"] > before

    assert not used(visited)
    small_node.get(visited, "/")
    until(lambda: used(visited), "the traffic is noted")
    until(lambda: used(busy), "the work is noted")
    assert small_node.status(idle)["active_at"] == before


def test_bytes_on_a_connection_that_is_open_long_are_signs_of_use(small_node, people):
    app_id = small_node.run("web", people())
    before = long_unused(small_node, app_id)
    sock, _ = small_node.connect(app_id)
    with sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        until(lambda: small_node.status(app_id)["active_at"] > before, "the bytes are noted")


def test_a_passed_socket_leads_to_the_app_past_the_agent_and_its_use_is_told(small_node, people):
    app_id = small_node.run("web", people())
    sock, headers = small_node.passed(app_id)
    with sock:
        before = long_unused(small_node, app_id)  # ends the agent and starts it again
        assert small_node.call("POST", "/v1/used", {"app_ids": [app_id]})[0] == 202
        until(lambda: small_node.status(app_id)["active_at"] > before, "the use is noted")
        asked = http.client.HTTPConnection("app", timeout=20)
        asked.sock = sock
        asked.request("GET", "/", headers=headers)
        assert json.loads(asked.getresponse().read())["path"] == "/"
        small_node.stop(app_id)
        assert sock.recv(1) == b""


def test_what_a_project_takes_on_disk_is_reported_with_its_apps(small_node, people):
    mira = people()
    app_id = small_node.run("web", mira)
    until(lambda: small_node.status(app_id)["project_disk"], "the disk is counted")
    small_node.end()
    as_user(mira, "dd", "if=/dev/urandom", f"of={small_node.project(mira)}/big", "bs=1M", "count=8",
            "conv=fsync")  # fmt: skip
    before = json.loads((small_node.directory(app_id) / "record.json").read_text())["status"]
    small_node.start()
    grown = before["project_disk"] + (8 << 20)
    until(lambda: small_node.status(app_id)["project_disk"] >= grown, "it is counted again")
