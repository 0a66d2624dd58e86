"""Accounts that really try: one process for each, which takes requests for as long as a test runs.

A process for each attempt would be most of the time of a property test.
"""

import contextlib
import os
import secrets
from multiprocessing import Pipe


class Acting:
    """A process with an account's uid and groups, whether or not it has a name. Ended by ``end``."""

    def __init__(self, uid, gid, groups=()):
        self.uid, self.gid, self.groups = uid, gid, (gid, *groups)
        self._ours, theirs = Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._ours.close()
            self._become_and_serve(theirs)
        theirs.close()

    def _become_and_serve(self, pipe):
        status = 1
        try:
            os.setgroups(self.groups)
            os.setgid(self.gid)
            os.setuid(self.uid)
            os.umask(0o077)
            while request := pipe.recv():
                pipe.send(_answer(*request))
            status = 0
        except EOFError:
            status = 0
        finally:
            os._exit(status)

    def ask(self, action, *arguments):
        self._ours.send((action, *arguments))
        answer = self._ours.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def accesses(self, paths):
        """Return what ``access(2)`` answers for each path, as three letters."""
        return self.ask(_accesses, [os.fspath(path) for path in paths])

    def tries(self, things):
        """Return what really works for each (path, is it a directory), as three letters.

        Of a file: read, write, run. Of a directory: list, make and remove a file, enter.
        """
        return self.ask(_tries, [(os.fspath(path), folder) for path, folder in things])

    def does(self, function, *arguments):
        """Return what a function of a test's module returns there, or raise what it raises."""
        return self.ask(function, *arguments)

    def end(self):
        with contextlib.suppress(OSError):
            self._ours.send(None)
        os.waitpid(self.pid, 0)
        self._ours.close()


def _answer(action, *arguments):
    try:
        return action(*arguments)
    except Exception as error:
        return error


def _accesses(paths):
    return ["".join(letter if os.access(path, bit) else "-"
                    for letter, bit in (("r", os.R_OK), ("w", os.W_OK), ("x", os.X_OK)))
            for path in paths]  # fmt: skip


def _tries(things):
    return [
        "".join(
            letter if _works(attempt, path) else "-"
            for letter, attempt in zip("rwx", _OF_FOLDERS if folder else _OF_FILES, strict=True)
        )
        for path, folder in things
    ]


def _works(attempt, path):
    try:
        attempt(path)
    except OSError:
        return False
    return True


def _open(flags):
    return lambda path: os.close(os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK))


def _make_and_remove(path):
    new = os.path.join(path, _ours(path))
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(new)


def _ours(path):
    name = f".aen-try-{secrets.token_hex(6)}"
    return os.fsencode(name) if isinstance(path, bytes) else name


def _enter(path):
    os.stat(os.path.join(path, b"." if isinstance(path, bytes) else "."))


def _may_run(path):
    if not os.access(path, os.X_OK):
        raise PermissionError(path)


_OF_FILES = (_open(os.O_RDONLY), _open(os.O_WRONLY), _may_run)
_OF_FOLDERS = (os.listdir, _make_and_remove, _enter)
