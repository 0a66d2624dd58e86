"""Why an account may, or may not, do something with a path of a project.

Goes down to the path without following links or opening files, so that a FIFO, a device or a
folder of any size keeps nobody waiting, and holds what is there against what the team's rules say.
It answers about any path: who may ask is the server's to decide.
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from compute_agent.host import access, mounts, reasons
from compute_agent.host.access import Grant, Kind, Step, Who, in_letters
from compute_agent.host.expected import Asked
from compute_agent.host.permissions.marks import Marker
from compute_agent.host.reasons import Reason
from compute_agent.protocol import Explain, Explanation, Look

_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
#: Looks of the longest paths are left out in the middle: an answer has to stay small.
_MOST_LOOKS = 40
#: A file system that a user answers for can keep a question waiting for ever.
_SLOW = ("fuse", "nfs", "cifs", "smb", "9p", "ceph", "autofs")


class _Way(NamedTuple):
    """The steps that could be taken, and why the next could not: ``None`` at the path's end."""

    steps: list[Step]
    end: Reason | None = None
    kind: Kind = "missing"
    #: The node itself may not enter the last of the steps.
    blocked: bool = False


def explain(directory: int, asked: Asked) -> Explanation:
    """Answer the question for the open project ``directory``. Raises ``OSError``."""
    account, path = asked.account, asked.question.path
    who = Who(account.uid, frozenset(account.groups) | {account.gid})
    outside = _closed_above(directory, who)
    way = _go(directory, path, who, Marker(directory, asked.key))
    if way.end is not None:
        return _answer(asked, way.kind, 0, way.steps, way.end)
    last = way.steps[-1]
    if way.blocked:
        reason = reasons.of(asked, last, passing=True)
        return _answer(asked, "other", 0, way.steps, reason)
    if outside is not None:
        return _answer(asked, last.kind, 0, way.steps, reasons.closed_above(outside, account.name))
    closed = next((step for step in way.steps[:-1] if not step.rights & 1), None)
    reason = reasons.of(asked, closed or last, passing=closed is not None)
    return _answer(asked, last.kind, 0 if closed else last.rights, way.steps, reason)


def unanswerable(question: Explain, reason: Reason) -> Explanation:
    """Return the answer for somebody or something that is not on the node."""
    return Explanation(question.question_id, "missing", "---", (), reason.cause, reason.mend)


def _answer(
    asked: Asked, kind: Kind, rights: int, steps: list[Step], reason: Reason
) -> Explanation:
    if len(steps) > _MOST_LOOKS:
        steps = steps[: _MOST_LOOKS // 2] + steps[-_MOST_LOOKS // 2 :]
    looks = tuple(
        Look(
            step.path,
            step.grant.entry,
            in_letters(step.grant.rights),
            in_letters(step.grant.effective),
        )
        for step in steps
    )
    letters = in_letters(rights)
    return Explanation(asked.question.question_id, kind, letters, looks, *reason)


# --- the way down ---


def _go(directory: int, path: str, who: Who, marker: Marker) -> _Way:
    """Look at the project's directory and at each part of ``path``, as far as there is one."""
    steps = [_look("", directory, who)]
    try:
        return _go_on(directory, path, who, steps, marker)
    except PermissionError:
        return _Way(steps, blocked=True)


def _go_on(directory: int, path: str, who: Who, steps: list[Step], marker: Marker) -> _Way:
    own_mount = mounts.mount_id(directory)
    for parent, fd, here in _handles(directory, path):
        if fd is None:
            before = steps[-1]
            return _Way(steps, reasons.missing(here, parent, before.kind == "directory"))
        mount = mounts.mount_id(fd)
        if mount != own_mount and mounts.file_system(mount).startswith(_SLOW):
            return _Way(steps, reasons.other_mount(here), "other")
        step = _marked(_look(here, fd, who), steps[-1], fd, marker)
        if stat.S_ISLNK(step.info.st_mode):
            return _Way(steps, reasons.link(here, here == path), "other")
        steps.append(step)
    return _Way(steps)


def _handles(directory: int, path: str) -> Iterator[tuple[str, int | None, str]]:
    """Yield (path of the parent, handle or ``None``, path) for each part, until one is missing."""
    parent, above = os.dup(directory), ""
    try:
        for part in path.split("/") if path else ():
            here = f"{above}/{part}" if above else part
            try:
                fd = os.open(part, _HANDLE, dir_fd=parent)
            except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):
                yield above, None, here
                return
            os.close(parent)
            parent = fd
            yield above, fd, here
            above = here
    finally:
        os.close(parent)


def _look(path: str, fd: int, who: Who) -> Step:
    info = os.fstat(fd)
    if stat.S_ISLNK(info.st_mode):
        return Step(path, info, Grant("", 0, 0), {})
    return Step(path, info, access.granted(fd, info, who), access.withheld(fd, info))


def _marked(step: Step, above: Step, fd: int, marker: Marker) -> Step:
    """Return the step with what it, or a folder above, took along from where it lay before."""
    if stat.S_ISLNK(step.info.st_mode):
        return step
    found = marker.read(f"/proc/self/fd/{fd}", step.info.st_ino)
    own = () if found.foreign else found.ids
    return step._replace(marks=above.marks | {*own}, foreign=above.foreign or found.foreign)


def _closed_above(directory: int, who: Who) -> str | None:
    """Return the first directory above the project's that keeps ``who`` out, with all its path."""
    parts = os.readlink(f"/proc/self/fd/{directory}").split("/")[1:-1]
    fd, path = os.open("/", _HANDLE), ""
    try:
        for part in [None, *parts]:
            if part is not None:
                fd, above = os.open(part, _HANDLE, dir_fd=fd), fd
                os.close(above)
                path += f"/{part}"
            if not access.granted(fd, os.fstat(fd), who).effective & 1:
                return path or "/"
    finally:
        os.close(fd)
    return None
