"""Supervisor: its configuration as text, and the running one over its socket."""

import os
import re
import shlex
import signal
import subprocess
import time
import xmlrpc.client
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from deploy.options import Options
from deploy.paths import Layout
from deploy.programs import Program, programs
from deploy.say import Problem, step

#: Supervisor takes the rest of a line for a comment after these.
_BEFORE_COMMENT = re.compile(r"\s[;#]")


def render(host: str, options: Options, layout: Layout, env: dict[str, str]) -> str:
    """Return supervisord.conf for a host of that role."""
    found = programs(host, options, layout, env)
    main = template("supervisord.conf").substitute(
        user="" if options.single else "user = root",
        log=escaped(str(layout.log)),
        run=escaped(str(layout.run)),
        socket=escaped(str(layout.supervisor_socket)),
    )
    return main + "".join(_section(program, options, layout) for program in found)


def _section(program: Program, options: Options, layout: Layout) -> str:
    return template("program.conf").substitute(
        name=program.name,
        command=escaped(shlex.join(program.command)),
        user="" if options.single else f"user = {program.account}",
        directory="/",
        umask=program.umask,
        environment=escaped(assignments(program.environment)),
        log=escaped(str(layout.log)),
    )


def assignments(environment: dict[str, str]) -> str:
    """Return ``A="1",B="2"``, as Supervisor reads it. Raises ``Problem`` for what it cannot."""
    for name, value in environment.items():
        if (
            '"' in value
            or not value.isprintable()
            or value != value.strip("'")
            or _BEFORE_COMMENT.search(value)
        ):
            raise Problem(
                f"{name} cannot be passed on to the site's processes.",
                "It holds a double quote, a line break or a space before ; or #, or begins or ends "
                "with a quote.",
                "In a URL write %22 for a double quote, %27 for a single one and %20 for a space.",
            )
    return ",".join(f'{name}="{value}"' for name, value in sorted(environment.items()))


def escaped(text: str) -> str:
    """Return ``text`` safe from Supervisor's %-expansion."""
    return text.replace("%", "%%")


def template(name: str) -> Template:
    return Template(files("deploy").joinpath("templates", name).read_text())


def write(layout: Layout, text: str) -> None:
    """Write the configuration, for whoever runs the site alone: it may hold a database password."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(layout.supervisor_config, flags, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def start(layout: Layout, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord. It has its own session, so that Ctrl-C reaches us alone."""
    from compute_agent.host.process import die_with_parent

    layout.supervisor_socket.unlink(missing_ok=True)
    return subprocess.Popen(
        [
            *(str(layout.python), "-I", "-m", "deploy.daemon", "-n"),
            *("-c", str(layout.supervisor_config)),
        ],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(layout.log / "supervisord.err").open("wb"),
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours holds a lock here
    )


def wait_for_former(layout: Layout, patience: float = 20.0) -> None:
    """Wait while the Supervisor of a killed ``make run`` is still ending its processes."""
    deadline = time.monotonic() + patience
    if former := _former(layout):
        step("Processes", f"waiting for those of an earlier run to end (Supervisor is {former})")
    while former := _former(layout):
        if time.monotonic() > deadline:
            raise Problem(
                f"Processes of this site still run under Supervisor (process {former}).",
                "They were left by a site that was killed, or another service runs them.",
                f"End them with: kill {former}",
            )
        time.sleep(0.1)


def _former(layout: Layout) -> int | None:
    try:
        pid = int((layout.run / "supervisord.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(layout.supervisor_config) in command else None


def processes(socket: Path) -> list[dict[str, Any]]:
    """Return what supervisord says of each process; empty while it does not answer yet."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{socket}")
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        return list(proxy.supervisor.getAllProcessInfo())  # type: ignore[arg-type]
    except (OSError, xmlrpc.client.Error):
        return []
    finally:
        transport.close()
