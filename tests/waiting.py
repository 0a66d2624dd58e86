"""Waiting for what comes to pass in other processes, and addresses for them."""

import contextlib
import socket
import time

import httpx

PATIENCE = 90.0


def until(condition, what, seconds=PATIENCE):
    """Return the first true result of ``condition``; fail naming ``what`` was waited for.

    A server that does not answer yet counts as a condition that is not true.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found := condition():
                return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def free_port():
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
