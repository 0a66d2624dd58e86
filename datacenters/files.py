"""Writing files that only their owner may read."""

import os
from pathlib import Path


def write_secret(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` with mode 0600, in one step: no reader sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
