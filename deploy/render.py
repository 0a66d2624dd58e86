"""Prints configuration: ``python -m deploy.render supervisor|nginx|haproxy|systemd|node|sudoers``.

Take it from the installed copy, with the environment that the site is started with:
``AEN_HOME/venv/bin/python -m deploy.render nginx > /etc/nginx/sites-available/aen``
"""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from deploy import haproxy, node_service, options, own_pages, paths, supervisor
from deploy.node_service import NodeService
from deploy.programs import HOSTS
from deploy.say import problems_end_it
from deploy.setup import Site


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="deploy.render", description=__doc__)
    parser.add_argument("what", choices=sorted([*_KINDS, *_NODE_KINDS]))
    parser.add_argument("--role", choices=sorted(HOSTS), default="all")
    parser.add_argument(
        "--account",
        default=node_service.ACCOUNT,
        help=f"node, sudoers: the account that runs the agent ({node_service.ACCOUNT})",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=node_service.CONFIG,
        help=f"node, sudoers: the agent's configuration ({node_service.CONFIG})",
    )
    given = parser.parse_args(arguments)
    with problems_end_it():
        uid = os.geteuid()
        if given.what in _NODE_KINDS:
            node = NodeService(given.account, Path(sys.prefix, "bin/python"), given.config)
            sys.stdout.write(_NODE_KINDS[given.what](node))
            return
        layout = paths.locate(os.environ, uid)
        site = Site(options.read(os.environ, uid, layout), layout, dict(os.environ))
        sys.stdout.write(_KINDS[given.what](site, given.role))


def supervisor_conf(site: Site, role: str) -> str:
    return supervisor.render(role, site.options, site.layout, site.env)


def nginx_conf(site: Site, role: str) -> str:
    """Return a site for NGINX: static files from the disk, the rest to server and gateway."""
    chosen = site.options
    return supervisor.template("nginx.conf").safe_substitute(
        server_name=urlsplit(chosen.public_url).hostname,
        server_public_port=urlsplit(chosen.public_url).port or 443,
        gateway_name=urlsplit(chosen.gateway_own_url).hostname,
        app_names="*." + (urlsplit(chosen.gateway_own_url).hostname or "")
        if "*" in chosen.gateway_public_url
        else "",
        gateway_public_port=urlsplit(chosen.gateway_public_url).port or 443,
        server=chosen.server_url.removeprefix("http://"),
        gateway=chosen.gateway_url.removeprefix("http://"),
        static=site.layout.static,
        server_away=own_pages.for_nginx(own_pages.server_away(), chosen.public_url),
        gateway_away=own_pages.for_nginx(own_pages.gateway_away(), chosen.public_url),
    )


def haproxy_conf(site: Site, role: str) -> str:
    """Return a configuration of HAProxy as the gateway's data plane."""
    layout, chosen = site.layout, site.options
    usual = haproxy.Sockets(
        layout.gateway / "haproxy.sock", layout.gateway / "requests.sock", layout.agent_socket
    )
    account = "" if chosen.single else chosen.account
    told = haproxy.told(layout.gateway_config, usual)
    here = chosen.server_url.removeprefix("http://") if role == "all" else ""
    return haproxy.render(
        chosen.gateway_public_url,
        told.sockets,
        account=account,
        grace=told.grace,
        limits=told.limits,
        server=haproxy.Server(chosen.public_url, here),
    )


def systemd_unit(site: Site, role: str) -> str:
    """Return a unit that runs Supervisor with the processes of a role."""
    layout, alone = site.layout, role == "all"
    config = layout.supervisor_config if alone else layout.etc / f"supervisord-{role}.conf"
    made_by = "each start" if alone else f"deploy.render supervisor --role {role} > {config}"
    prepare = f"ExecStartPre={layout.python} -I -m deploy.site --setup-only" if alone else ""
    return supervisor.template("aen.service").substitute(
        role=role,
        config=config,
        config_note=f"Supervisor's configuration is written by: {made_by}",
        prepare=prepare,
        python=layout.python,
        home=layout.home,
        run=layout.run,
        run_name=layout.run.name,
    )


_KINDS = {
    "supervisor": supervisor_conf,
    "nginx": nginx_conf,
    "haproxy": haproxy_conf,
    "systemd": systemd_unit,
}
_NODE_KINDS = {"node": NodeService.unit, "sudoers": NodeService.sudoers}


if __name__ == "__main__":
    main(sys.argv[1:])
