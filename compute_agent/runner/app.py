"""The app's own process, from the fork to the program that it becomes."""

import os
import resource
import signal
from typing import Any, NamedTuple

from compute_agent.runner import kernel, namespaces

Spec = dict[str, Any]


class Started(NamedTuple):
    """``pid`` is the app's, or its view's first process; ``output`` the read end of what it says.

    ``status`` is where a view's first process writes how the app ended; ``error`` says what kept
    the app from starting.
    """

    pid: int
    output: int
    status: int | None
    error: str


class _Pipes:
    """The ends that the child has: what it says, what went wrong, how it ended, who lives."""

    def __init__(self) -> None:
        self.output_read, self.output = os.pipe()
        self.error_read, self.error = os.pipe()  # closed by exec, so its end of file means success
        self.status_read, self.status = os.pipe()
        self.life, self.life_write = os.pipe()

    def as_parent(self) -> None:
        for fd in (self.output, self.error, self.status, self.life):
            os.close(fd)

    def as_child(self) -> None:
        for fd in (self.output_read, self.error_read, self.status_read, self.life_write):
            os.close(fd)


def start_app(spec: Spec) -> Started:
    """Fork the app, in a view of its own where ``spec`` has ``rooms``."""
    pipes = _Pipes()
    rooms = spec.get("rooms")
    # A word to end that comes before anybody listens for it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if rooms is not None:
        kernel.unshare(kernel.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        pipes.as_child()
        _guarded(_be_first if rooms is not None else _become_app, spec, pipes)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    pipes.as_parent()
    with os.fdopen(pipes.error_read, "rb") as errors:
        error = errors.read().decode(errors="replace")
    return Started(pid, pipes.output_read, pipes.status_read if rooms is not None else None, error)


def _guarded(become: Any, spec: Spec, pipes: _Pipes) -> None:
    """Do ``become``, which does not return; write down what kept it from that."""
    try:
        become(spec, pipes)
    except BaseException as error:
        name = getattr(error, "filename", None) or ""
        text = getattr(error, "strerror", None) or str(error)
        os.write(pipes.error, f"{getattr(error, 'errno', 0)}\n{name}\n{text}".encode())
    os._exit(127)


def _be_first(spec: Spec, pipes: _Pipes) -> None:
    """Make the view, start the app in it, and stay."""
    namespaces.die_with_runner(pipes.life)
    namespaces.separate(**spec["rooms"])
    app = os.fork()
    if app == 0:
        _guarded(_become_app, spec, pipes)
    spec.clear()
    for fd in (pipes.output, pipes.error):
        os.close(fd)
    namespaces.stay_with(app, pipes.status)


def _become_app(spec: Spec, pipes: _Pipes) -> None:
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (pipes.output, 1), (pipes.output, 2)):
        os.dup2(source, target)
    for path in spec["joins"]:
        with open(path, "w") as file:
            file.write("0")
    for name, limits in spec["limits"].items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), tuple(limits))
    if "uid" in spec:
        kernel.drop_bounds()
        os.setgroups(spec["groups"])
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    # After the change of user and of capabilities, either of which could clear it.
    if "rooms" in spec:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        namespaces.die_with_runner(pipes.life)
    os.umask(spec["umask"])
    os.chdir(spec["cwd"])
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
