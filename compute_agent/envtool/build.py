"""``python -I -m aen_env.build``: makes the node's own environment of conda packages.

Told by JSON on standard input: ``channels``, ``file`` (a text, or empty), ``specs``, ``prefix``
(where to make it), ``home`` (what its files are to name), ``cache``, ``python`` (compile bytecode).
Says each thing done in a line; the last line of a failure is JSON with ``cause`` and ``mend``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from . import conda
from .problem import Problem


def main() -> int:
    order = json.load(sys.stdin)
    try:
        conda.run(lambda: _build(order))
        _compile(Path(order["prefix"]))
    except Problem as problem:
        print(json.dumps({"cause": problem.cause, "mend": problem.mend}), flush=True)
        return 1
    return 0


async def _build(order: dict[str, object]) -> None:
    text, specs = str(order["file"]), tuple(map(str, order["specs"]))  # type: ignore[call-overload]
    wanted = conda.read_file(text) if text else conda.Wanted(specs)
    _say("Choosing packages")
    records = await conda.solve(order["channels"], wanted)  # type: ignore[arg-type]
    await conda.install(
        records,
        Path(str(order["prefix"])),
        home=Path(str(order["home"])),
        cache=Path(str(order["cache"])),
        specs=wanted.specs,
        progress=_say,
    )


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
