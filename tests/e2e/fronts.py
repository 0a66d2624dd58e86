"""Sites as in production: by https, a name for each app, and in front what the manual says.

The certificates come from an authority of the test's own, which a browser trusts by a store of its
own: ``trusting(site)``. Names lead to this machine by an option of the browser's.
"""

import json
import os
import re
import shutil
import ssl
import subprocess

import httpx
import pytest
import trustme
from fake_haproxy import ABSENT, PROGRAM
from running_site import ROOT, Site, free_port, until

from gateway.protocol.origins import app_address
from tests.bench import gateway_peers


class Authority:
    """Makes certificates, and a folder that Chromium takes as a home where they are trusted."""

    def __init__(self, place):
        self.place = place
        place.mkdir(mode=0o755)
        self._own = trustme.CA(organization_name="AEN’s tests")
        self.certificate = place / "ca.pem"
        self._own.cert_pem.write_to_path(self.certificate)

    def issue(self, name, *more):
        """Write ``name.pem``, which holds the key as well, and ``name.key``."""
        made = self._own.issue_cert(name, *more)
        made.private_key_and_cert_chain_pem.write_to_path(self.place / f"{name}.pem")
        made.private_key_pem.write_to_path(self.place / f"{name}.key")

    def home(self):
        """Return a home in whose store (NSS) the authority stands."""
        home = self.place / "home"
        store = home / ".pki/nssdb"
        if not store.exists():
            store.mkdir(parents=True)
            named = ["certutil", "-d", f"sql:{store}"]
            trusted = ["-A", "-t", "C,,", "-n", "tests", "-i", self.certificate]
            for command in ([*named, "-N", "--empty-password"], [*named, *trusted]):
                subprocess.run(command, check=True, capture_output=True)
        return home


class SecureSite(Site):
    """A site by https, where each app has a name of its own.

    Subclasses have ``protocol``, which browsers then speak, and ``log``, of what carries the bytes.
    """

    def __init__(self):
        if shutil.which("certutil") is None:
            pytest.skip("certutil is not installed (Debian’s package is called libnss3-tools)")
        super().__init__()
        self.front = free_port()
        self.hosts = f"aen-{self.suffix}.test", f"apps-{self.suffix}.test"
        self.url, self.gateway = (f"https://{host}:{self.front}" for host in self.hosts)
        self.public = {
            "AEN_PUBLIC_URL": self.url,
            "AEN_GATEWAY_PUBLIC_URL": f"https://*.{self.hosts[1]}:{self.front}",
        }
        self.authority = Authority(self.home / "tls")
        for host in self.hosts:
            self.authority.issue(host, f"*.{host}")
        self.proxy = None

    def __enter__(self):
        super().__enter__()
        try:
            self.put_in_front()
            until(self.is_open, "what is in front to lead to the server")
        except BaseException:
            self.__exit__()
            raise
        return self

    def put_in_front(self):
        raise NotImplementedError

    def rendered(self, what):
        """Return what ``deploy.render`` makes, its certificates and addresses being the test's."""
        text = subprocess.run(
            [self.home / "venv/bin/python", "-I", "-m", "deploy.render", what],
            env=self.environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return text.replace("/etc/ssl/aen/", f"{self.authority.place}/")

    def is_open(self):
        assert self.proxy.poll() is None, "what is in front has ended"
        return self.get(f"{self.url}/api/v1/health").is_success

    def get(self, address, **headers):
        """Ask as a program does that finds the name in DNS and trusts the authority."""
        trust = ssl.create_default_context(cafile=self.authority.certificate)
        url = httpx.URL(address)
        with httpx.Client(verify=trust, trust_env=False, timeout=30) as client:
            return client.get(
                url.copy_with(host="127.0.0.1"),
                headers={"Host": url.netloc.decode(), **headers},
                extensions={"sni_hostname": url.host},
            )

    def address(self, name, project, app):
        """Return where a person of the cast finds an app of a project of theirs."""
        path = f"/{self.person(name)}/{project}/{app}/"
        return app_address(self.public["AEN_GATEWAY_PUBLIC_URL"], path)

    def carried(self, path):
        """Return the lines that what carries the bytes has logged about what is below ``path``."""
        return [line for line in self.log.read_text().splitlines() if path in line]

    def options(self):
        """Return how Chromium is launched so that it finds this site and trusts its authority."""
        return {
            "args": [f"--host-resolver-rules=MAP *-{self.suffix}.test 127.0.0.1"],
            "env": os.environ | {"HOME": str(self.authority.home())},
        }

    def __exit__(self, *failure):
        if self.proxy is not None:
            self.proxy.terminate()
            self.proxy.wait(20)
        super().__exit__(*failure)


class BehindHaproxy(SecureSite):
    """HAProxy carries what the gateway has granted."""

    protocol = "h2"

    def __init__(self):
        if ABSENT:
            pytest.skip(ABSENT)
        super().__init__()
        self.log = self.home / "haproxy.log"

    def put_in_front(self):
        place = self.home / "gateway"
        text = self.rendered("haproxy").replace(
            f"bind :{self.front}", f"bind 127.0.0.1:{self.front}"
        )
        config = self.home / "haproxy.cfg"
        config.write_text(text)
        agent = re.search(r"server agent unix@(\S+)", text)[1]
        file = place / "gateway.json"
        wanted = {"runtime": str(place / "haproxy.sock"), "listen": str(place / "requests.sock"),
                  "agent": f"unix:{agent}"}  # fmt: skip
        file.write_text(json.dumps(json.loads(file.read_text()) | {"haproxy": wanted}))
        with self.log.open("wb") as log:
            self.proxy = subprocess.Popen([PROGRAM, "-db", "-f", config], stdout=log, stderr=log)
        before = self.pid("gateway")
        os.kill(before, 15)
        until(lambda: self.pid("gateway") not in (None, before), "the gateway to start again")
        until(self.is_ready, "HAProxy and gateway to find each other")


class BehindNginx(SecureSite):
    """The gateway carries everything, NGINX in front of it has the certificates."""

    protocol = "http/1.1"

    def __init__(self):
        super().__init__()
        self.log = self.home / "log/gateway.log"

    def put_in_front(self):
        try:
            program = gateway_peers.nginx_program()
        except gateway_peers.Absent as reason:
            pytest.skip(f"NGINX cannot be had here: {reason}")
        text = self.rendered("nginx").replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        text = text.replace(f"listen {self.front} ", f"listen 127.0.0.1:{self.front} ")
        place = self.home / "nginx"
        place.mkdir(mode=0o755)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {place}/{kind};\n" for kind in kinds)
        user = "user root;" if ROOT else ""
        types = "types { text/css css; text/javascript js; image/svg+xml svg; font/woff2 woff2; }"
        config = place / "nginx.conf"
        config.write_text(
            f"{user} daemon off; worker_processes 1; pid {place}/pid; error_log stderr error;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ access_log off; {types}\n{folders}{text}}}\n"
        )
        with (self.home / "nginx.log").open("wb") as log:
            command = [program, "-p", place, "-c", config, "-e", "stderr"]
            self.proxy = subprocess.Popen(command, stdout=log, stderr=log)
