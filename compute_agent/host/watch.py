"""Hears of changes to rights below a directory, whoever makes them, as long as it is not us.

The kernel's fanotify tells of a whole file system: which directory, by a handle, and which name in
it. A handle is turned into a path only to find out where to look. By the time that is done
somebody may have moved the directory, so that nothing may be changed by way of such a path: it
is a hint, and what acts on it opens the place anew, without following links.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from compute_agent.host import ours
from compute_agent.host.errors import HostError, mount_of

# linux/fanotify.h
_INIT = 0x1 | 0x2 | 0x400 | 0x800  # CLOEXEC, NONBLOCK, REPORT_DIR_FID, REPORT_NAME
_MARK = 0x1 | 0x100  # ADD, FILESYSTEM
_ATTRIB, _MOVED_TO, _CREATE, _ONDIR = 0x4, 0x80, 0x100, 0x40000000
_OVERFLOW = 0x4000
_VERSION = 3
_WITH_DIRECTORY = frozenset({2, 3})  # DFID_NAME, DFID
_EVENT = struct.Struct("=IBBHQii")  # length, version, -, length of this, mask, descriptor, process
_INFO = struct.Struct("=BxH")  # type, length; then 8 bytes for the file system, then a handle
_HANDLE = struct.Struct("=Ii")  # length, type; then the handle and the name
_AFTER_FSID = _INFO.size + 8
# fcntl.h
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_MAX_HANDLE = 128
_BUFFER = 256 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class Changes(NamedTuple):
    """Entries, as paths below the watched directory, that were made, moved in or given rights.

    ``lost`` says that there were more than the kernel keeps: then anything may have changed.
    """

    paths: frozenset[str]
    lost: bool


class _Raw(NamedTuple):
    directory: bytes
    name: bytes


class Watch:
    """An open watch over the file system that ``directory`` lies on.

    Raises ``HostError`` where this process or the file system cannot do that.
    """

    def __init__(self, directory: Path) -> None:
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._prefix = os.readlink(os.fsencode(f"/proc/self/fd/{self._root}")).rstrip(b"/") + b"/"
        self._fd = -1
        try:
            self._fd = _begin(self._root)
            _path_of(self._root, _handle_of(self._root))
        except OSError as error:
            self.close()
            raise _unwatchable(error, directory) from error

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        for fd in (self._fd, self._root):
            if fd >= 0:
                os.close(fd)
        self._fd = self._root = -1

    def read(self) -> Changes:
        """Return what happened since the last call, this process's own changes left out, and those of
        processes that it has for the purpose."""
        seen: set[_Raw] = set()
        lost = False
        while data := self._read():
            for mask, process, raw in _events(data):
                lost |= bool(mask & _OVERFLOW)
                if raw is not None and not ours.is_ours(process):
                    seen.add(raw)
        return Changes(frozenset(self._paths(seen)), lost)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return b""

    def _paths(self, seen: set[_Raw]) -> Iterator[str]:
        directories: dict[bytes, bytes | None] = {}
        for handle, name in seen:
            if handle not in directories:
                directories[handle] = self._below(handle)
            path = directories[handle]
            if path is not None:
                whole = path if name in (b"", b".") else os.path.join(path, name)
                yield os.fsdecode(whole)

    def _below(self, handle: bytes) -> bytes | None:
        """Return the directory's path below ours; ``None`` if it is elsewhere, or gone."""
        try:
            path = _path_of(self._root, handle)
        except OSError:
            return None
        if path + b"/" == self._prefix:
            return b""
        return path[len(self._prefix) :] if path.startswith(self._prefix) else None


# --- what the kernel says -------------------------------------------------------------------------


def _events(data: bytes) -> Iterator[tuple[int, int, _Raw | None]]:
    """Give the mask, the process and the place of each event in ``data``."""
    at = 0
    while at < len(data):
        length, version, _, head, mask, _, process = _EVENT.unpack_from(data, at)
        if version != _VERSION:
            raise OSError(errno.EPROTO, "fanotify speaks another version")
        yield mask, process, _place(data, at + head, at + length)
        at += length


def _place(data: bytes, at: int, end: int) -> _Raw | None:
    while at < end:
        kind, length = _INFO.unpack_from(data, at)
        if kind in _WITH_DIRECTORY:
            start = at + _AFTER_FSID
            size, _ = _HANDLE.unpack_from(data, start)
            after = start + _HANDLE.size + size
            name = data[after : at + length].partition(b"\0")[0]
            return _Raw(data[start:after], name)
        at += length
    return None


# --- calls that Python does not have --------------------------------------------------------------


def _begin(root: int) -> int:
    """Return a descriptor on which all the file system's changes of rights are told."""
    fd: int = _libc.fanotify_init(ctypes.c_uint(_INIT), ctypes.c_uint(os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "fanotify_init")
    mask = ctypes.c_uint64(_ATTRIB | _MOVED_TO | _CREATE | _ONDIR)
    place = os.fsencode(f"/proc/self/fd/{root}")
    if _libc.fanotify_mark(fd, ctypes.c_uint(_MARK), mask, _AT_FDCWD, place) != 0:
        error = OSError(ctypes.get_errno(), "fanotify_mark")
        os.close(fd)
        raise error
    return fd


def _handle_of(fd: int) -> bytes:
    """Return the kernel's handle of something open, with its head."""
    buffer = ctypes.create_string_buffer(_HANDLE.pack(_MAX_HANDLE, 0), _HANDLE.size + _MAX_HANDLE)
    mount = ctypes.c_int()
    if _libc.name_to_handle_at(fd, b"", buffer, ctypes.byref(mount), _AT_EMPTY_PATH) != 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    size, _ = _HANDLE.unpack_from(buffer.raw)
    return buffer.raw[: _HANDLE.size + size]


def _path_of(root: int, handle: bytes) -> bytes:
    """Return where the directory of ``handle`` is just now. Raises ``OSError`` if it is gone."""
    buffer = ctypes.create_string_buffer(handle, len(handle))
    fd: int = _libc.open_by_handle_at(root, buffer, os.O_PATH | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    try:
        return os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


# --- why it cannot be done ------------------------------------------------------------------------


def _unwatchable(error: OSError, directory: Path) -> HostError:
    mend = "Set the option watch to false to do without; each start sets permissions right anyway."
    if error.errno == errno.EPERM:
        right = "DAC_READ_SEARCH" if error.strerror == "open_by_handle_at" else "SYS_ADMIN"
        return HostError(
            f"The agent lacks CAP_{right}, which watching {directory} needs.",
            f"Give it to the agent, or run the agent as root. {mend}",
        )
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return HostError("This kernel cannot watch a file system; Linux 5.9 and newer can.", mend)
    if error.errno in (errno.EMFILE, errno.ENOSPC):
        return HostError(
            "The kernel watches as much as it is allowed to.",
            f"Raise fs.fanotify.max_user_groups with sysctl. {mend}",
        )
    why = os.strerror(error.errno or 0)
    mount = mount_of(str(directory))
    return HostError(f"The file system at {mount} cannot be watched ({why}).", mend)
