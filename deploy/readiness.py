"""Waiting until a person could sign in and start an app, or saying why that is not so."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.say import Problem

_PAUSE = 0.1
_BROKEN = ("BACKOFF", "FATAL", "EXITED", "UNKNOWN")


class Logs:
    """The logs in a folder, from where they stood when this was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._began = {path.name: path.stat().st_size for path in folder.glob("*.log")}

    def tail(self, name: str, lines: int = 12) -> str:
        """Return the last lines written since, without control characters."""
        path = self.folder / name
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                began = self._began.get(name, 0)
                file.seek(max(began if began <= size else 0, size - 8192))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        clean = ("".join(c for c in row if c.isprintable()) for row in text.splitlines()[-lines:])
        return "\n".join(clean)


@dataclass(frozen=True)
class Health:
    """A health page: where we reach it, and the public address that it is asked as."""

    part: str
    url: str
    path: str
    public_url: str


def wait(
    pages: list[Health],
    processes: Callable[[], list[dict[str, Any]]],
    alive: Callable[[], bool],
    logs: Logs,
    patience: float = 90.0,
) -> None:
    """Return when every page says ok.

    Raises ``Problem`` when a process ends or cannot start, and when ``patience`` is over.
    """
    deadline = time.monotonic() + patience
    while missing := _not_ready(pages):
        if not alive():
            raise _supervisor_ended(logs)
        for process in processes():
            if process["statename"] in _BROKEN:
                raise _process_ended(process["name"], logs)
        if time.monotonic() > deadline:
            raise Problem(
                f"AEN is not ready after {patience:.0f} seconds.",
                "\n".join(missing),
                f"The logs in {logs.folder} say more.",
            )
        time.sleep(_PAUSE)


def _not_ready(pages: list[Health]) -> list[str]:
    return [sentence for page in pages for sentence in ask(page)]


def ask(page: Health) -> list[str]:
    """Return what keeps this part from being ready, in sentences; empty when it is."""
    try:
        status, body = _get(page)
        answer = json.loads(body)
        if status == 200 and answer["status"] == "ok":
            return []
        messages = [str(message) for message in answer.get("messages", ())]
    except (OSError, http.client.HTTPException) as error:
        return [f"{page.part}: no answer yet ({error})."]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{page.part}: status {status} from {page.url}{page.path}."]
    return [f"{page.part}: {message}" for message in messages] or [f"{page.part}: not ready."]


def _get(page: Health) -> tuple[int, bytes]:
    here, public = urlsplit(page.url), urlsplit(page.public_url)
    connection = http.client.HTTPConnection(here.hostname or "", here.port, timeout=5)
    try:
        headers = {"Host": public.netloc, "X-Forwarded-Proto": public.scheme}
        connection.request("GET", page.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(100_000)
    finally:
        connection.close()


def _process_ended(name: str, logs: Logs) -> Problem:
    return Problem(
        f"The {name} process ended while it was starting.",
        f"The last lines of its log:\n{logs.tail(f'{name}.log')}",
        f"Mend what they name and run make run again. All logs are in {logs.folder}",
    )


def _supervisor_ended(logs: Logs) -> Problem:
    said = logs.tail("supervisord.err") or logs.tail("supervisord.log")
    return Problem("Supervisor ended while it was starting.", said, f"Logs: {logs.folder}")
