"""What wire 2 says of a project's environments: changes of them, and what is in them."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

#: The app's name of a ``Launch`` that changes environments; no app of a catalog has it.
ENVIRONMENTS_APP: Final = "environments"

_NAME = r"(?=.*[A-Za-z0-9])[A-Za-z0-9_-]{1,64}"
EnvironmentName = Annotated[str, Meta(pattern=rf"\A{_NAME}\Z")]
#: A package as its maker writes it, never an option of the maker's program.
Package = Annotated[str, Meta(pattern=r"\A(?![-\s])[^\x00-\x1f\x7f]+\Z", max_length=200)]
Action = Literal["create", "clone", "install", "remove", "delete"]


class EnvironmentChange(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One change: of the environment ``name``, from ``source`` where it is cloned."""

    action: Action
    name: EnvironmentName
    source: Annotated[str, Meta(pattern=rf"\A({_NAME})?\Z")] = ""
    packages: Annotated[tuple[Package, ...], Meta(max_length=100)] = ()
    #: What an export wrote, to make the same again.
    file: Annotated[str, Meta(pattern=r"\A[^\x00]*\Z", max_length=200_000)] = ""
    #: Empty: the node's usual one.
    maker: Literal["", "uv", "conda"] = ""
    python: Annotated[str, Meta(pattern=r"\A([0-9]+(\.[0-9]+){0,2})?\Z", max_length=20)] = ""
    #: Packages of PyPI, also in an environment of conda packages.
    pip: bool = False


class PackageInfo(Struct, frozen=True):
    """An installed package; ``source`` is ``conda`` or ``pip``."""

    name: str
    version: str
    source: str


class EnvironmentInfo(Struct, frozen=True):
    """One environment; versions of languages that are not in it are empty."""

    name: str
    maker: str
    python: str = ""
    r: str = ""
    packages: int = 0
    #: Bytes of all its files, and of those it shares with nothing; ``None``: not counted in time.
    size: int | None = None
    own: int | None = None


class EnvironmentsFound(Struct, frozen=True, tag="environments"):
    """The answer to ``FindEnvironments``. ``cause`` and ``mend`` say why there is none.

    ``missing``: because the one that was asked for is not there.
    """

    question_id: str
    environments: tuple[EnvironmentInfo, ...] = ()
    #: Of the one that was asked for.
    packages: tuple[PackageInfo, ...] = ()
    #: What makes the same again elsewhere, where that was asked for.
    export: str = ""
    #: How this node makes environments, the usual way first.
    makers: tuple[str, ...] = ()
    cause: str = ""
    mend: str = ""
    missing: bool = False
