"""Folders that tests share."""

import os
from pathlib import Path

_USUAL = "/var/cache/aen-test" if os.geteuid() == 0 else Path.home() / ".cache/aen-test"

#: What is slow to make or to fetch, kept between runs. ``AEN_TEST_CACHE`` moves it.
KEPT = Path(os.environ.get("AEN_TEST_CACHE") or _USUAL)
