"""The sentences of an explanation: what made the rights so, and what would mend them."""

import stat
from typing import NamedTuple

from compute_agent.host.access import Step, in_letters, user_name
from compute_agent.host.expected import Asked, Rule

_AGAIN = "Start any app of the project: every start sets the rights again."
_CHANGE = "The owner or a manager can change that under Permissions."
_WITHHELD = {
    "read-only": (
        "{path} lies on a file system that is mounted read-only, so nobody can write it.",
        "An administrator can mount it for writing.",
    ),
    "immutable": (
        "{path} is marked as immutable, so nobody can change it.",
        "An administrator can take the mark away: chattr -i",
    ),
    "noexec": (
        "{path} lies on a file system whose files cannot be run (mounted noexec).",
        "An administrator can mount it without noexec.",
    ),
}
_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_DEEPEST = 300


class Reason(NamedTuple):
    """``cause`` and ``mend`` of an ``Explanation``."""

    cause: str
    mend: str = ""


# --- where there is nothing to look at ---


def no_account(name: str) -> Reason:
    return Reason(
        f"{name} has no account on this node yet.",
        f"{name}'s first start of an app makes it.",
    )


def no_directory() -> Reason:
    return Reason(
        "The project has no directory on this node yet.",
        "The first start of one of its apps makes it.",
    )


def missing(path: str, parent: str, parent_is_directory: bool) -> Reason:
    if not parent_is_directory:
        return Reason(f"{parent} is not a folder, so there is nothing in it.")
    return Reason(f"There is no {path} in the project.")


def link(path: str, is_end: bool) -> Reason:
    mend = "Ask about the place it leads to." if is_end else "Ask about the path behind the link."
    return Reason(
        f"{path} is a symbolic link, which AEN does not follow; it has no rights of its own.", mend
    )


def other_mount(path: str) -> Reason:
    return Reason(f"{path} is a mount point of another file system, which AEN does not look into.")


def closed_above(path: str, name: str) -> Reason:
    return Reason(
        f"The directory {path}, outside the project, does not let {name} pass.",
        f"An administrator can open it: chmod o+x {path}",
    )


# --- what an entry says, held against the team's rules ---


def of(asked: Asked, step: Step, passing: bool) -> Reason:
    """Return why ``step`` grants what it does; with ``passing`` only going through it counts."""
    name, path = asked.account.name, _named(step.path)
    if step.kind == "other":
        what = _SPECIAL.get(stat.S_IFMT(step.info.st_mode), "something else")
        return Reason(f"{path} is {what}, neither file nor folder: AEN leaves its rights alone.")
    rule = asked.rule(step)
    counts = 1 if passing else 7
    lacks = rule.rights & ~step.grant.effective & counts
    extra = step.grant.effective & ~rule.rights & counts
    for what, bits in step.withheld.items():
        if rule.rights & bits & counts:
            cause, mend = _WITHHELD[what]
            return Reason(_sentence(cause.format(path=path)), mend)
    if not lacks and not extra:
        return _as_ruled(asked, step, name)
    cause, mend = _lacking(asked, step, lacks) if lacks else _exceeding(asked, step)
    return Reason(_sentence(cause), mend)


def _as_ruled(asked: Asked, step: Step, name: str) -> Reason:
    rule = asked.rule(step)
    if rule.source == "person":
        return Reason(f"This node runs every app as {name}.")
    if rule.source == "owner":
        return Reason(f"{name} owns the project.")
    if rule.source in ("override", "moved"):
        return _by_hand(asked, step, rule)
    if rule.source == "member":
        what = "read and write" if rule.rights & 2 else "read, and not write"
        return Reason(f"{name} is in the team and may {what}.")
    if rule.rights & 4:
        return Reason("Everyone may read what lies in public.")
    return Reason(
        f"{name} is not in the project's team.",
        f"The owner or a manager can add {name} to the team.",
    )


def _by_hand(asked: Asked, step: Step, rule: Rule) -> Reason:
    name = asked.account.name
    cause = f"The rights of {name} on {rule.place} were set to {rule.stated} by hand"
    if rule.source == "moved":
        cause += f", and a restriction goes where it is moved: {step.path} lay there once, or in it"
    takes = asked.role(step).rights & ~rule.rights
    return Reason(f"{cause}.", _CHANGE if takes else "")


def _lacking(asked: Asked, step: Step, lacks: int) -> tuple[str, str]:
    name, path, grant = asked.account.name, _named(step.path), step.grant
    left_alone = _left_alone(asked, step)
    if left_alone:
        return left_alone
    if grant.entry == "user::":
        cause = (
            f"{name} owns {path}, whose own rights are only {in_letters(grant.rights)}; "
            "a program changed them (chmod)."
        )
        return cause, _AGAIN
    if lacks & grant.rights and grant.mask is not None:
        cause = (
            f"The mask {in_letters(grant.mask)} of {path} cuts {name}'s {in_letters(grant.rights)} "
            f"down to {in_letters(grant.effective)}; a program changed the {step.kind}'s group "
            "rights (chmod)."
        )
        return cause, _AGAIN
    if not grant.entry.startswith("user:"):
        cause = (
            f"The access list of {path} has no entry for {name}; it came to its place, or was "
            "changed, after the rights were last set."
        )
        return cause, _AGAIN
    return (
        f"The entry {grant.entry} of {path} gives only {in_letters(grant.rights)}; "
        "a program changed the access list.",
        _AGAIN,
    )


def _exceeding(asked: Asked, step: Step) -> tuple[str, str]:
    name, path, grant = asked.account.name, _named(step.path), step.grant
    left_alone = _left_alone(asked, step)
    if left_alone:
        return left_alone
    rule = in_letters(asked.rule(step).rights)
    if grant.entry == "user::":
        cause = f"{name} made {path} and so owns it; the team's rules alone would give {rule}."
        return cause, _AGAIN
    return (
        f"The entry {grant.entry} of {path} gives {in_letters(grant.effective)}, and the team's "
        f"rules say {rule}; a program changed it.",
        _AGAIN,
    )


def _left_alone(asked: Asked, step: Step) -> tuple[str, str] | None:
    """Return why the permission pass does not set this entry's rights, where it does not."""
    path, info = _named(step.path), step.info
    copy = "A copy of it is the team's."
    if step.foreign:
        cause = f"{path} is restricted in a project that it was moved from, so it is kept closed."
        return cause, "Somebody who may read it can put a copy in its place."
    if info.st_uid in asked.spared:
        owner = user_name(info.st_uid)
        return f"{path} belongs to {owner}, and AEN leaves such files as they are.", copy
    owners = info.st_uid == asked.owner and info.st_mode & stat.S_IWUSR
    if step.kind == "file" and info.st_nlink > 1 and not owners:
        return (
            f"{path} has other names (hard links). Where one of them lies outside the project, "
            "AEN leaves the file as it is.",
            copy,
        )
    if step.path.count("/") >= _DEEPEST:
        return f"{path} lies more than {_DEEPEST} folders deep, where AEN sets no rights.", ""
    return None


def _named(path: str) -> str:
    return path or "the project's directory"


def _sentence(text: str) -> str:
    return text if not text.startswith("the ") else "T" + text[1:]
