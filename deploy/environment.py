"""The environment of each process: what it needs and nothing else.

Written down in ``etc/environment.json`` too, so that ``manage.py`` acts on the site that runs.
"""

import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from deploy.options import Options
from deploy.paths import Layout
from deploy.say import Problem

ROLES = ("server", "worker", "gateway", "compute")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT")
_FROM_THE_SYSTEM = ("PATH", "LANG", "LANGUAGE", "TZ", *_CERTIFICATES)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_SECRET_ENDINGS = ("_PASSWORD", "_SECRET", "_TOKEN", "_KEY", "_URL")
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base(env: Mapping[str, str], account: str) -> dict[str, str]:
    """Return what any process of ``account`` is given: the system's, and none of our own."""
    kept = {name: env[name] for name in _FROM_THE_SYSTEM if name in env}
    kept |= {name: value for name, value in env.items() if name.startswith("LC_")}
    kept |= {
        name: env[name] for upper in _PROXIES for name in (upper, upper.lower()) if name in env
    }
    if os.geteuid() == 0:
        kept["PATH"] = _ROOT_PATH
    kept.setdefault("PATH", os.defpath)
    return kept | {"HOME": _home_of(account), "USER": account, "LOGNAME": account}


def _home_of(account: str) -> str:
    try:
        return pwd.getpwnam(account).pw_dir
    except KeyError:  # rendering for a machine where it is yet to be made
        return "/"


def of_role(role: str, options: Options, layout: Layout) -> dict[str, str]:
    """Return the variables of ours that a process of ``role`` is given, beside ``base``."""
    common = {
        "AEN_HOME": str(layout.home),
        "AEN_RUN_DIR": str(layout.run),
        "AEN_SUPERVISED": "1",
    }
    if role == "compute":
        return common
    if role == "gateway":
        return common | _of_gateway(options, layout)
    return common | _of_server(options, layout)


def _of_gateway(options: Options, layout: Layout) -> dict[str, str]:
    open_ones = {
        name: value
        for name, value in options.further.items()
        if not name.removesuffix("_FILE").endswith(_SECRET_ENDINGS)
    }
    return open_ones | {
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
        "AEN_BIND": options.bind,
        "AEN_GATEWAY_PORT": str(options.gateway_port),
        "AEN_GATEWAY_CONFIG": str(layout.gateway_config),
    }


def _of_server(options: Options, layout: Layout) -> dict[str, str]:
    given = {"AEN_DATABASE_URL": options.database_url, "AEN_SECRET_KEY": options.secret_key}
    secrets = {name: value for name, value in given.items() if value}
    single = {"AEN_SINGLE_ACCOUNT": options.account} if options.single else {}
    return {
        **options.further,
        "DJANGO_SETTINGS_MODULE": "aen_site.settings",
        "AEN_SECRET_KEY_FILE": str(layout.server_key),
        "AEN_PUBLIC_URL": options.public_url,
        "AEN_SERVER_URL": options.server_url,
        "AEN_GATEWAY_PUBLIC_URL": options.gateway_public_url,
        "AEN_PROJECT_ROOT": str(options.project_root),
        "AEN_SERVICE_MODE": "single" if options.single else "root",
        **secrets,
        **single,
    }


def record(layout: Layout, options: Options) -> None:
    """Write down the server's variables, readable by whoever runs the site alone."""
    path = recorded_at(layout)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        kept = of_role("server", options, layout)
        kept.pop("AEN_SUPERVISED")
        json.dump(kept, file, indent=1)


def recorded_at(layout: Layout) -> Path:
    return layout.etc / "environment.json"


def require_the_database(layout: Layout, options: Options) -> None:
    """Raise ``Problem`` where no database is named, but the site had another than the usual one.

    It would begin anew with the usual one, or go on with what that held before a move.
    """
    usual = f"{layout.server}/db.sqlite3"
    last = _last_database(layout)
    if options.database_url or not last or last.endswith(usual):
        return
    raise Problem(
        "AEN_DATABASE_URL is not set; it named this site’s database the last time.",
        f"Its data are at {_without_password(last)}. Without the variable it would use {usual}.",
        "Set AEN_DATABASE_URL or AEN_DATABASE_URL_FILE as before. To leave that database:\n"
        f"AEN_DATABASE_URL=sqlite:///{usual}",
    )


def _last_database(layout: Layout) -> str | None:
    try:
        return json.loads(recorded_at(layout).read_text()).get("AEN_DATABASE_URL")
    except (OSError, ValueError):
        return None


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
