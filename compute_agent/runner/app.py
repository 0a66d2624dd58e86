"""The app's own process, from the fork to the program that it becomes."""

import os
import resource
import signal
from typing import Any, NamedTuple

from compute_agent.runner import kernel, namespaces

Spec = dict[str, Any]


class Started(NamedTuple):
    """``output`` is the read end of what the app says; ``error`` what kept it from starting."""

    pid: int
    output: int
    error: str


class _Pipes:
    """The ends that the child has: what it says, what went wrong, who lives."""

    def __init__(self) -> None:
        self.output_read, self.output = os.pipe()
        self.error_read, self.error = os.pipe()  # closed by exec, so its end of file means success
        self.life, self.life_write = os.pipe()

    def as_parent(self) -> None:
        for fd in (self.output, self.error, self.life):
            os.close(fd)

    def as_child(self) -> None:
        for fd in (self.output_read, self.error_read, self.life_write):
            os.close(fd)


def start_app(spec: Spec) -> Started:
    """Fork the app, with files of its own where ``spec`` has ``rooms``."""
    pipes = _Pipes()
    # A word to end that comes before anybody listens for it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        pipes.as_child()
        _guarded(spec, pipes)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    pipes.as_parent()
    with os.fdopen(pipes.error_read, "rb") as errors:
        error = errors.read().decode(errors="replace")
    return Started(pid, pipes.output_read, error)


def _guarded(spec: Spec, pipes: _Pipes) -> None:
    """Become the app, from which nothing returns; write down what kept it from that."""
    try:
        _become_app(spec, pipes)
    except BaseException as error:
        name = getattr(error, "filename", None) or ""
        text = getattr(error, "strerror", None) or str(error)
        os.write(pipes.error, f"{getattr(error, 'errno', 0)}\n{name}\n{text}".encode())
    os._exit(127)


def _become_app(spec: Spec, pipes: _Pipes) -> None:
    if "rooms" in spec:
        namespaces.separate(**spec["rooms"])
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
    namespaces.die_with_runner(pipes.life)
    os.umask(spec["umask"])
    os.chdir(spec["cwd"])
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
