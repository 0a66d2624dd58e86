"""Running the programs that install: their lines are passed on, and none outlives a cancel."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .problem import Problem

Progress = Callable[[str], None]
_LAST = 12
_PR_SET_PDEATHSIG = 1
# pip's settings that uv knows under other names, so that one set of them is enough.
_PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}


def uv(progress: Progress, *arguments: str | Path) -> None:
    """Run uv. Raises ``Problem``."""
    program = Path(sys.prefix, "aen-bin/uv")
    environment = dict(os.environ)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"):
        environment.pop(name, None)
    for pip, own in _PIP_SETTINGS.items():
        if pip in environment:
            environment.setdefault(own, environment[pip])
    environment.setdefault("UV_PYTHON_DOWNLOADS", "never")
    lines = _run([program, "--color", "never", *arguments], "", environment, progress)
    if lines is not None:
        raise Problem(_complaint(lines) or "uv was ended.")


def conda(progress: Progress, **order: Any) -> None:
    """Have conda packages installed; see ``build``. Raises ``Problem``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rattler/cache/pkgs"
    command = [sys.executable, "-I", "-m", f"{__package__}.build"]
    text = json.dumps({"cache": str(cache)} | order)
    lines = _run(command, text, os.environ, progress)
    if lines is not None:
        try:
            said = json.loads(lines[-1])
            raise Problem(said["cause"], said["mend"])
        except (ValueError, IndexError, KeyError, TypeError):
            raise Problem(" ".join(lines[-3:])[:600] or "The installation was ended.") from None


_MARKS = re.compile(r"^(error: |cause: |Caused by: |[×╰├│─▶ ]+)")


def _complaint(lines: Sequence[str]) -> str:
    """Return what uv says went wrong, which may go over several lines, without its marks."""
    begins = (number for number, line in enumerate(lines) if line.startswith(("error", "×")))
    first = next(begins, max(0, len(lines) - 3))
    said = [_MARKS.sub("", line) for line in lines[first:]]
    whole = [said[0].rstrip(".:") + ":", *said[1:]] if len(said) > 1 else said
    return " ".join(whole)[:600]


#: What asks for an end that leaves all as it was.
CANCELLING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_cancelling() -> None:
    """Take no more notice of who wants to cancel."""
    for number in CANCELLING:
        signal.signal(number, signal.SIG_IGN)


def _die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _run(
    command: Sequence[str | Path], text: str, environment: Mapping[str, str], progress: Progress
) -> list[str] | None:
    """Return ``None`` when it went well, else its last lines."""
    last: list[str] = []
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env=environment, preexec_fn=_die_with_parent,  # noqa: PLW1509
    )  # fmt: skip
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.close()
        for line in process.stdout:
            last = [*last[-_LAST:], line.strip()]
            if line.strip() and not line.startswith("{"):
                progress(line.rstrip())
        return None if process.wait() == 0 else [line for line in last if line]
    finally:
        process.kill()
        process.wait()
