"""The process that every runner is forked from, so that a start loads nothing.

It knows nothing of any app: a runner's instructions go to that runner alone. The agent asks over the
socket that is standard input, one message each: ``v`` for a runner that is the first process of a
view, else ``-``, with two descriptors, the app's directory and the pipe with the instructions. The
answer is the runner's process id and its start, with a pidfd; or ``!``, the error's number and text.
It ends with the agent, when the other end of the socket closes; runners go on.
"""

import array
import gc
import os
import signal
import socket
import sys

from compute_agent.runner import keeper, kernel

#: These wait while there is no runner yet that would hear them.
_HELD = {signal.SIGTERM, signal.SIGCHLD}


def main() -> None:
    control = socket.socket(fileno=0)
    view = os.open("/proc/self/ns/pid", os.O_RDONLY)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    gc.collect()
    gc.freeze()  # looking for garbage would unshare the memory
    while True:
        asked, fds = receive(control, 1, 2)
        if not asked:
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        _answer(control, asked == b"v", view, fds)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def receive(sock: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Return a message and its descriptors, none of which a program inherits that is run.

    Python 3.11's ``socket.recv_fds`` leaves out the flags it is given.
    """
    fds = array.array("i")
    space = socket.CMSG_LEN(most * fds.itemsize)
    data, ancillary, _, _ = sock.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def _answer(control: socket.socket, own_view: bool, view: int, fds: list[int]) -> None:
    held = -1
    try:
        pid = _fork(control, own_view, view, fds)
        held = os.pidfd_open(pid)
        socket.send_fds(control, [f"{pid} {keeper.start_of(pid)}".encode()], [held])
    except OSError as error:
        control.send(f"!{error.errno} {error.strerror}".encode())
    finally:
        for fd in (*fds, held):
            if fd >= 0:
                os.close(fd)


def _fork(control: socket.socket, own_view: bool, view: int, fds: list[int]) -> int:
    """Fork a runner and return its id; ``view`` is the view that this process itself is in."""
    if not own_view:
        return os.fork() or _be_runner(control, view, fds)
    kernel.unshare(kernel.CLONE_NEWPID)  # of what is forked from now on
    try:
        return os.fork() or _be_runner(control, view, fds)
    finally:
        kernel.setns(view, kernel.CLONE_NEWPID)


def _be_runner(control: socket.socket, view: int, fds: list[int]) -> int:
    """Keep an app until it is over, and end."""
    code = 1
    try:
        os.setsid()
        directory, instructions = fds
        control.close()
        os.close(view)
        _redirect(directory)
        keeper.keep(directory, instructions)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _redirect(directory: int) -> None:
    """Read and write nothing of the agent's; what a runner has to say lies beside its app."""
    null = os.open("/dev/null", os.O_RDWR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    errors = os.open("runner.err", flags, 0o600, dir_fd=directory)
    for source, target in ((null, 0), (null, 1), (errors, 2)):
        os.dup2(source, target)
    for fd in (null, errors):
        if fd > 2:
            os.close(fd)


def _reap() -> None:
    """Take note of runners that ended; the agent has heard of it."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
