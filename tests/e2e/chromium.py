"""Chromium from the system's packages."""

import contextlib
import shutil

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextlib.contextmanager
def started(launch):
    """Have Chromium as ``launch`` starts it, or skip.

    For a module at most, not for the session: Playwright's loop runs in this thread as long as it
    is open, and tests that come later want a loop, or Django's database, for themselves.
    """
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian’s package is called chromium)")
    with sync_playwright() as playwright:
        running = launch(playwright.chromium)
        yield running
        running.close()
