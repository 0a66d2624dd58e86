"""Who may do what in a project: the one decision table.

Pure data and two functions, so that it can be read, typed and tested by itself. A *role* is what a
person has in a project; a *permission* is what code asks for. Code never compares roles.
"""

from typing import Final, Literal, get_args

Role = Literal["owner", "manager", "editor", "viewer"]
Permission = Literal[
    "view",  # see the page, its team and its activity
    "start",  # start, open and stop one's own apps
    "stop_any",  # stop an app of somebody else
    "edit",  # change summary and description
    "manage_team",  # add and remove members, change their roles
    "see_access",  # what is set on files by hand, and what oneself may do with a path and why
    "set_access",  # set and clear that for others, and ask about them
    "see_environments",  # what is in the project's environments
    "change_environments",  # make, change and delete environments
    "publish",  # change who can see the project
    "delete",  # delete the project and its files
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_VIEWER: Final[frozenset[Permission]] = frozenset({"view", "see_access", "see_environments"})
_EDITOR: Final[frozenset[Permission]] = _VIEWER | {"start", "edit", "change_environments"}
#: What each role may do. An editor works; a manager runs the team; the owner may end it all.
MAY: Final[dict[Role, frozenset[Permission]]] = {
    "viewer": _VIEWER,
    "editor": _EDITOR,
    "manager": _EDITOR | {"stop_any", "manage_team", "set_access"},
    "owner": frozenset(PERMISSIONS),
}
#: What a role means on disk, for everyone but the owner.
ACCESS: Final[dict[Role, Literal["r-x", "rwx"]]] = {
    "viewer": "r-x",
    "editor": "rwx",
    "manager": "rwx",
}
#: One sentence for each role, for the pages.
PROSE: Final[dict[Role, str]] = {
    "owner": "Everything, including deleting the project",
    "manager": "Runs apps, edits files, adds and removes people",
    "editor": "Runs apps and edits files",
    "viewer": "Reads the page and the files",
}
#: What a signed-in person who is not in the team may do with a public project.
PUBLIC: Final[frozenset[Permission]] = frozenset({"view"})


def allows(role: Role | None, permission: Permission, *, public: bool = False) -> bool:
    """Say whether ``role`` (``None``: not in the team) grants ``permission``. Denies by default."""
    if role is not None and permission in MAY[role]:
        return True
    return public and permission in PUBLIC


def may_grant(granter: Role | None, role: Role) -> bool:
    """Say whether ``granter`` may give somebody ``role``: never more than they have themselves."""
    if role == "owner" or not allows(granter, "manage_team"):
        return False
    return granter is not None and ROLES.index(granter) <= ROLES.index(role)
