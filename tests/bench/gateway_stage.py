"""A site with fast apps, for benchmarks of one gateway: an app and its node are one process."""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "tests" / "integration" / "gateway"),
    str(Path(__file__).parent),
]
from gateway_fakes import NODE_ID, Site, free_port  # noqa: E402

from gateway.protocol import NodeAddress  # noqa: E402

#: A second node, for an app that is to share no process with the first one's.
OTHER_NODE = "0" * 31 + "9"


@contextmanager
def stage(**config):
    """Yield a ``Site`` whose apps answer 1 KiB to all requests and echo WebSockets' bytes."""
    site = Site(**config)
    other = site.directory / "other.sock"
    site.server.nodes = (*site.server.nodes, NodeAddress(OTHER_NODE, "node-2", f"unix:{other}"))
    site.start_server()
    with ExitStack() as running:
        running.callback(site.stop)
        #: The processes of both nodes with their apps.
        site.parts = [
            running.enter_context(_parts(site.directory / f"app-{number}.sock", node))
            for number, node in enumerate((site.node.path, other))
        ]
        site.start_gateway()
        yield site


@contextmanager
def _parts(app, node):
    command = [sys.executable, str(Path(__file__).with_name("gateway_parts.py"))]
    process = subprocess.Popen(
        [*command, str(app), str(free_port()), str(node)],
        stdout=subprocess.PIPE,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def open_on(site, node=NODE_ID):
    """Return a new person's app on ``node``, whose access is remembered."""
    opened = site.open_socket()
    site.server.node_of[opened.key] = node
    return site.granted(opened)


def request(opened, port, more="", what=""):
    """Return a signed-in request as a browser sends it."""
    lines = f"GET {opened.prefix}{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    lines += (
        f"Cookie: aen_gateway={opened.session}\r\nOrigin: http://127.0.0.1:{port}\r\n{more}\r\n"
    )
    return lines.encode()
