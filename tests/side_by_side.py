"""How two processes share the tests: a file is one's alone, and all that share a site are.

The longest come first, so that no process is left with one of them when the other is done.
"""

import pytest

#: Folders whose files all use what is made once: here, a whole site that ``make run`` brought up.
_ONE_GROUP = ("tests/e2e",)
_FIRST = ("tests/e2e", "tests/host", "tests/integration/test_make_run.py", "tests/conformance")


def arrange(items):
    """Put the tests in order, and mark each with the group that stays in one process."""
    places = {item: item.path.relative_to(item.config.rootpath).as_posix() for item in items}
    for item, place in places.items():
        folder = next((folder for folder in _ONE_GROUP if place.startswith(folder)), None)
        item.add_marker(pytest.mark.xdist_group(folder or place))
    items.sort(key=lambda item: _rank(places[item]))


def _rank(place):
    return next((rank for rank, first in enumerate(_FIRST) if place.startswith(first)), len(_FIRST))
