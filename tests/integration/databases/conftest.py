"""Servers of AEN on databases of their own."""

import itertools
from pathlib import Path

import pytest
from own_site import OwnSite

_numbers = itertools.count()


@pytest.fixture
def site_on(tmp_path, request):
    """Make a site on a new, empty database: ``site_on("sqlite")``, ``postgresql`` or ``mongodb``."""
    made = []

    def _site_on(kind):
        number = next(_numbers)
        folder = tmp_path / str(number)
        folder.mkdir()
        if kind in ("postgresql", "mongodb"):
            url = request.getfixturevalue(kind).database(f"site_{number}")
        else:
            url = f"sqlite:///{folder}/db.sqlite3"
        made.append(OwnSite(Path(folder), url))
        return made[-1]

    yield _site_on
    for site in made:
        site.end()
