"""Why an app ended, in words that a person can act on."""

import signal

from compute_agent.applog import last_meaningful
from compute_agent.host.errors import HostError
from compute_agent.runners import Exit

#: A program's own mistakes end it by these.
_CRASHES = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)
_SAVED = "Start it again; files that were saved are there."


def at_launch(title: str, ended: Exit | None, output: list[str]) -> HostError:
    """Return why an app ended before it ever answered; ``output`` are its last lines."""
    if ended is not None and ended.error:
        return _not_started(title, ended.error)
    said = last_meaningful(output) or "it said nothing"
    return HostError(
        f"{title} ended at launch: {said} ({_describe(ended)}).",
        "Its log shows what it said. Mend that and start it again.",
    )


def later(title: str, ended: Exit | None, output: list[str], memory_known: bool) -> HostError:
    """Return why an app that ran ended without being asked to.

    ``memory_known`` says that it was not for lack of memory, which only control groups tell.
    """
    if ended is None:
        return HostError(f"{title} was ended from outside AEN.", _SAVED)
    if ended.signal is not None and ended.signal not in _CRASHES:
        return HostError(_from_outside(title, ended.signal, memory_known), _SAVED)
    said = last_meaningful(output)
    how = "crashed" if ended.signal else "ended by itself"
    return HostError(f"{title} {how} ({_describe(ended)}){f': {said}' if said else '.'}", _SAVED)


def by_restart() -> str:
    """Return why an app is over that no restart of the machine could leave running."""
    return "It ended when its node was restarted."


def out_of_memory(title: str, limit: str) -> HostError:
    """Return what to say of an app that the system ended; ``limit`` is empty where it has none."""
    return HostError(
        f"{title} was ended by the system: it used more memory than "
        f"{f'its {limit}' if limit else 'there is'}.",
        "Start it again and hold less at once, or ask an administrator for more.",
    )


def _not_started(title: str, error: str) -> HostError:
    """Explain what the runner wrote down of a failed start: number, name and text."""
    number, name, text = [*error.split("\n"), "", ""][:3]
    if number == "2":  # ENOENT
        return HostError(
            f"{title} could not be started: {name or 'its command'} does not exist.",
            "An administrator can check the app's description and its environment.",
        )
    return HostError(f"{title} could not be started: {text.lower()} ({name}).")


def _from_outside(title: str, number: int, memory_known: bool) -> str:
    """Say that a signal ended it which AEN did not send; who did, the kernel tells nobody."""
    if number == signal.SIGKILL and not memory_known:
        return f"{title} was killed by the system for lack of memory, or from outside AEN."
    verb = "killed" if number == signal.SIGKILL else "ended"
    return f"{title} was {verb} by signal {number} ({_name(number)}) from outside AEN."


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"


def _describe(ended: Exit | None) -> str:
    if ended is None:
        return "killed from outside"
    if ended.signal is not None:
        return f"signal {ended.signal}, {_name(ended.signal)}"
    return f"exit code {ended.code}"
