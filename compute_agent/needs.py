"""What an app's description says it needs and the project does not have, in words.

It is looked for once the app has failed: only the app itself knows what it can do without.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from compute_agent.descriptor import Descriptor
from compute_agent.environments.inventory import normal
from compute_agent.environments.listing import ENVIRONMENTS
from compute_agent.host import directories
from compute_agent.host.directories import names
from compute_agent.host.errors import HostError
from compute_agent.protocol import Launch

#: Where programs of the machine lie, for apps too.
PATH = "/usr/local/bin:/usr/bin:/bin"
_DISTRIBUTION = re.compile(r"(?P<name>[^-]+)(-.*)?\.(dist|egg)-info")


def lacking(descriptor: Descriptor, root: Path, launch: Launch) -> HostError | None:
    """Return what the project below ``root`` lacks for the app, ``None`` if it lacks nothing."""
    project = launch.project
    try:
        with directories.project_directory(root, project.owner, project.name) as fd:
            return _lacking(descriptor, fd, launch.environment)
    except OSError:
        return None


def _lacking(descriptor: Descriptor, project: int, environment: str) -> HostError | None:
    needs = descriptor.needs
    missing = _missing_packages(needs.packages, project, environment) if needs.packages else []
    if missing:
        listed = " and ".join(missing)
        return HostError(
            f"{listed} {'is' if len(missing) == 1 else 'are'} not installed in this project's "
            f"environment {environment}.",
            "Install it in a terminal of the project with "
            f"aen env install {environment} {' '.join(missing)}, then start {descriptor.title}.",
        )
    for command in needs.commands:
        if not _has_command(command, project, environment):
            return HostError(
                f"{command} is not installed on this node.",
                f"Ask an administrator to install it; {descriptor.title} cannot run without it.",
            )
    for file in needs.files:
        if not _has_file(file, project, descriptor.directory):
            where = f"the project's folder {descriptor.directory}" if descriptor.directory else ""
            return HostError(
                f"There is no {file} in {where or 'the project'}.",
                f"{descriptor.title} shows what this file describes. Make it and start again.",
            )
    return None


def _missing_packages(wanted: tuple[str, ...], project: int, environment: str) -> list[str]:
    present = set(_installed(project, environment))
    return [name for name in wanted if normal(name) not in present]


def _installed(project: int, environment: str) -> Iterator[str]:
    """Yield the names of the Python packages in the environment."""
    for version in names(project, ENVIRONMENTS, environment, "lib"):
        if version.startswith("python"):
            place = (ENVIRONMENTS, environment, "lib", version, "site-packages")
            for name in names(project, *place):
                if match := _DISTRIBUTION.fullmatch(name):
                    yield normal(match["name"])


def _has_command(name: str, project: int, environment: str) -> bool:
    in_environment = names(project, ENVIRONMENTS, environment, "bin")
    return name in in_environment or shutil.which(name, path=PATH) is not None


def _has_file(name: str, project: int, directory: str) -> bool:
    return name in names(project, *Path(directory).parts)
