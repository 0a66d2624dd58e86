"""A second host for the gateway benchmark: a network namespace with a node in it, behind TLS.

Root makes it, with one pair of virtual network cards between it and this host, and removes it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import trustme
from gateway_fakes import NODE_ID, Site, free_port

from gateway.protocol import NodeAddress

HERE, THERE = "10.213.77.1", "10.213.77.2"
_PORT = 5002


class Unavailable(Exception):
    """No second host can be made here; the text says why."""


class OtherHost:
    """App and node in a namespace of their own, and a site whose gateway reaches them by TLS."""

    def __init__(self, root, people, limits):
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise Unavailable("namespaces need root, and ip from iproute2")
        self.name = f"aenb{os.getpid()}"
        self.site = Site()
        self.node = None
        try:
            self._connect_hosts()
            tls = self._issue(self.site.directory)
            self.node = self._start_node(root, self.site.directory)
            self.site.start_server()
            self.site.server.ttl = 600.0
            address = f"https://{THERE}:{_PORT}"
            self.site.server.nodes = (NodeAddress(NODE_ID, "node-2", address),)
            self.people = [self.site.open_socket() for _ in range(people)]
            self.gateway = self.site.another_gateway(tls=tls, limits=limits)
        except BaseException:
            self.stop()
            raise

    def _connect_hosts(self):
        _ip("netns", "add", self.name)
        peer = ("peer", "name", "eth0", "netns", self.name)
        _ip("link", "add", self.name, "type", "veth", *peer)
        _ip("address", "add", f"{HERE}/30", "dev", self.name)
        _ip("link", "set", self.name, "up")
        for command in (f"address add {THERE}/30 dev eth0", "link set eth0 up", "link set lo up"):
            _ip("-n", self.name, *command.split())

    def _issue(self, place):
        """Write the files of a private authority; return what goes into ``gateway.json``."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(place / "ca.pem")
        for whose in (THERE, "gateway-1"):
            issued = authority.issue_cert(whose)
            issued.private_key_pem.write_to_path(place / f"{whose}.key")
            (place / f"{whose}.key").chmod(0o600)
            issued.cert_chain_pems[0].write_to_path(place / f"{whose}.pem")
        own = place / "gateway-1"
        return {"certificate": f"{own}.pem", "key": f"{own}.key", "ca": str(place / "ca.pem")}

    def _start_node(self, root, place):
        command = ["ip", "netns", "exec", self.name, sys.executable]
        command += [str(Path(__file__).with_name("gateway_parts.py")), str(place / "app.sock")]
        command += [str(free_port()), str(place / "unused.sock"), THERE, str(_PORT), str(place)]
        node = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root)},
        )
        assert node.stdout is not None
        node.stdout.readline()
        return node

    @property
    def worker(self):
        """The process of app and node: ``ip netns exec`` becomes the program that it runs."""
        return self.node.pid

    def stop(self):
        if self.node is not None:
            self.node.terminate()
            self.node.wait(10)
        if hasattr(self, "gateway"):
            self.gateway.stop()
        self.site.stop()
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", self.name], check=False, capture_output=True)


def _ip(*words):
    try:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise Unavailable(error.stderr.strip()) from None
