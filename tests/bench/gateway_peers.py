"""Other proxies to compare the gateway with, fetched into the tests' cache when they are used.

configurable-http-proxy, JupyterHub's, comes from npm; plain NGINX from Debian's package, unpacked
and not installed. What cannot be had is left out, with the reason.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
from gateway_fakes import free_port

from tests.places import KEPT

CACHE = KEPT / "peers"
CHP_VERSION = "5.3.0"
_NGINX = """
daemon off; worker_processes 1; pid {place}/pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  client_max_body_size 0; keepalive_requests 100000000;
  upstream app {{ server 127.0.0.1:{app}; keepalive 512; keepalive_requests 100000000; }}
  map $http_upgrade $connection_wanted {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_wanted;
      proxy_buffering off; proxy_request_buffering off; proxy_buffer_size 64k;
      proxy_buffers 4 64k; proxy_busy_buffers_size 128k; client_body_buffer_size 64k;
    }}
  }}
}}
"""


class Absent(Exception):
    """The peer cannot be had here; the text says why."""


class Peer:
    """A proxy in front of the app's port; ``pid`` is the process that does the work."""

    def __init__(self, process, port, place=None):
        self.process, self.port, self._place = process, port, place

    @property
    def pid(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int((children.read_text().split() or [self.process.pid])[0])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        if self._place is not None:
            shutil.rmtree(self._place)


def _run(command, **options):
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=180, **options)
    except FileNotFoundError:
        raise Absent(f"{command[0]} is not installed") from None
    except (subprocess.SubprocessError, OSError) as error:
        words = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise Absent(words[-1] if words else str(error)) from None


def chp(app_port):
    """Return configurable-http-proxy with the app as its default target."""
    place = CACHE / f"chp-{CHP_VERSION}"
    program = place / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    if not program.exists():
        package = f"configurable-http-proxy@{CHP_VERSION}"
        _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(place), package])
    port, api = free_port(), free_port()
    command = ["node", str(program), "--ip", "127.0.0.1", "--port", str(port)]
    command += ["--api-ip", "127.0.0.1", "--api-port", str(api), "--log-level", "error"]
    command += ["--default-target", f"http://127.0.0.1:{app_port}"]
    environment = os.environ | {"CONFIGPROXY_AUTH_TOKEN": "bench", "NODE_ENV": "production"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    return _waited(Peer(process, port))


def nginx(app_port):
    """Return plain NGINX, one worker, kept-alive upstream, no buffering, 64 KiB buffers."""
    program = nginx_program()
    place = Path(tempfile.mkdtemp(prefix="aen-bench-nginx-"))
    port = free_port()
    (place / "nginx.conf").write_text(_NGINX.format(place=place, port=port, app=app_port))
    process = subprocess.Popen(
        [program, "-p", str(place), "-c", str(place / "nginx.conf"), "-e", "stderr"],
        stderr=subprocess.DEVNULL,
    )
    return _waited(Peer(process, port, place))


def nginx_program():
    """Return the path of NGINX. Raises ``Absent``."""
    return shutil.which("nginx") or str(_unpacked_nginx())


def _unpacked_nginx():
    place = CACHE / "nginx"
    program = place / "usr/sbin/nginx"
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "nginx"], cwd=place)
        package = next(place.glob("nginx_*.deb"), None)
        if package is None:
            raise Absent("apt-get found no nginx package")
        _run(["dpkg", "-x", str(package), str(place)])
    return program


def _waited(peer):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if peer.process.poll() is not None:
            raise Absent(f"it ended with code {peer.process.returncode}")
        try:
            httpx.get(f"http://127.0.0.1:{peer.port}/", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return peer
    peer.stop()
    raise Absent("it did not answer")
