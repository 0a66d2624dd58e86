"""How two processes share the tests: whole files, the longest first.

So no process is left with one of those when the other is done.
"""

_FIRST = ("tests/e2e", "tests/host", "tests/integration/test_make_run.py", "tests/conformance")


def arrange(items):
    """Put the tests in order, as far as that does not part those of a file."""
    items.sort(key=lambda item: _rank(item.path.relative_to(item.config.rootpath).as_posix()))


def _rank(place):
    return next((rank for rank, first in enumerate(_FIRST) if place.startswith(first)), len(_FIRST))
