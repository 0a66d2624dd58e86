"""A node's agent as an account of its own: a systemd unit, and a rule for sudo.

Either way whoever can change the agent's program or its configuration can do as any person, so
both are refused unless they are root's alone.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from compute_agent import config as node_options
from compute_agent.config import Config, ConfigError
from compute_agent.host import guarded
from compute_agent.host.errors import HostError
from compute_agent.host.privileges import NEEDED
from deploy.say import Problem
from deploy.supervisor import template

ACCOUNT = "aen-node"
CONFIG = Path("/etc/wakari/compute-launcher-config.json")
_ACCOUNT_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
#: What sudo takes for its own in the arguments of a command.
_SPECIAL = re.compile(r"([,:=\\])")
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


@dataclass(frozen=True)
class NodeService:
    """The account that the agent runs as, the interpreter that has it, and its configuration."""

    account: str
    python: Path
    config: Path

    def unit(self) -> str:
        """Return a systemd unit. Raises ``Problem`` for what others could change."""
        settings = self._checked()
        return template("aen-node.service").substitute(
            account=self.account,
            python=self.python,
            config=self.config,
            capabilities=" ".join(f"CAP_{name.upper()}" for name in NEEDED),
            run_directory=_run_directory(Path(settings.run_dir)),
        )

    def sudoers(self) -> str:
        """Return a file for ``/etc/sudoers.d``. Raises ``Problem`` for what others could change."""
        self._checked()
        command = self.command()
        rule = [command[0], *(_SPECIAL.sub(r"\\\1", part) for part in command[1:])]
        return template("sudoers").substitute(
            account=self.account,
            file=self.account,
            # Two nodes on a host each have their own: sudo drops a name that it read before.
            alias="AEN_" + re.sub(r"[^A-Z0-9]", "_", self.account.upper()),
            command=shlex.join(["sudo", "-n", *command]),
            rule=" ".join(rule),
        )

    def command(self) -> list[str]:
        """Return the command that starts the agent as the account, when root runs it."""
        sets = "-all," + ",".join(f"+{name}" for name in NEEDED)
        return [
            shutil.which("setpriv", path="/usr/bin:/bin") or "/usr/bin/setpriv",
            *(f"--reuid={self.account}", f"--regid={self.account}", "--init-groups"),
            *(f"--inh-caps={sets}", f"--ambient-caps={sets}", f"--bounding-set={sets}"),
            *("--no-new-privs", "--", str(self.python), "-I", "-B", "-m", "compute_agent"),
            *("-c", str(self.config)),
        ]

    def _checked(self) -> Config:
        """Return the node's options, once nobody but root can change what the agent does."""
        if not _ACCOUNT_NAME.fullmatch(self.account):
            raise Problem(f"{self.account} is no name of an account.")
        for path in (self.python, self.config):
            if not path.is_absolute() or not _PLAIN.fullmatch(str(path)):
                raise Problem(f"A rule for sudo cannot carry the path {path}.")
        try:
            settings = node_options.load(self.config)
        except ConfigError as error:
            raise Problem("The node's configuration cannot be used.", str(error)) from None
        program = self.python.parent.parent
        described = (settings.apps_dir, settings.skeleton, settings.default_lock)
        for path in (
            self.config,
            program,
            self.python,
            *(Path(part) for part in described if part),
        ):
            try:
                guarded.require(path)
            except HostError as error:
                raise Problem(error.cause, "", error.mend) from None
        return settings


def _run_directory(run_dir: Path) -> str:
    """Return the lines that have systemd make the run directory, where it is one below /run."""
    if not run_dir.is_relative_to("/run") or run_dir == Path("/run"):
        return ""
    name = run_dir.relative_to("/run")
    return f"RuntimeDirectory={name}\nRuntimeDirectoryMode=0711\nRuntimeDirectoryPreserve=yes\n"
