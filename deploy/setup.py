"""Setting a site up, as often as one likes: what is there already is left as it is."""

import json
import os
import pwd
import subprocess
import threading
from dataclasses import dataclass, field

from deploy import (
    directories,
    environment,
    install,
    node_config,
    secret_files,
    service_account,
    supervisor,
)
from deploy.directories import Owner
from deploy.options import Options
from deploy.paths import Layout
from deploy.say import Problem, step


@dataclass(frozen=True)
class Site:
    """One site: what was set, where it lies, and the environment that it was started with."""

    options: Options
    layout: Layout
    env: dict[str, str] = field(repr=False)


def set_up(site: Site) -> None:
    """Make all that the processes need. Raises ``Problem`` naming what is to be mended."""
    options, layout = site.options, site.layout
    person = _account(site)
    owner = Owner(person.pw_uid, person.pw_gid)
    directories.make(layout, owner)
    directories.require_room(layout)
    directories.make_project_root(options)
    if not options.single:
        directories.require_acls(options.project_root)
    for path in (layout.server_key, layout.gateway_key):
        secret_files.ensure(path, owner.uid, owner.gid)
    node_config.write(layout, options)
    supervisor.write(layout, supervisor.render("all", options, layout, site.env))
    with Preparing(site):
        _prepare_server(site, owner)
        # Now that its database works: manage.py must not act on one that never was the site's.
        environment.record(layout, options)


def _account(site: Site) -> pwd.struct_passwd:
    if site.options.single:
        return pwd.getpwnam(site.options.account)
    return service_account.ensure(site.options.account)


def _prepare_server(site: Site, owner: Owner) -> None:
    options, layout = site.options, site.layout
    given = environment.base(site.env, options.account)
    given |= environment.of_role("server", options, layout)
    given["AEN_ADMIN_USER"] = options.admin_user
    if options.admin_password:
        given["AEN_ADMIN_PASSWORD"] = options.admin_password
    given.pop("AEN_SUPERVISED")
    done = subprocess.run(
        [str(layout.python), "-I", "-m", "deploy.prepare_server"],
        input=json.dumps(_server_wishes(site)).encode(),
        cwd="/",
        env=given,
        umask=0o077,
        check=False,
        **as_account(owner),
    )
    if done.returncode != 0:
        raise SystemExit(1)  # it has said why


def _server_wishes(site: Site) -> dict[str, object]:
    options, layout = site.options, site.layout
    installed = install.installed(layout.venv)
    return {
        "gateway_config": str(layout.gateway_config),
        "gateway": {
            "server": options.server_url,
            "server_public": options.public_url,
            "public_url": options.gateway_public_url,
            "trusted_proxies": _trusted_proxies(options),
            "credential_file": str(layout.gateway_credential),
            "secret_key_file": str(layout.gateway_key),
        },
        "installed": f"{installed.lock} {installed.source}" if installed else "",
        "setup": [
            f"--gateway-url={options.gateway_public_url}",
            f"--credential-file={layout.gateway_credential}",
            f"--node-address=unix:{layout.agent_socket}",
        ],
    }


def _trusted_proxies(options: Options) -> list[str]:
    """Return who may say for whom a request is: NGINX of this host, where nothing else is set."""
    default = "127.0.0.0/8 ::1 unix" if options.gateway_public_url.startswith("https:") else ""
    return options.further.get("AEN_TRUSTED_PROXIES", default).replace(",", " ").split()


def as_account(owner: Owner) -> dict[str, object]:
    """Return the arguments by which ``subprocess`` runs something as ``owner``."""
    if owner.uid == os.geteuid():
        return {}
    return {"user": owner.uid, "group": owner.gid, "extra_groups": []}


class Preparing:
    """``with Preparing(site):`` builds the node's environments at the same time as the body."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __enter__(self) -> None:
        site = self._site
        given = install.uv_environment(site.env, None)
        given |= environment.base(
            site.env, "root" if not site.options.single else site.options.account
        )
        self._process = subprocess.Popen(
            node_command(site, "--prepare"),
            cwd="/",
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._process.terminate()
        code = self._process.wait()
        self._reader.join()
        if kind is None and code != 0:
            raise Problem(
                "The environments that apps run in could not be made.",
                "\n".join(self._said[-12:]),
                "Mend what is named above and run it again; it goes on where it ended.",
            )

    def _pass_on(self) -> None:
        for text in self._process.stdout or ():
            self._said.append(text.rstrip())
            step("Node", text.rstrip())


def node_command(site: Site, *arguments: str) -> list[str]:
    layout = site.layout
    return [
        *(str(layout.python), "-I", "-m", "compute_agent", "-c", str(layout.node_config)),
        *arguments,
    ]
