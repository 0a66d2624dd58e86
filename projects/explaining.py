"""What a node found on somebody's rights, told in sentences: for the page and for ``aen_check``."""

from dataclasses import dataclass

from django.utils import timezone

from accounts.authz import ACCESS
from accounts.models import User
from compute_agent.protocol import Look

from .models import PathOverride
from .paths import is_in, shown
from .plain import plain
from .questions import Finding
from .rights import in_words, series, verbs


@dataclass(frozen=True)
class Reason:
    """One thing that counts. ``verdict``: gives, decides, or stops."""

    text: str
    verdict: str


@dataclass(frozen=True)
class Told:
    """``short``: two or three words. ``kind``: how good it is: full, part, none or missing.

    ``off``: the disk gives more or less than role and settings by hand do.
    """

    headline: str
    short: str
    kind: str
    reasons: list[Reason]
    looks: list[Look]
    cause: str
    mend: str
    off: bool


def tell(answer: Finding) -> Told:
    """Return the answer of a node in words."""
    said = answer.said
    return Told(
        headline=_headline(answer),
        short=_short(said.kind, said.access),
        kind=_kind(said.kind, said.access),
        reasons=_reasons(answer),
        looks=list(said.looks),
        cause=plain(said.cause),
        mend=plain(said.mend),
        off=_is_off(answer),
    )


def place(path: str) -> str:
    """Return how a path is called: the empty one is the project's own folder."""
    return shown(path) or "the project’s folder"


def _headline(answer: Finding) -> str:
    who, where, said = answer.user.username, place(answer.path), answer.said
    if said.kind == "missing":
        return (
            f"{where[0].upper()}{where[1:]} is not there."
            if not answer.path
            else f"There is no {where}."
        )
    can, cannot = verbs(said.access, said.kind)
    if not can:
        return f"{who} can do nothing with {where}."
    but = f", but not {series(cannot, 'or')}" if cannot else ""
    return f"{who} can {series(can)} {where}{but}."


def _short(kind: str, rights: str) -> str:
    if kind == "missing":
        return "Not there"
    can, cannot = verbs(rights, kind)
    if not can:
        return "No access"
    if not cannot:
        return "Read and write" if "read" in can and "write" in can else series(can).capitalize()
    return (
        "Read only" if "write" in cannot and "read" in can else f"{series(can)} only".capitalize()
    )


def _kind(kind: str, rights: str) -> str:
    if kind == "missing":
        return "missing"
    can, cannot = verbs(rights, kind)
    return "none" if not can else "part" if cannot else "full"


def meant(answer: Finding) -> str:
    """Return the rights that role and settings by hand give, for a folder or a file one can run."""
    if answer.override:
        return answer.override.access
    if answer.role is None:
        return "r-x" if is_in(answer.path, "public") else "--x"
    return ACCESS.get(answer.role, "rwx")


def _is_off(answer: Finding) -> bool:
    """Compare what is with what is meant; running is the files' own matter, passing the folders'."""
    said = answer.said
    if said.kind not in ("file", "directory"):
        return False
    counts = 3 if said.kind == "directory" and answer.role else 2
    return said.access[:counts] != meant(answer)[:counts]


# --- why -----------------------------------------------------------------------------------------


def _reasons(answer: Finding) -> list[Reason]:
    stops = [reason for look in answer.said.looks for reason in _stop(look, answer)]
    given = [_role(answer)]
    if answer.override:
        given.append(Reason(_by_hand(answer.override, answer.user), "gives"))
    if not stops:
        given[-1] = Reason(given[-1].text, "decides")
    return [*given, *stops]


def _role(answer: Finding) -> Reason:
    who, role = answer.user.username, answer.role
    if role is None:
        return Reason(f"{who} is not in the team, which gives only the folder public.", "gives")
    if role == "owner":
        return Reason(f"{who} owns the project, which gives read and write.", "gives")
    a = "an" if role == "editor" else "a"
    return Reason(f"{who} is {a} {role}, which gives {in_words(ACCESS[role])}.", "gives")


def _by_hand(row: PathOverride, user: User) -> str:
    at = timezone.localtime(row.set_at)
    what = f"{row.set_by_name} set {place(row.path)} to {in_words(row.access)} for {user.username}"
    return f"{what} by hand, {at.day} {at:%b %Y}. Every start keeps this."


def _stop(look: Look, answer: Finding) -> list[Reason]:
    """Return what in one place takes away more than roles and settings by hand do."""
    if look.rights != look.effective:
        cut = f"The mask of {place(look.path)} cuts what {look.entry} gives from {look.rights} to"
        return [Reason(f"{cut} {look.effective}.", "stops")]
    if look.path != answer.path and _is_wall(look) and not _is_meant(look, answer):
        where = shown(look.path) or "The project’s folder"
        return [Reason(f"{where} can’t be entered.", "stops")]
    return []


def _is_wall(look: Look) -> bool:
    return look.effective[2] == "-"


def _is_meant(look: Look, answer: Finding) -> bool:
    """Say whether it was closed by hand, itself or with a folder around it."""
    row = answer.override
    return row is not None and row.access[2] == "-" and is_in(look.path, row.path)
