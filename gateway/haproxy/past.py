"""Which of HAProxy's processes a gateway speaks to, written down for the gateway after it.

After a reload only the newest process answers at the runtime socket. A gateway that begins anew
cannot reach those before it, so nobody could end what is open there: they are ended themselves.
"""

import contextlib
import logging
import os
import signal
from pathlib import Path

import msgspec

log = logging.getLogger("gateway.haproxy")

_NAME = "haproxy"


class Past:
    """Keeps, in the file ``path``, ids of processes with the time at which each began."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def processes(self) -> dict[str, int]:
        """Return what was kept last; nothing if there is no such file, or not a whole one."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def keep(self, pids: list[str]) -> None:
        """Write down those that run on this machine; raises ``OSError``."""
        began = {pid: when for pid in pids if (when := _began(pid)) is not None}
        place = self._path.with_name(f"{self._path.name}.new")
        place.write_bytes(msgspec.json.encode(began))
        place.replace(self._path)

    def end(self, pids: list[str]) -> None:
        """End these, with all that is open in them."""
        kept = self.processes()
        for pid in pids:
            if pid in kept:
                _end(pid, kept[pid])


def _began(pid: str) -> int | None:
    """Return when a process of HAProxy's began, in ticks of the kernel; ``None`` if it is none."""
    try:
        name, _, fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")
    except OSError:
        return None
    if name.partition("(")[2] != _NAME:
        return None
    return int(fields.split()[19])


def _end(pid: str, began: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        descriptor = os.pidfd_open(int(pid))
        try:
            if _began(pid) == began:  # the number may be another's by now, but not behind this
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                log.info("HAProxy's older process %s was ended with what was open in it.", pid)
        finally:
            os.close(descriptor)
