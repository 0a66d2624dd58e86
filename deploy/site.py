"""Sets a site up and runs it in the foreground: ``AEN_HOME/venv/bin/python -I -m deploy.site``.

``--setup-only`` ends after the set-up. ``--lock=N`` is the lock that ``deploy.bootstrap`` took.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from deploy import environment, lock, options, paths, ports, supervisor
from deploy.run import Stopped, run
from deploy.say import problems_end_it, step
from deploy.setup import Site, set_up


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="deploy.site", description=__doc__)
    parser.add_argument("--setup-only", action="store_true", help="start nothing")
    parser.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    with problems_end_it():
        site = _site(given.lock)
        environment.require_the_database(site.layout, site.options)
        say_mode(site)
        if not given.setup_only:
            require_ports(site)
        set_up(site)
        return 0 if given.setup_only else run(site)


def _site(held: int | None) -> Site:
    uid = os.geteuid()
    checkout = os.environ.get("AEN_CHECKOUT")
    layout = paths.locate(os.environ, uid, Path(checkout) if checkout else None)
    if held is None:
        layout.etc.mkdir(parents=True, exist_ok=True)
        lock.take(layout.lock)
    else:
        lock.receive(held)
    return Site(options.read(os.environ, uid, layout), layout, dict(os.environ))


def require_ports(site: Site) -> None:
    """Raise ``Problem`` when a port that the site is to listen on is taken."""
    wanted = {
        "AEN_SERVER_PORT": site.options.server_port,
        "AEN_GATEWAY_PORT": site.options.gateway_port,
    }
    supervisor.wait_for_former(site.layout)
    ports.require(site.options.bind, wanted)


def say_mode(site: Site) -> None:
    """Say who apps will run as: what a person must know before others use the site."""
    if site.options.single:
        who = f"Not root: every app runs as {site.options.account}; "
        step("Mode", who + "files are not kept apart between people.")
    else:
        step("Mode", "Apps run as their users' own UNIX accounts.")
    if site.options.everywhere and "AEN_PUBLIC_URL" not in site.env:
        step(
            "Address",
            "It listens for other machines, but sends browsers to 127.0.0.1:\n"
            "set AEN_PUBLIC_URL and AEN_GATEWAY_PUBLIC_URL to what they are to open.",
        )


def _stop(number: int, frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
