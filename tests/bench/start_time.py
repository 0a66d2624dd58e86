"""Seconds from asking for JupyterLab to its first 200: ours, and a bare one started by hand.

Rounds take turns: ``jupyter lab`` as a plain installation has it (same versions, bytecode compiled,
same interpreter, same account), a first
start (new project: directory, permissions, environment and all), and a later start of that project.
Ours is asked for by REST and counts until the app's page answers through the gateway.
Run: ``python tests/bench/start_time.py [rounds]``.
"""

import contextlib
import os
import pwd
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from running_site import ROOT, Site, until

LOOK_EVERY = 0.01


def plain_jupyter(site):
    """Install JupyterLab in the plain way, in the versions that AEN pins; return its command."""
    place = site.home / "plain"
    uv = [site.home / "venv/bin/uv"]
    versions = subprocess.run(
        [*uv, "pip", "freeze", "--python", site.home / "node/environments/jupyter/bin/python"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    wanted = [line for line in versions.splitlines() if line.startswith("jupyter")]
    python = (site.home / "venv/bin/python").resolve()
    subprocess.run([*uv, "venv", "--quiet", "--python", python, place], check=True)
    install = ["pip", "install", "--quiet", "--compile-bytecode", "--python", place / "bin/python"]
    subprocess.run([*uv, *install, *wanted], check=True, env=site.environment)
    return str(place / "bin/jupyter")


def bare(site, jupyter, username):
    """Start JupyterLab by hand and return the seconds until ``/lab`` answers 200."""
    account = pwd.getpwnam(site.account_of(username))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chown(folder, account.pw_uid, account.pw_gid)
        address = f"{folder}/jupyter.sock"
        command = [
            jupyter, "lab", "--no-browser",
            f"--ServerApp.sock={address}", f"--ServerApp.root_dir={folder}",
            "--IdentityProvider.token=", "--LabApp.news_url=", "--LabApp.check_for_updates_class="
            "jupyterlab.NeverCheckForUpdate",
        ]  # fmt: skip
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
            env={"HOME": folder, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            user=account.pw_uid if ROOT else None, group=account.pw_gid if ROOT else None,
            extra_groups=[] if ROOT else None,
        )  # fmt: skip
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=address)) as client:
                _first_200(lambda: client.get("http://localhost/lab").status_code)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


def ours(site, api, gateway, name):
    """Start JupyterLab of a project and return the seconds until its page answers 200."""
    path = f"projects/{site.person('mira')}/{name}/apps/lab"
    began = time.monotonic()
    api.post(f"{path}/start").raise_for_status()
    app = f"{site.gateway}/{site.person('mira')}/{name}/lab/lab"
    _first_200(lambda: gateway.get(app).status_code)
    took = time.monotonic() - began
    api.post(f"{path}/stop").raise_for_status()
    until(lambda: api.get(path).json()["state"] == "stopped", "the stop")
    return took


def _first_200(ask, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError, socket.error):
            if ask() == 200:
                return
        time.sleep(LOOK_EVERY)
    raise SystemExit(f"no answer within {seconds} s")


def measure(rounds):
    """Return ``{"bare": [...], "first": [...], "later": [...]}``, seconds of each round."""
    found = {"bare": [], "first": [], "later": []}
    with Site() as site, site.rest("mira") as api:
        token = site.token("mira", "apps")
        gateway = httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        api.post("projects", json={"name": "warm"}).raise_for_status()
        ours(site, api, gateway, "warm")  # makes the account; nothing of it is counted
        jupyter = plain_jupyter(site)
        bare(site, jupyter, site.person("mira"))
        for number in range(rounds):
            name = f"round-{number}"
            api.post("projects", json={"name": name}).raise_for_status()
            found["bare"].append(bare(site, jupyter, site.person("mira")))
            found["first"].append(ours(site, api, gateway, name))
            found["later"].append(ours(site, api, gateway, name))
    return found


def table(found):
    """Return the lines of the table: medians, and the median of the ratios round by round."""
    yield "JupyterLab, seconds to the first 200   median    min    max   × bare"
    names = {"bare": "bare jupyter lab", "later": "AEN, later start", "first": "AEN, first start"}
    for key, title in names.items():
        times = found[key]
        ratio = statistics.median(a / b for a, b in zip(times, found["bare"], strict=True))
        yield (
            f"  {title:<35} {statistics.median(times):8.2f} {min(times):6.2f} {max(times):6.2f}"
            f" {ratio:8.2f}"
        )


def main(rounds=7):
    for line in table(measure(rounds)):
        print(line)


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
