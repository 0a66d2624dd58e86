"""What people read in the terminal: steps while they happen, and problems with their mend."""

import sys
from types import TracebackType

_WIDTH = 14


class Problem(Exception):
    """Something a person has to mend.

    ``title`` says what happened, ``cause`` why, ``mend`` what to do; the last two may be empty.
    """

    def __init__(self, title: str, cause: str = "", mend: str = "") -> None:
        super().__init__(title)
        self.title, self.cause, self.mend = title, cause, mend

    def __str__(self) -> str:
        return "\n".join(part for part in (self.title, self.cause, self.mend) if part)


def line(text: str = "") -> None:
    print(text, flush=True)


def step(what: str, fact: str) -> None:
    """Print one line of progress: what it is about, and what is so."""
    for number, part in enumerate(fact.splitlines() or [""]):
        line(f"  {what if number == 0 else '':<{_WIDTH}}{part}")


def problem(found: Problem) -> None:
    """Print a problem to standard error: the title on its own line, cause and mend under it."""
    sys.stdout.flush()
    print(f"\nAEN: {found.title}", file=sys.stderr)
    for part in (found.cause, found.mend):
        for text in part.splitlines():
            print(f"  {text}", file=sys.stderr)
    sys.stderr.flush()


class problems_end_it:
    """``with problems_end_it():`` prints a problem and exits with 1, instead of a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Problem):
            problem(error)
            raise SystemExit(1) from None
        if isinstance(error, KeyboardInterrupt):
            line("\nStopped before it was ready. Nothing is left running.")
            raise SystemExit(130) from None
