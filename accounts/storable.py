"""Text as every database takes it."""

from typing import Any


def without_nul(value: Any) -> Any:
    """Return text, or what JSON holds, without NUL characters: PostgreSQL stores none."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value
