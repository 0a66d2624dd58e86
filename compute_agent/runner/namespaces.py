"""The app's own view of the machine: its processes alone, and a ``/tmp`` of its own.

``rooms`` in the runner's instructions has ``tmp``, the directory that becomes ``/tmp`` and
``/var/tmp``, and ``keep``, directories in these two that the app needs all the same. The first
process of such a view is the runner: it collects what the app leaves behind, and when it ends, the
kernel ends everything in the view and waits for that. The runner itself keeps the machine's files,
because what lies in the app's ``/tmp`` can be moved by the app.
"""

import errno
import os
import select
import signal
import sys

from compute_agent.runner import kernel

_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the places that are covered
_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV


def separate(tmp: str, keep: list[str]) -> None:
    """Give this process of a process namespace of its own the rest of the view. Raises ``OSError``."""
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
    # What is mounted outside later on, a network disk for instance, still comes in; nothing leaves.
    kernel.mount("none", "/", "none", kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("proc", "/proc", "proc", _QUIET | kernel.MS_NOEXEC)
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", _QUIET, "mode=1777")  # noqa: S108
    if tmp:
        _cover(tmp, keep)


def _cover(tmp: str, keep: list[str]) -> None:
    """Put ``tmp`` over the places for temporary files, with what is kept of them in it."""
    # Opened first: any of them may lie in what is covered.
    cover = os.open(tmp, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    kept = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in keep]
    # Its user could put a link there that leads root elsewhere: not before places are made in it.
    user = os.fstat(cover)
    os.fchown(cover, 0, 0)
    os.fchmod(cover, 0o700)  # whatever rights to it that user gave before
    if os.listdir(cover):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), tmp)
    for place in _TEMPORARY:
        if os.path.isdir(place) and not os.path.islink(place):
            _bind(cover, place)
    for path, fd in zip(keep, kept, strict=True):
        os.makedirs(path, mode=0o755, exist_ok=True)
        _bind(fd, path)
    os.fchown(cover, user.st_uid, user.st_gid)


def _bind(source: int, target: str) -> None:
    """Show the open directory ``source`` at ``target`` too."""
    kernel.mount(f"/proc/self/fd/{source}", target, "none", kernel.MS_BIND | kernel.MS_REC)


def die_with_runner(life: int) -> None:
    """Have this process killed when the runner ends, whose end of the pipe ``life`` closes then."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(life, 0)
    if poll.poll(0):  # it ended before
        os._exit(1)


def try_out() -> None:
    """End with 0 if this machine lets this process make such a view, else say why not."""
    try:
        kernel.unshare(kernel.CLONE_NEWPID)
        if (child := os.fork()) == 0:
            separate("", [])
            os._exit(0)
        sys.exit(os.waitpid(child, 0)[1] != 0)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        os._exit(1)
