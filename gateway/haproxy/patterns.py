"""Which requests and answers are too odd for HAProxy's rules, as regular expressions (PCRE).

Made from the rules of ``forwarding`` when the configuration is rendered. They may match too much,
never too little: of requests the gateway judges what matches, of answers ``answers.lua`` does.
HAProxy takes a search that PCRE gives up, for its limits of steps and of stack, for one that found
nothing. So repetitions never go back (``*+``), which needs neither.
"""

import re
from itertools import groupby

from ..forwarding import MAX_HEADER_BYTES, Header, cookies, fields, paths

#: Fields of the connection, and those that are replaced: HAProxy's configuration deals with them.
_SEEN_TO = frozenset((b"connection", b"upgrade", b"te", b"content-length", b"cookie", b"host"))
#: At most one of each in a request; to the latter the configuration sees.
_ONCE = ("cookie", "authorization", "host")
_JUDGED = ("upgrade", "origin", "te")
#: Fields with the values that they have in plain requests: such as name no other fields.
_VALUED = {
    "connection": r"(?:(?i:keep-alive|close|upgrade|te)[ \t]*+(?:,[ \t]*+|(?=\r)))*+",
    "sec-fetch-site": r"(?:same-origin|none)",
}
#: A name as HAProxy has it, in lower case; and what may stand in a line.
_NAME = r"[!#$%&*+.^`|~0-9a-z-]++"
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*+"
_WORD = r"[!#$%&*+.^_`|~0-9a-z-]++"
_VALUE = r"[^\x00-\x1f\x7f;]*+"
_SAFE_ATTRIBUTE = (
    r"secure|httponly|partitioned|samesite=[a-z]*+|max-age=[0-9]++|expires=[^;]*+|path=/"
)
#: A longer ``Set-Cookie`` is not for HAProxy's own replacement, which does go back.
_LONG_COOKIE = 1024


def plain_head() -> str:
    """Match a request's fields, as lines ``name: value``, if the gateway need not look at them."""
    return _head(_ONCE)


def fair_head() -> str:
    """Match what ``plain_head`` does, with ``Origin``, ``Upgrade`` and ``TE`` as well."""
    return _head((*_ONCE, *_JUDGED))


def _head(once: tuple[str, ...]) -> str:
    alone = "".join(rf"|{name}(?({name})(?!)|(?P<{name}>)):{_TEXT}" for name in once)
    names = {name.decode() for name in fields._DROPPED - _SEEN_TO} | {*_ONCE, *_JUDGED, *_VALUED}
    starts = [f"{name}:" for name in names] + [
        prefix.decode() for prefix in fields._SPOOFABLE_PREFIXES
    ]
    other = rf"(?!{_by_first(starts)}){_NAME}:{_TEXT}"
    valued = "".join(rf"|{name}: {value}" for name, value in _VALUED.items())
    return rf"^(?!(?s:.{{{MAX_HEADER_BYTES + 1}}}))(?:(?:{other}{alone}{valued})\r\n)*+\r\n$"


def _by_first(starts: list[str]) -> str:
    """Return alternatives that are told apart by their first letter, which takes less time."""
    grouped = groupby(sorted(starts), key=lambda start: start[0])
    return "|".join(
        f"{letter}(?:{'|'.join(re.escape(start[1:]) for start in group)})"
        for letter, group in grouped
    )


def odd_target() -> str:
    """Match a path with its query unless it is one below an app's address, and plain."""
    bad = paths._BAD_PATH.pattern.decode("ascii").replace(r"\Z", "(?:[?]|$)")
    short = r"^(?:/[^/?]*){0,3}(?:[?]|$)"
    return rf"{short}|{bad}|[?&]{paths._QUERY_TOKEN.decode()}"


def odd_answer_names() -> str:
    """Match the names of an answer's fields if some of them are not for browsers as they are."""
    names = _alternatives((fields._NOT_TO_CLIENT | fields._BOUND | fields._MAY_BE_SAID) - {
        b"set-cookie", b"transfer-encoding", b"te", b"upgrade"})  # fmt: skip
    return rf"(?:^|,)(?:{names})(?:,|$)"


def dropped() -> str:
    """Return the names of an answer's fields that are for nobody, separated by colons."""
    names = fields._NOT_TO_CLIENT - _SEEN_TO - {b"transfer-encoding"}
    return ":".join(sorted(name.decode() for name in names))


def our_cookies() -> str:
    """Return how the names of cookies begin that no app sets, separated by colons."""
    return ":".join(prefix.decode() for prefix in cookies._OUR_COOKIES)


def guards() -> list[tuple[str, str, bool]]:
    """Return the fields that every answer has: name, value, and whether it is there always."""
    always = [(*_text(fields._FRAMES), True)]
    return always + [(*_text(field), False) for field in fields._UNLESS_SAID]


def _text(field: Header) -> tuple[str, str]:
    return field[0].decode(), field[1].decode()


def odd_cookie() -> str:
    """Match the value of an answer's ``Set-Cookie`` unless it only lacks the app's path."""
    ours = "|".join(prefix.decode() for prefix in cookies._OUR_COOKIES)
    plain = rf"{_WORD}={_VALUE}(?:;\s*+(?:{_SAFE_ATTRIBUTE})\s*+)*+"
    return rf"^(?!(?!{ours}){plain}$)|^.{{{_LONG_COOKIE}}}"


def _alternatives(names: frozenset[bytes]) -> str:
    return "|".join(re.escape(name.decode()) for name in sorted(names))
