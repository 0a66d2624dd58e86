"""A change of a project's environments as an app is run: ``aen env``, by the person who asked.

It is started, kept within limits, watched, ended and found again after a restart of the agent as
any app is. It listens nowhere, and is over once the change is done.
"""

from pathlib import Path

from compute_agent.descriptor import Descriptor
from compute_agent.host.errors import HostError
from compute_agent.protocol import ENVIRONMENTS_APP, EnvironmentChange, Launch
from compute_agent.runners import Exit

#: How the rest of the agent sees it. It is no app of the catalog, and its command is made here.
DESCRIPTOR = Descriptor(
    name=ENVIRONMENTS_APP, title="The change", icon="layers", command=("%(socket)s",)
)
#: What an export wrote, in the app's directory.
FILE = "wanted.txt"
_DEFAULT = "default"


def agrees(launch: Launch) -> bool:
    """Say whether a launch is either of an app or of a change, and not of half of each."""
    return (launch.app == ENVIRONMENTS_APP) == (launch.change is not None)


def needed(launch: Launch) -> str | None:
    """Return the environment that has to be there first, and is made where it is missing."""
    change = launch.change
    if change is None:
        return launch.environment
    begins_with = {"install": change.name, "remove": change.name, "clone": change.source}
    return _DEFAULT if begins_with.get(change.action) == _DEFAULT else None


def command(program: Path, home: Path, change: EnvironmentChange, file: Path) -> list[str]:
    """Return the command line. ``file`` is where the text of ``change`` lies, if it has one."""
    begun = [str(program), "env", "--project", str(home), change.action]
    return [*begun, *_options(change, file), "--", *_subjects(change)]


def _options(change: EnvironmentChange, file: Path) -> list[str]:
    options = []
    if change.action == "create":
        options += [f"--maker={change.maker}"] if change.maker else []
        options += [f"--python={change.python}"] if change.python else []
        options += [f"--file={file}"] if change.file else []
    elif change.pip and change.action in ("install", "remove"):
        options.append("--pip")
    return options


def _subjects(change: EnvironmentChange) -> list[str]:
    if change.action == "clone":
        return [change.source, change.name]
    if change.action == "delete":
        return [change.name]
    return [change.name, *change.packages]


def why_it_failed(ended: Exit | None, output: list[str]) -> HostError:
    """Return why a change did not come to its end; the environments are as they were."""
    whole = "The environments are as they were."
    said = next((line for line in reversed(output) if line.startswith("aen: ")), "")
    if ended is not None and ended.code == 1 and said:
        return HostError(said.removeprefix("aen: ")[:400], whole)
    if ended is not None and ended.code is not None:
        last = output[-1] if output else "it said nothing"
        return HostError(f"The change ended with exit code {ended.code}: {last}"[:400], whole)
    return HostError("The change was killed from outside AEN.", whole)
