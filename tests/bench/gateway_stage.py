"""A site with a fast app, for benchmarks of one gateway: the app and its node are one process."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "tests" / "integration" / "gateway"),
    str(Path(__file__).parent),
]
from gateway_fakes import Site, free_port  # noqa: E402


@contextmanager
def stage(**config):
    """Yield a ``Site`` whose apps answer 1 KiB to all requests and echo WebSockets' bytes."""
    site = Site(**config)
    site.start_server()
    command = [sys.executable, str(Path(__file__).with_name("gateway_parts.py"))]
    command += [str(site.directory / "app.sock"), str(free_port()), str(site.node.path)]
    parts = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    )
    try:
        assert parts.stdout is not None
        parts.stdout.readline()
        site.start_gateway()
        yield site
    finally:
        parts.terminate()
        parts.wait(10)
        parts.stdout.close()
        site.stop()


def request(opened, port, more="", what=""):
    """Return a signed-in request as a browser sends it."""
    lines = f"GET {opened.prefix}{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    lines += (
        f"Cookie: aen_gateway={opened.session}\r\nOrigin: http://127.0.0.1:{port}\r\n{more}\r\n"
    )
    return lines.encode()
