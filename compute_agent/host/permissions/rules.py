"""Who a project belongs to: what a pass is given. Pure."""

from typing import NamedTuple

from compute_agent.host import acl


class Override(NamedTuple):
    """Rights that a person set for somebody on a path, which hold for all below it too.

    ``path`` is relative to the project, ``uid`` whom they are for, ``rights`` bits (4 read,
    2 write, 1 execute). ``id`` is 32 hex digits.
    """

    id: str
    path: str
    uid: int
    rights: int


class Rules(NamedTuple):
    """Who a project belongs to.

    ``group`` is the owner's private group, or ``None`` if it has none. ``members`` are
    (uid, rights), each with an entry of their own. Of a team that is too large for that,
    ``groups`` are (gid, rights) and ``by_group`` says who goes by them, as (uid, rights).
    Entries owned by one of ``spared`` are left as they are. ``key`` is the node's own, at most 64
    bytes: with it are signed the marks that have overrides follow a file that is moved.
    """

    owner: int
    group: int | None
    members: acl.Named = ()
    spared: frozenset[int] = frozenset()
    groups: acl.Named = ()
    by_group: acl.Named = ()
    key: bytes = b""
    overrides: tuple[Override, ...] = ()
