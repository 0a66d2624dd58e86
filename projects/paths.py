"""Paths inside a project, as people type them and as the wires carry them."""

from typing import Final

from accounts.errors import Invalid

#: What Linux takes, in bytes: a whole path, and one name in it.
LONGEST: Final = 4095
LONGEST_NAME: Final = 255


def clean(path: str) -> str:
    """Return a path below the project's folder, which is ``""`` itself.

    A slash at the end and ``./`` at the beginning are dropped. Raises ``Invalid`` for ``path`` with
    the mend.
    """
    while path.startswith("./"):
        path = path[2:]
    path = path.removesuffix("/") if path != "/" else path
    if path in ("", "."):
        return ""
    if path.startswith("/"):
        raise Invalid(
            "path", "Give the path inside the project, without a slash before it: data/raw."
        )
    _check_text(path)
    _check_names(path.split("/"))
    return path


def _check_text(path: str) -> None:
    if "\x00" in path:
        raise Invalid("path", "The path holds a NUL character, which no file name can have.")
    try:
        length = len(path.encode())
    except UnicodeEncodeError as error:
        raise Invalid("path", "The path is not text in UTF-8.") from error
    if length > LONGEST:
        raise Invalid("path", f"The path has {length:,} bytes; {LONGEST:,} fit.")


def _check_names(names: list[str]) -> None:
    for name in names:
        if name == "":
            raise Invalid("path", "The path has two slashes in a row. Leave one out.")
        if name in (".", ".."):
            raise Invalid(
                "path", f"The path has “{name}” in it. Write the way from the project’s folder."
            )
        if (length := len(name.encode())) > LONGEST_NAME:
            raise Invalid(
                "path",
                f"“{name[:40]}…” has {length} bytes; a file name has {LONGEST_NAME} at most.",
            )


def shown(path: str) -> str:
    """Return a path as people may look at it, in a page or a terminal: odd characters as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def is_in(path: str, folder: str) -> bool:
    """Say whether ``path`` is ``folder`` or lies in it."""
    return folder in ("", path) or path.startswith(folder + "/")
