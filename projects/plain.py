"""Text that an app or a node wrote, made safe to look at."""

import re

# Terminal escapes (CSI, OSC and the short ones), then all control characters but tab and newline, and
# the marks that turn the direction of writing.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return ``text`` without terminal escapes and control characters. It is not HTML-escaped."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))
