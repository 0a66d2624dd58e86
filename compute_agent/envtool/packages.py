"""Which packages are in an environment."""

from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from . import conda_meta


class Package(NamedTuple):
    """``source`` is ``conda`` or ``pip``; ``url`` and ``hash`` are those of a conda package."""

    name: str
    version: str
    source: str
    url: str = ""
    hash: str = ""


def installed(prefix: Path) -> list[Package]:
    """Return all packages, by name."""
    found = [_conda(record) for record in conda_meta.records(prefix)]
    places = [str(path) for path in prefix.glob("lib/python*/site-packages")]
    for distribution in distributions(path=places):
        if (distribution.read_text("INSTALLER") or "").strip() != "conda":
            name = distribution.metadata["Name"]
            found.append(Package(name, distribution.version, "pip"))
    return sorted(found, key=lambda package: (package.name.lower(), package.source))


def _conda(record: dict[str, object]) -> Package:
    digest = str(record.get("sha256") or record.get("md5") or "")
    return Package(
        str(record["name"]), str(record.get("version", "")), "conda", str(record.get("url", "")),
        digest,
    )  # fmt: skip


def exported(prefix: Path, maker: str) -> str:
    """Return a text from which ``aen env create --file`` makes the same again."""
    found = installed(prefix)
    pip = [f"{package.name}=={package.version}" for package in found if package.source == "pip"]
    if maker == "uv":
        return "\n".join([*pip, ""])
    urls = [f"{package.url}#{'sha256:' if len(package.hash) == 64 else ''}{package.hash}".rstrip("#")
            for package in found if package.source == "conda"]  # fmt: skip
    return "\n".join(["@EXPLICIT", *urls, *(f"# pip {line}" for line in pip), ""])
