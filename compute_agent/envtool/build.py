"""``python -I -m aen_env.build``: conda packages put into a directory, in a process of its own.

Told by JSON on standard input: ``prefix`` (where), ``home`` (what its files are to name), ``cache``,
``channels``; ``file`` (a text) or ``specs``; ``remove`` (names of packages). What is in ``prefix``
stays, as far as it goes with the rest. With ``compile`` bytecode is made too.
Says each thing done in a line; the last line of a failure is JSON with ``cause`` and ``mend``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from . import conda
from .problem import Problem


class Order(NamedTuple):
    """See above."""

    prefix: str
    home: str
    cache: str
    channels: list[str]
    specs: list[str] = []
    file: str = ""
    remove: list[str] = []
    compile: bool = False


def main() -> int:
    order = Order(**json.load(sys.stdin))
    try:
        conda.run(lambda: _build(order))
        if order.compile:
            _compile(Path(order.prefix))
    except Problem as problem:
        print(json.dumps({"cause": problem.cause, "mend": problem.mend}), flush=True)
        return 1
    return 0


async def _build(order: Order) -> None:
    prefix = Path(order.prefix)
    present = conda.installed(prefix)
    wanted = _wanted(order, conda.requested(present))
    _say("Choosing packages")
    records = await conda.solve(order.channels, wanted, present)
    needed = {record.name.normalized for record in records} & set(order.remove)
    if needed:
        raise Problem(f"Other packages need {', '.join(sorted(needed))}.", "Remove those first.")
    await conda.install(
        records, prefix, home=Path(order.home), cache=Path(order.cache), specs=wanted.specs,
        progress=_say,
    )  # fmt: skip


def _wanted(order: Order, requested: list[str]) -> conda.Wanted:
    if order.file:
        return conda.read_file(order.file)
    new = {conda.name_of(spec) for spec in order.specs} | set(order.remove)
    kept = [spec for spec in requested if conda.name_of(spec) not in new]
    return conda.Wanted((*kept, *order.specs))


def _compile(prefix: Path) -> None:
    """Compile what has no bytecode yet: users cannot write it beside files that they share."""
    python = prefix / "bin/python"
    if python.exists():
        _say("Compiling bytecode")
        subprocess.run(
            [python, "-I", "-m", "compileall", "-q", "-j", "0", prefix / "lib"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # rattler's threads do not survive the interpreter's end.
    os._exit(code)
