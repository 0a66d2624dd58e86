"""Rights on files, written as ``ls`` does (``r-x``), in words."""

_USUAL = {"rwx": "read and write", "r-x": "read only", "---": "no access"}


def in_words(rights: str) -> str:
    """Return rights of a file or folder, whichever it is: ``read only``."""
    if rights in _USUAL:
        return _USUAL[rights]
    words = [
        word
        for on, word in zip(rights, ("read", "write", "run or enter"), strict=False)
        if on != "-"
    ]
    return ", ".join(words) + " only"


def verbs(rights: str, kind: str) -> tuple[list[str], list[str]]:
    """Return what one can do and can't do with a thing of that ``kind``, as verbs.

    Running is said of folders, as entering, and of files that one can run.
    """
    names = ["read", "write", "enter" if kind == "directory" else "run"]
    can = [name for on, name in zip(rights, names, strict=True) if on != "-"]
    cannot = [name for name in names if name not in can and name != "run"]
    return can, cannot


def series(words: list[str], last: str = "and") -> str:
    """Return ``read, write and enter``."""
    return f" {last} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
