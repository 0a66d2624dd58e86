"""What a project's node says of its environments, checked and cut to what a page can show."""

import re
from typing import Any

import msgspec

from compute_agent.protocol import EnvironmentInfo, EnvironmentsFound

from .plain import plain

#: What is kept of one answer, however much a node says.
ENVIRONMENTS, PACKAGES, EXPORT, WORD, WORDS = 100, 5000, 1_000_000, 128, 1000
#: A database's integers end here.
_LARGEST = 2**63 - 1
_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_-]{1,64}")


def is_name(name: str) -> bool:
    """Say whether an environment can have this name."""
    return _NAME.fullmatch(name) is not None


def bounded(said: EnvironmentsFound) -> EnvironmentsFound:
    """Return the answer without what no honest node says."""
    return msgspec.structs.replace(
        said,
        environments=tuple(
            _environment(one) for one in said.environments[:ENVIRONMENTS] if is_name(one.name)
        ),
        packages=tuple(_words(one) for one in said.packages[:PACKAGES]),
        export="\n".join(plain(line) for line in said.export[:EXPORT].split("\n")),
        makers=tuple(maker for maker in said.makers[:2] if maker in ("uv", "conda")),
        cause=plain(said.cause)[:WORDS],
        mend=plain(said.mend)[:WORDS],
    )


def _words(one: Any) -> Any:
    """Return a part of the answer with its texts cut to size."""
    texts = {key: plain(value)[:WORD] for key, value in msgspec.structs.asdict(one).items()
             if isinstance(value, str)}  # fmt: skip
    return msgspec.structs.replace(one, **texts)


def _environment(one: EnvironmentInfo) -> EnvironmentInfo:
    return msgspec.structs.replace(
        _words(one),
        packages=_number(one.packages) or 0,
        size=_number(one.size),
        own=_number(one.own),
    )


def _number(value: int | None) -> int | None:
    return None if value is None else max(0, min(value, _LARGEST))
