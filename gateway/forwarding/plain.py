"""Header fields that are so plain that no two readers could differ on them."""

import re
from functools import lru_cache

from .types import Headers

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
#: What may stand in a line: all but control characters, of which a tab is allowed.
_TEXT = bytes(code for code in range(256) if code == 0x09 or (code >= 0x20 and code != 0x7F))


def plain_fields(block: bytes) -> Headers | None:
    """Return the fields in ``block``, each a line with its CRLF; names in lower case.

    ``None`` for what a lenient reader might take for something else: bare CR or LF, folded
    lines, space before the colon, names that are none, or longer than 64 bytes.
    """
    lines = block.split(b"\r\n")
    if lines.pop() or block.translate(None, _TEXT) != b"\r\n" * len(lines):
        return None
    fields: Headers = []
    for line in lines:
        raw, colon, value = line.partition(b":")
        name = _lower(raw) if len(raw) <= 64 else b""
        if not (name and colon):
            return None
        fields.append((name, value.strip(b" \t")))
    return fields


@lru_cache(4096)  # the same few dozen names come with every message
def _lower(name: bytes) -> bytes:
    """Return the name in lower case, or ``b""`` if it is none."""
    return name.lower() if _NAME.fullmatch(name) else b""
