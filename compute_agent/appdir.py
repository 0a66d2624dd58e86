"""The directory of one running app: what its user needs in it, and what the runner is told."""

import contextlib
import json
import os
import resource
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compute_agent import jupyter, serving
from compute_agent.config import Config
from compute_agent.confinement import Confinement
from compute_agent.descriptor import Descriptor
from compute_agent.environments import changing
from compute_agent.environments.activation import activated
from compute_agent.environments.listing import ENVIRONMENTS, Kernel
from compute_agent.host import privileges
from compute_agent.host.accounts import Account
from compute_agent.host.directories import opened
from compute_agent.host.removal import remove_tree
from compute_agent.needs import PATH
from compute_agent.protocol import Launch
from compute_agent.record import write_private

#: The user's part, and what lies in it. Names are short because socket paths are.
USER, SOCKET, RUNTIME, DATA, SERVE = "u", "s", "r", "d", "serve.py"
#: How an app that has a port in place of the socket is run.
RELAY = "relay.py"
_LOG_BYTES = 1024 * 1024


def socket_path(directory: Path) -> Path:
    return directory / USER / SOCKET


def make_token(directory: Path) -> str:
    """Make the app's own secret and keep it where only the node reads it."""
    token = secrets.token_hex(24)
    write_private(directory / "token", token.encode())
    return token


def remove_user_part(directory: Path) -> None:
    """Delete the user's part, whatever the user made of it."""
    with contextlib.suppress(OSError), opened(directory) as fd:
        remove_tree(USER, fd)


class Prepared:
    """All that belongs to one launch of an app, and what follows from it."""

    def __init__(
        self,
        *,
        config: Config,
        directory: Path,
        launch: Launch,
        account: Account,
        descriptor: Descriptor,
        home: Path,
        template: Path | None,
        confinement: Confinement,
        conda: bool = False,
        tools: Path | None = None,
    ) -> None:
        self._config = config
        self._directory = directory
        self._launch = launch
        self._account = account
        self._descriptor = descriptor
        self._home = home
        self._template = template
        self._environment = home / ENVIRONMENTS / launch.environment
        self._conda = conda
        self._program = tools / "aen" if tools else Path("aen")
        self._tools = f"{tools}:" if tools else ""
        self._confinement = confinement
        self._port = ""

    def make_user_part(self, kernels: Sequence[Kernel]) -> None:
        """Make the user's part, with a description of each kernel.

        It is filled while only the node can enter, and given away last, innermost first.
        """
        top = self._directory / USER
        top.mkdir(mode=0o700)
        (top / RUNTIME).mkdir(mode=0o700)
        if self._launch.change and self._launch.change.file:
            (top / changing.FILE).write_text(self._launch.change.file)
        if "serve" in self._descriptor.used:
            shutil.copyfile(serving.SERVE, top / SERVE)
        if self._descriptor.has_port:
            shutil.copyfile(serving.RELAY, top / RELAY)
        for kernel in kernels:
            environment = self._home / ENVIRONMENTS / kernel.environment
            place = top / DATA / "kernels" / kernel.name
            place.mkdir(parents=True)
            variables = self._activation(environment, kernel.conda)
            content = jupyter.kernel(kernel, str(environment), variables)
            (place / "kernel.json").write_text(json.dumps(content))
        if privileges.serves_others():
            for path, directories, files in os.walk(top, topdown=False):
                with opened(path) as fd:
                    for name in (*directories, *files):
                        os.chown(name, self._account.uid, self._account.gid,
                                 dir_fd=fd, follow_symlinks=False)  # fmt: skip
            os.chown(top, self._account.uid, self._account.gid)

    def spec(self, token: str) -> dict[str, Any]:
        """Return the runner's instructions. Raises ``OSError``, ``HostError``."""
        account = self._account
        if self._descriptor.has_port:
            port = self._confinement.ports.take(self._directory, account.uid)
            self._port = str(port)
        kept_within = self._confinement.spec(self._directory.name, account, self._descriptor.limits)
        spec: dict[str, Any] = {
            "argv": self._command(),
            "env": self._variables(token),
            "cwd": str(self._home / self._descriptor.directory),
            "umask": 0o007 if account.group is not None else 0o077,
            "grace": self._config.stop_grace,
            "log_bytes": _LOG_BYTES,
            "limits": {"core": [0, 0], "nofile": _open_files()} | kept_within.pop("limits"),
            **kept_within,
        }
        if privileges.serves_others():
            spec |= {"uid": account.uid, "gid": account.gid, "groups": list(account.groups)}
        return spec

    def _command(self) -> list[str]:
        if change := self._launch.change:
            file = self._directory / USER / changing.FILE
            return changing.command(self._program, self._home, change, file)
        command = self._descriptor.command_line(self._values())
        if self._conda and self._descriptor.template is None:
            command = activated(command)
        if not self._descriptor.has_port:
            return command
        python = self._config.python or getattr(sys, "_base_executable", sys.executable)
        relay, socket = self._directory / USER / RELAY, socket_path(self._directory)
        return [python, "-I", "-S", str(relay), str(socket), self._port, *command]

    def _values(self) -> dict[str, str]:
        values = {
            "socket": str(socket_path(self._directory)),
            "port": self._port,
            "urlPrefix": self._launch.url_prefix,
            "urlPath": self._launch.url_prefix.rstrip("/"),
            "serve": str(self._directory / USER / SERVE),
            "projectHome": str(self._home),
            "environment": str(self._environment),
            "environmentName": self._launch.environment,
        }
        if self._descriptor.template is not None:
            values[self._descriptor.template] = str(self._template)
        return values

    def _variables(self, token: str) -> dict[str, str]:
        account, project = self._account, self._launch.project
        inherited = {
            name: os.environ[name] for name in self._config.pass_environment if name in os.environ
        }
        variables = {"LANG": "C.UTF-8"} | inherited
        variables |= self._activation(self._environment, self._conda)
        variables |= {
            "HOME": account.home,
            "USER": account.name,
            "LOGNAME": account.name,
            "SHELL": account.shell,
            "AEN_APP_ID": self._launch.app_id,
            "AEN_PROJECT": f"{project.owner}/{project.name}",
            "AEN_PROJECT_DIR": str(self._home),
            "JUPYTER_PATH": str(self._directory / USER / DATA),
            "JUPYTER_RUNTIME_DIR": str(self._directory / USER / RUNTIME),
        }
        if self._descriptor.token is not None:
            variables[self._descriptor.token.variable] = token
        return variables | self._descriptor.variables(self._values())

    def _activation(self, environment: Path, conda: bool) -> dict[str, str]:
        """Return the variables by which programs find the environment; ``AEN_PATH`` is what goes
        in front of the PATH that a login shell sets."""
        first = f"{environment}/bin:{self._tools}"
        variables = {"AEN_PATH": first.rstrip(":"), "PATH": f"{first}{PATH}"}
        if not conda:
            return variables | {"VIRTUAL_ENV": str(environment)}
        names = ("CONDA_PREFIX", "CONDA_DEFAULT_ENV")
        return variables | dict.fromkeys(names, str(environment))


def _open_files() -> list[int]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return [min(hard, 65536), hard]
