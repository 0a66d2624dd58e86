"""The messages of wire 2 as typed structures, and their JSON form."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from .environments import EnvironmentChange, EnvironmentsFound

#: Longest silence on the event stream, in seconds.
HEARTBEAT = 5.0
#: Value of the ``Upgrade`` header that turns a connection into one to an app.
UPGRADE = "aen-stream"
#: The same for an answer that a connected socket is passed with, where both are on one host.
PASSED = "aen-socket"
#: The steps of a launch, in the order in which they are taken.
STEPS = ("account", "directory", "permissions", "environment", "launch", "ready")

# The patterns are the node's own safety limits: it never trusts that the server checked.
AppId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Name = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{1,31}\Z")]
Account = Annotated[str, Meta(pattern=r"\A[a-z_][a-z0-9_-]{0,31}\Z")]
Prefix = Annotated[str, Meta(pattern=r"\A/([a-z][a-z0-9-]{1,31}/){3}\Z")]

#: Rights as ``ls`` shows them, for instance ``r-x``.
Access = Annotated[str, Meta(pattern=r"\A[r-][w-][x-]\Z")]
# Parts between slashes, none of them ``.`` or ``..``.
_PARTS = r"(?!\.{1,2}(/|\Z))[^/\x00]+(/(?!\.{1,2}(/|\Z))[^/\x00]+)*"
#: A file or folder below the project's directory.
Path = Annotated[str, Meta(pattern=rf"\A{_PARTS}\Z", max_length=4096)]
#: The same, or ``""`` for the project's directory itself.
Place = Annotated[str, Meta(pattern=rf"\A({_PARTS})?\Z", max_length=4096)]

AppState = Literal["preparing", "starting", "running", "stopping", "stopped", "failed"]


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A person of the team other than the owner, and what the ACL grants them."""

    account: Account
    access: Literal["r-x", "rwx"]


class Override(Struct, frozen=True, forbid_unknown_fields=True):
    """Rights that a person set for somebody on a file or folder, and on all that is in it."""

    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    path: Path
    account: Account
    access: Access


class ProjectSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A project as the node needs it: its directory is ``<root>/<owner>/<name>``."""

    owner: Name
    name: Name
    owner_account: Account
    members: tuple[Member, ...] = ()
    overrides: tuple[Override, ...] = ()
    #: Grows with each change of the team or the overrides: of two, the node believes the newer.
    revision: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Launch(Struct, frozen=True, tag="launch", forbid_unknown_fields=True, omit_defaults=True):
    """Start ``app`` for ``account`` in ``project``. Idempotent by ``app_id``.

    With ``change`` what runs is not an app but that change of the project's environments: it is
    reported and ended as an app is, and is over once it is done; its exit code then is 0.
    """

    app_id: AppId
    app: Name
    project: ProjectSpec
    account: Account
    url_prefix: Prefix
    environment: Name = "default"
    change: EnvironmentChange | None = None


class Stop(Struct, frozen=True, tag="stop", forbid_unknown_fields=True):
    """End an app and all its processes. An unknown id answers ``stopped`` and stays refused."""

    app_id: AppId


class Forget(Struct, frozen=True, tag="forget", forbid_unknown_fields=True):
    """The server has written down the end of this app; the node may drop its record."""

    app_id: AppId


class SecureProject(Struct, frozen=True, tag="secure", forbid_unknown_fields=True):
    """Apply the project's permissions again, because its team changed."""

    project: ProjectSpec


class RemoveProject(Struct, frozen=True, tag="remove_project", forbid_unknown_fields=True):
    """Delete the project's directory after its apps have ended."""

    project: ProjectSpec


class Explain(Struct, frozen=True, tag="explain", forbid_unknown_fields=True):
    """Say what ``account`` may do with ``path``, ``""`` being the project's directory itself.

    Answered by an ``Explanation`` with the same ``question_id``, changing nothing.
    """

    question_id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    project: ProjectSpec
    account: Account
    path: Place = ""


class FindEnvironments(Struct, frozen=True, tag="find_environments", forbid_unknown_fields=True):
    """Say which environments ``account`` can see in a project, and what is in the one ``name``d.

    Answered by ``EnvironmentsFound`` with the same ``question_id``, changing nothing.
    """

    question_id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    project: ProjectSpec
    account: Account
    name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{0,64}\Z")] = ""
    export: bool = False


Question = Explain | FindEnvironments
Command = Launch | Stop | Forget | SecureProject | RemoveProject | Explain | FindEnvironments


class Step(Struct, frozen=True):
    """One step of a launch: ``seconds`` is ``None`` while it runs, ``at`` is Unix time."""

    step: str
    at: float
    seconds: float | None = None
    fact: str = ""


class AppStatus(Struct, frozen=True, tag="app"):
    """All that the node knows of one app; the newest ``revision`` replaces all before it."""

    app_id: AppId
    revision: int
    state: AppState
    account: str = ""
    #: Why it failed, or is over though nobody asked for that, in words a person can act on.
    cause: str = ""
    #: What would mend it; may be empty.
    mend: str = ""
    progress: tuple[Step, ...] = ()
    #: The last lines of the launch and of the app's own output, oldest first.
    log: tuple[str, ...] = ()
    #: Bytes, and processors in use, for instance 1.5; ``None`` while they are not known.
    memory: int | None = None
    processors: float | None = None
    exit_code: int | None = None
    #: When it was last used, as Unix time; ``None`` while it is not known.
    active_at: float | None = None
    #: Bytes that its whole project took on disk when the node last looked.
    project_disk: int | None = None


class AppOffer(Struct, frozen=True):
    """An app of the node's catalog, as the server shows it. ``landing`` follows the prefix."""

    name: str
    title: str
    icon: str
    landing: str = ""
    #: Its kind in a word or two, for instance "Dashboards"; may be empty.
    category: str = ""


class NodeStatus(Struct, frozen=True, tag="node"):
    """The node itself. In ``single`` mode every app runs as ``account``; in ``root`` as its user."""

    mode: Literal["root", "single"]
    account: str
    hostname: str
    version: str
    apps: tuple[AppOffer, ...]
    memory_total: int = 0
    memory_used: int = 0
    disk_total: int = 0
    disk_used: int = 0
    #: What is wrong with the node, each in one sentence that names the mend.
    problems: tuple[str, ...] = ()


class Snapshot(Struct, frozen=True, tag="snapshot"):
    """The ids of all apps the node knows: one that is missing here is not there."""

    app_ids: tuple[str, ...]


class Look(Struct, frozen=True):
    """One directory on the way, or the end of it: the entry that decides and what it grants."""

    #: Relative to the project's directory, which is ``""``.
    path: str
    #: As ``getfacl`` writes it: ``user::``, ``user:ada:``, ``group:dev:``, ``other::``.
    entry: str
    rights: Access
    #: What the mask cuts ``rights`` to; equal to ``rights`` where nothing is cut.
    effective: Access


class Explanation(Struct, frozen=True, tag="explanation"):
    """What an account can do with a path, and why."""

    question_id: str
    #: ``missing`` also where the account is not on the node yet.
    kind: Literal["file", "directory", "other", "missing"]
    access: Access
    looks: tuple[Look, ...] = ()
    #: Why it is so, in one sentence.
    cause: str = ""
    #: What would mend it if it is not as the team says; empty if it is.
    mend: str = ""


Answer = Explanation | EnvironmentsFound
Report = AppStatus | NodeStatus | Snapshot | Explanation | EnvironmentsFound


class Refusal(Struct, frozen=True):
    """Body of every 4xx and 5xx answer of the agent."""

    code: str
    detail: str


class Inject(Struct, frozen=True):
    """Headers the gateway sets on each request to the app, replacing what the client sent.

    ``strip``: the app is asked for what follows its address's prefix, and redirects as if it lay
    at the root.
    """

    headers: dict[str, str] = {}
    strip: bool = False


class Used(Struct, frozen=True, forbid_unknown_fields=True):
    """Apps that bytes went to or from, over sockets that the gateway was passed."""

    app_ids: Annotated[tuple[AppId, ...], Meta(max_length=10_000)]


_command: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_used: msgspec.json.Decoder[Used] = msgspec.json.Decoder(Used)
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)
_encoder = msgspec.json.Encoder()


def encode(message: Struct) -> bytes:
    """Return the message as one line of JSON, without a newline at its end.

    Names of files need not be UTF-8; what is not becomes a question mark. One odd name must not keep
    a node from reporting.
    """
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        return _encoder.encode(_legible(msgspec.to_builtins(message)))


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_legible(name): _legible(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [_legible(content) for content in value]
    return value


def decode_command(data: bytes) -> Command:
    """Return the command in ``data``.

    Raises ``msgspec.ValidationError`` naming the field, for anything that is not one.
    """
    return _command.decode(data)


def decode_report(data: bytes) -> Report:
    """Return the report in ``data``; raises ``msgspec.ValidationError`` naming the field."""
    return _report.decode(data)


def decode_used(data: bytes) -> Used:
    """Return what ``data`` says; raises ``msgspec.MsgspecError`` for anything else."""
    return _used.decode(data)
