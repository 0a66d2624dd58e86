"""The process that keeps one app: it starts it, takes its output, and ends all of it.

It is run by file name with ``python -I -S`` and imports nothing of ours, so that it stays small
and is not touched by an upgrade of the agent. Its one argument is the app's directory; what to
run arrives as JSON on standard input, so that nothing of it shows in a process list:

``argv``, ``env``, ``cwd``, ``umask``, ``grace`` (seconds between TERM and KILL), ``log_bytes``
(size at which the log turns), ``limits`` (name to [soft, hard]) and, as root, ``uid``, ``gid``
and ``groups``.

It leaves two files in that directory: ``runner.json`` once it began, ``exit.json`` when no
process is left. It outlives the agent; when it dies itself, the kernel ends the app.
"""

import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_MOST_CAPABILITIES = 64
_libc = ctypes.CDLL(None, use_errno=True)

Spec = dict[str, object]


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def write_atomically(path: str, content: dict[str, object]) -> None:
    with open(path + ".new", "w") as file:
        json.dump(content, file)
    os.rename(path + ".new", path)


class Log:
    """The app's output on disk: two files that turn, so it stays at about twice ``limit``."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        try:
            if self._size and self._size + len(data) > self._limit:
                self._turn()
            self._size += os.write(self._fd, data)
        except OSError:  # a full disk costs the app its log, not its life
            return

    def _turn(self) -> None:
        try:
            os.rename(self._path, self._path + ".1")
        except FileNotFoundError:
            pass  # turned before, when there was no room for a new one
        old = self._fd
        self._open()
        os.close(old)


# --- the app's own process, between fork and exec ------------------------------------------------


def _become_app(spec: Spec, output: int, runner: int) -> None:
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for name, limits in spec["limits"].items():  # type: ignore[attr-defined]
        resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), tuple(limits))
    if "uid" in spec:
        _drop_bounds()
        os.setgroups(spec["groups"])  # type: ignore[arg-type]
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])  # type: ignore[arg-type]
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])  # type: ignore[arg-type]
    _drop_capabilities()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # After the change of user and of capabilities, either of which could clear it.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != runner:
        os._exit(1)
    os.umask(spec["umask"])  # type: ignore[arg-type]
    os.chdir(spec["cwd"])  # type: ignore[arg-type]
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(spec["argv"][0], spec["argv"], spec["env"])  # type: ignore  # noqa: S606


def _drop_bounds() -> None:
    """Bar the app from all capabilities for good, where this process may; nothing hangs on it."""
    for number in range(_MOST_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            return  # without CAP_SETPCAP, or there are no more


def _drop_capabilities() -> None:
    """Give up all capabilities: from one ordinary account to another the kernel keeps them."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("<Ii", 0x20080522, 0)
    if _libc.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def start_app(spec: Spec) -> tuple[int, int, str]:
    """Return the app's process id, the read end of its output, and what kept it from starting."""
    output_read, output_write = os.pipe()
    error_read, error_write = os.pipe()  # closed by exec, so its end of file means success
    runner = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become_app(spec, output_write, runner)
        except BaseException as error:
            name = getattr(error, "filename", None) or ""
            text = getattr(error, "strerror", None) or str(error)
            os.write(error_write, f"{getattr(error, 'errno', 0)}\n{name}\n{text}".encode())
        os._exit(127)
    os.close(output_write)
    os.close(error_write)
    with os.fdopen(error_read, "rb") as errors:
        return pid, output_read, errors.read().decode(errors="replace")


# --- ending it -----------------------------------------------------------------------------------


def descendants(root: int) -> list[int]:
    """Return the ids of all processes below ``root``, as ``/proc`` shows them now."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue
        parent = int(text[text.rindex(b")") + 2 :].split(None, 2)[1])
        children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def kill_all() -> None:
    """Kill every process below this one until the kernel says that none is left.

    Being their subreaper, this process inherits all that tried to leave by a double fork.
    """
    while True:
        for pid in descendants(os.getpid()):
            _signal(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        # Wait for at least one more to end before looking again.
        select.select([], [], [], 0.002)


class Keeper:
    """Waits for the app, for its output, and for the word to end it."""

    def __init__(self, spec: Spec, directory: str) -> None:
        self._pid = 0
        self._output = -1
        self._grace = float(spec["grace"])  # type: ignore[arg-type]
        self._log = Log(directory + "/log", int(spec["log_bytes"]))  # type: ignore[call-overload]
        self._deadline: float | None = None
        self.stopped = False
        self.status: int | None = None
        # From here on a TERM is remembered, also one that comes before there is an app.
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, pid: int, output: int) -> None:
        """Return once the app and all that came of it have ended."""
        self._pid, self._output = pid, output
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(wake_read, select.POLLIN)
        poll.register(self._output, select.POLLIN)
        self._reap()
        if self.stopped:
            self._ask_to_end()
        while self.status is None:
            for fd, _ in poll.poll(self._patience()):
                if fd == self._output:
                    self._take_output(poll)
                else:
                    os.read(wake_read, 512)
            self._reap()
            if self.status is None and self._is_overdue():
                _signal(self._pid, signal.SIGKILL)
        kill_all()
        self._drain()

    def _stop(self) -> None:
        first = not self.stopped
        self.stopped = True
        if first and self._pid:
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        self._deadline = time.monotonic() + self._grace
        _signal(self._pid, signal.SIGTERM)
        _signal(self._pid, signal.SIGCONT)

    def _is_overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _patience(self) -> int | None:
        """Return how many milliseconds to wait for an event; ``None`` is as long as it takes."""
        if self._deadline is None:
            return None
        return max(20, int((self._deadline - time.monotonic()) * 1000) + 1)

    def _reap(self) -> None:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self.status = status
        except ChildProcessError:
            return

    def _take_output(self, poll: select.poll) -> None:
        data = os.read(self._output, 65536)
        if data:
            self._log.write(data)
        else:
            poll.unregister(self._output)

    def _drain(self) -> None:
        while select.select([self._output], [], [], 0)[0]:
            data = os.read(self._output, 65536)
            if not data:
                return
            self._log.write(data)


def main() -> None:
    directory = sys.argv[1]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec: Spec = json.loads(sys.stdin.buffer.read())
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    write_atomically(directory + "/runner.json", {"pid": os.getpid()})
    keeper = Keeper(spec, directory)
    pid, output, error = start_app(spec)
    spec.clear()  # its environment holds the app's token
    keeper.run(pid, output)
    status = keeper.status or 0
    write_atomically(
        directory + "/exit.json",
        {
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "stopped": keeper.stopped,
            "error": error,
            "at": time.time(),
        },
    )


if __name__ == "__main__":
    main()
