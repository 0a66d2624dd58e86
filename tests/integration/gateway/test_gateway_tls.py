"""Nodes on other hosts: mutual TLS with a private authority, and nothing without it."""

import ssl

import pytest
import trustme
from gateway_fakes import Site, eventually
from websockets.sync.client import connect


class Authority:
    """A private CA, and files of a gateway whose certificate it signed."""

    def __init__(self, path):
        self.ca = trustme.CA()
        self.path = path
        self.ca.cert_pem.write_to_path(path / "ca.pem")

    def gateway(self, signed_by=None):
        certificate = (signed_by or self.ca).issue_cert("gateway-1")
        certificate.private_key_pem.write_to_path(self.path / "key.pem")
        (self.path / "key.pem").chmod(0o600)
        certificate.cert_chain_pems[0].write_to_path(self.path / "certificate.pem")
        return {key: str(self.path / f"{key}.pem") for key in ("certificate", "key", "ca")}

    def node(self, name="localhost", signed_by=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        (signed_by or self.ca).issue_cert(name).configure_cert(context)
        self.ca.configure_trust(context)
        return context


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def start():
    sites = []

    def _start(node_tls, *, ready=True, **config):
        site = Site(node_tls, **config)
        sites.append(site)
        if not ready:
            site.wait_ready = lambda: None
        return site.start()

    yield _start
    for site in sites:
        site.stop()


def test_requests_and_websockets_pass_over_mutual_tls(start, authority):
    site = start(authority.node(), tls=authority.gateway())
    opened = site.open_app()
    with site.client() as client:
        for _ in range(3):
            body = b"x" * 1_000_000
            answer = client.post(opened.url + "echo", content=body, headers=opened.cookie)
            assert answer.json()["length"] == len(body)
    with connect(
        opened.ws + "socket", additional_headers=opened.bearer, proxy=None, max_size=None
    ) as ws:
        ws.send(b"y" * 1_000_000)
        assert ws.recv(timeout=15) == b"y" * 1_000_000


def refused_because(site) -> str:
    links = eventually(
        lambda: [e for e in site.server.received if type(e).__name__ == "NodeLink" and not e.up]
    )
    assert not any(type(e).__name__ == "FromNode" for e in site.server.received)
    return links[0].cause


def test_a_node_that_another_authority_vouches_for_is_not_spoken_to(start, authority):
    node = authority.node(signed_by=trustme.CA())
    site = start(node, ready=False, tls=authority.gateway())
    assert "CERTIFICATE_VERIFY_FAILED" in refused_because(site)


def test_a_node_with_another_nodes_certificate_is_not_spoken_to(start, authority):
    site = start(authority.node("node-2.example"), ready=False, tls=authority.gateway())
    assert "Hostname mismatch" in refused_because(site)


def test_a_gateway_that_another_authority_vouches_for_gets_nothing(start, authority):
    tls = authority.gateway(signed_by=trustme.CA())
    site = start(authority.node(), ready=False, tls=tls)
    assert refused_because(site)


def test_without_certificates_there_is_no_way_to_another_host(start, authority):
    site = start(authority.node(), ready=False)
    assert 'gateway.json has no "tls"' in refused_because(site)
