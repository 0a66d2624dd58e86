"""``aen env``: list, create, change, export, copy and delete the environments of a project."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import kinds, packages, work
from .changes import Changes, Wish
from .prefix import TooLong
from .problem import Problem
from .project import Project, find

_PEOPLE = "people.json"


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    for number in work.CANCELLING:
        signal.signal(number, _cancel)
    try:
        asked.do(asked, find(asked.project))
    except Problem as problem:
        _say(f"aen: {problem.cause} {problem.mend}".strip())
        return 1
    except TooLong as error:
        _say(f"aen: {error} Choose a shorter name.")
        return 1
    except OSError as error:
        _say(f"aen: {error.strerror or error} ({error.filename})")
        return 1
    except KeyboardInterrupt:
        _say("aen: Cancelled. The environments are as they were.")
        return 130
    return 0


def _cancel(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _changes(project: Project) -> Changes:
    node = _node()
    asked = Path(node["socket"]) if node.get("socket") else None
    return Changes(project, node.get("channels", ()), asked, _say)


def _node() -> dict[str, Any]:
    """Return what the node tells everybody of itself."""
    try:
        content = json.loads((Path(sys.prefix).parents[1] / _PEOPLE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


# --- the commands ---------------------------------------------------------------------------------


def _list(asked: argparse.Namespace, project: Project) -> None:
    if asked.name:
        rows = [package._asdict() for package in packages.installed(project.existing(asked.name))]
        columns: tuple[str, ...] = ("name", "version", "source")
    else:
        rows = [_described(project, name) for name in project.names()]
        columns = ("name", "maker", "python", "r", "packages")
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    widths = {column: max([len(column), *(len(str(row[column])) for row in rows)])
              for column in columns}  # fmt: skip
    for row in [{column: column for column in columns}, *rows]:
        print("  ".join(str(row[column]).ljust(widths[column]) for column in columns).rstrip())


def _described(project: Project, name: str) -> dict[str, Any]:
    path = project.existing(name)
    kind = kinds.of(path)
    assert kind is not None
    return {"name": name, "maker": kind.maker, "python": kind.python, "r": kind.r,
            "packages": len(packages.installed(path)), "path": str(path)}  # fmt: skip


def _create(asked: argparse.Namespace, project: Project) -> None:
    file = Path(asked.file).read_text() if asked.file else ""
    wish = Wish(asked.packages, file, asked.maker, asked.python, not asked.no_kernel)
    _changes(project).create(asked.name, wish)


def _install(asked: argparse.Namespace, project: Project) -> None:
    _changes(project).install(asked.name, asked.packages, pip=asked.pip)


def _remove(asked: argparse.Namespace, project: Project) -> None:
    _changes(project).remove(asked.name, asked.packages, pip=asked.pip)


def _export(asked: argparse.Namespace, project: Project) -> None:
    path = project.existing(asked.name)
    text = packages.exported(path, kinds.maker_of(path) or "")
    if asked.file:
        Path(asked.file).write_text(text)
    else:
        sys.stdout.write(text)


def _clone(asked: argparse.Namespace, project: Project) -> None:
    _changes(project).clone(asked.name, asked.new)


def _delete(asked: argparse.Namespace, project: Project) -> None:
    _changes(project).delete(asked.name)
    if asked.name == "default":
        _say("The next app that starts gets a new default.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aen", description=__doc__)
    env = parser.add_subparsers(required=True, metavar="env").add_parser("env", help=__doc__)
    env.add_argument("--project", metavar="DIRECTORY", help="the project (default: the app's)")
    commands = env.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: object, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(do=do)
        return added

    one = command("list", _list, "list the environments, or the packages of one")
    one.add_argument("name", nargs="?")
    one.add_argument("--json", action="store_true")
    one = command("create", _create, "make an environment, with a kernel")
    one.add_argument("name")
    one.add_argument("packages", nargs="*", metavar="PACKAGE")
    one.add_argument("--file", help="what aen env export wrote, or a file of packages")
    one.add_argument("--maker", choices=("uv", "conda"), default="")
    one.add_argument("--python", default="", metavar="VERSION")
    one.add_argument("--no-kernel", action="store_true", help="leave out what notebooks need")
    for name, do, about in (
        ("install", _install, "install or update packages"),
        ("remove", _remove, "remove packages"),
    ):
        one = command(name, do, about)
        one.add_argument("name")
        one.add_argument("packages", nargs="+", metavar="PACKAGE")
        one.add_argument("--pip", action="store_true", help="from PyPI, also where conda made it")
    one = command("export", _export, "write what is in it, to make the same elsewhere")
    one.add_argument("name")
    one.add_argument("--file")
    one = command("clone", _clone, "copy an environment")
    one.add_argument("name")
    one.add_argument("new")
    one = command("delete", _delete, "delete an environment")
    one.add_argument("name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
