"""HAProxy's configuration, read back by HAProxy itself."""

import json
import subprocess
from pathlib import Path

import pytest
from fake_haproxy import ABSENT, PROGRAM

from deploy import haproxy
from deploy.say import Problem
from gateway.limits import Settings

SOCKETS = haproxy.Sockets(Path("/tmp/h.sock"), Path("/tmp/g.sock"), Path("/run/aen/agent.sock"))


@pytest.mark.skipif(bool(ABSENT), reason=ABSENT)
@pytest.mark.parametrize("url", ["http://127.0.0.1:8089", "http://*.apps.localhost:8089"])
def test_it_is_valid(tmp_path, url):
    file = tmp_path / "haproxy.cfg"
    file.write_text(haproxy.render(url, SOCKETS, slots=3))
    done = subprocess.run(
        [PROGRAM, "-c", "-f", file], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_https_comes_with_http_2_and_the_names_certificate():
    text = haproxy.render("https://*.apps.example.org", SOCKETS, account="aen", slots=3)
    assert "bind :443 ssl crt /etc/ssl/aen/apps.example.org.pem alpn h2,http/1.1" in text
    assert "user aen" in text
    assert text.count("\nbackend aen-slot-") == 3


SERVER = haproxy.Server("https://aen.example.org", "127.0.0.1:8000")


def test_the_server_is_served_beside_it_by_its_name():
    text = haproxy.render("https://*.apps.example.org", SOCKETS, slots=1, server=SERVER)
    ours = "crt /etc/ssl/aen/apps.example.org.pem crt /etc/ssl/aen/aen.example.org.pem"
    assert f"bind :443 ssl {ours} alpn h2,http/1.1" in text
    names = "aen.example.org aen.example.org:443"
    assert f"use_backend aen-server if {{ req.fhdr(host) -m str -i {names} }}" in text
    assert "server server 127.0.0.1:8000" in text


@pytest.mark.parametrize("url", ["https://apps.example.org:8443", "http://127.0.0.1:8089"])
def test_a_server_at_another_port_or_without_https_is_left_to_others(url):
    text = haproxy.render(url, SOCKETS, slots=1, server=SERVER)
    assert "aen-server" not in text
    assert "crt /etc/ssl/aen/aen.example.org.pem" not in text


def test_a_path_that_it_cannot_hold_is_named():
    odd = haproxy.Sockets(Path("/tmp/with space"), SOCKETS.gateway, SOCKETS.agent)
    with pytest.raises(Problem, match="with space"):
        haproxy.render("https://apps.example.org", odd)


def test_grace_limits_and_sockets_are_the_gateways(tmp_path):
    file = tmp_path / "gateway.json"
    assert haproxy.told(file, SOCKETS).limits.person_rate == 1000
    url = "http://127.0.0.1:8089"
    wanted = dict.fromkeys(("server", "server_public", "public_url"), url) | {
        "gateway_id": "0" * 32, "credential_file": "c", "secret_key_file": "k", "grace": 20,
        "limits": {"person_rate": 5, "person_open": 7, "address_connections": 0},
    }  # fmt: skip
    file.write_text(json.dumps(wanted))
    told = haproxy.told(file, SOCKETS)
    assert told.sockets == SOCKETS
    text = haproxy.render(url, told.sockets, grace=told.grace, limits=told.limits, slots=1)
    assert "fall 10 rise" in text
    assert "sc0_http_req_rate gt 20\n" in text
    assert " maxconn 7 " in text
    named = {"runtime": "/a/h.sock", "listen": "/a/g.sock", "agent": "unix:/b/agent.sock"}
    file.write_text(json.dumps(wanted | {"haproxy": named}))
    text = haproxy.render(url, haproxy.told(file, SOCKETS).sockets, slots=1)
    assert "stats socket /a/h.sock " in text
    assert "unix@/a/g.sock " in text
    assert "unix@/b/agent.sock send-proxy-v2" in text
    file.write_text("{}")
    with pytest.raises(Problem, match=r"gateway\.json"):
        haproxy.told(file, SOCKETS)


def test_a_rate_of_0_is_no_limit():
    limits = Settings(person_rate=0)
    text = haproxy.render("http://127.0.0.1:8089", SOCKETS, limits=limits, slots=1)
    assert "sc0_http_req_rate gt 0\n" not in text
