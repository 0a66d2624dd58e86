"""Which account has which id: written down, so that files never come to belong to somebody else.

A name keeps the uid with which it was first used, and an id that was given once is never given
again. The book lies in the node's state directory and moves with it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from compute_agent.host.errors import HostError

NAME = "accounts.json"


class Entries(Struct, forbid_unknown_fields=True):
    """All ids that are or were given: uids of people, gids of projects' groups, and former ones."""

    accounts: dict[str, int] = {}
    groups: dict[str, int] = {}
    retired: list[int] = []

    @property
    def given(self) -> set[int]:
        return {*self.accounts.values(), *self.groups.values(), *self.retired}

    def check(self, name: str, uid: int) -> None:
        """Raise ``HostError`` where the name had another uid before, or the uid another name."""
        known = self.accounts.get(name)
        if known is not None and known != uid:
            raise HostError(
                f"The account {name} has uid {uid} now and had {known} when AEN used it first.",
                f"If this is meant, an administrator gives {name} its files and then has the node "
                f"forget the old entry: python -m compute_agent -c FILE --forget-account {name}",
            )
        former = next((other for other, its in self.accounts.items() if its == uid), name)
        if former != name:
            raise HostError(
                f"The account {name} has uid {uid}, which was {former}'s: it would get "
                f"{former}'s files.",
                f"An administrator can give {name} another uid, or, if nothing of {former}'s is "
                f"left: python -m compute_agent -c FILE --forget-account {former}",
            )


class Book:
    """The entries on disk, read again whenever somebody changed them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], Entries] | None = None

    @property
    def entries(self) -> Entries:
        """What stands in the book; not to be changed. Raises ``HostError`` if it is unreadable."""
        try:
            info = self._path.stat()
        except FileNotFoundError:
            return Entries()
        mark = (info.st_ino, info.st_mtime_ns, info.st_size)
        if self._read is None or self._read[0] != mark:
            self._read = mark, self._decode()
        return self._read[1]

    def claim(self, name: str, uid: int) -> None:
        """Write down that ``name`` has ``uid``. Raises ``HostError`` where the book says else."""
        self.entries.check(name, uid)
        if name not in self.entries.accounts:
            with self.changing() as entries:
                entries.check(name, uid)
                entries.accounts[name] = uid

    def forget(self, name: str) -> int | None:
        """Drop a name and return the uid that it had; no new account is given that uid."""
        with self.changing() as entries:
            uid = entries.accounts.pop(name, None)
            if uid is not None:
                entries.retired.append(uid)
        return uid

    @contextlib.contextmanager
    def changing(self) -> Iterator[Entries]:
        """Hold the book against other processes; what the block made of it is written at its end."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = os.open(
            self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self._decode() if self._path.exists() else Entries()
            before = msgspec.json.encode(entries)
            yield entries
            after = msgspec.json.encode(entries)
            if after != before:
                self._write(after)
        finally:
            os.close(lock)

    def _decode(self) -> Entries:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Entries)
        except (OSError, msgspec.MsgspecError) as error:
            raise HostError(
                f"The node's list of accounts, {self._path}, cannot be read: {error}.",
                "An administrator can put back a copy of it; without one, accounts are made that "
                "may come to own the files of former ones.",
            ) from None

    def _write(self, content: bytes) -> None:
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.format(content, indent=1) + b"\n")
            file.flush()
            os.fsync(fd)
            if self._path.exists():  # root's hand at a service account's book
                owner = self._path.stat()
                os.fchown(fd, owner.st_uid, owner.st_gid)
        fresh.replace(self._path)
