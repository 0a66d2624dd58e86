"""What ``conda-meta`` says of an environment, read without any conda."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .prefix import Baked

META = "conda-meta"


def records(prefix: Path) -> Iterator[dict[str, Any]]:
    """Yield what is written down of each installed package; what cannot be read is left out."""
    for path in sorted((prefix / META).glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and isinstance(record.get("name"), str):
            yield record


def baked_files(prefix: Path) -> dict[str, Baked]:
    """Return the files that name the prefix, and those that installers write into, by path."""
    written = [path for path in (prefix / META).iterdir() if path.is_file()]
    found = {f"{META}/{path.name}": Baked("copy") for path in written}
    for record in records(prefix):
        for entry in record.get("paths_data", {}).get("paths", []):
            path, placeholder = entry.get("_path"), entry.get("prefix_placeholder")
            if placeholder:
                mode = "binary" if entry.get("file_mode") == "binary" else "text"
                found[path] = Baked(mode, len(placeholder.encode()))
            elif entry.get("path_type") == "unix_python_entry_point":
                found[path] = Baked("text")
    return found
