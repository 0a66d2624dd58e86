"""What an entry of a project should have, given the rules. Pure: no input or output.

A ``Context`` is what holds at a place in the tree: whether it is public, and the rights that
overrides set there. It is handed down from a directory to what is in it.
"""

import hashlib
import stat
from collections.abc import Iterable

from compute_agent.host.acl import Acl, Named, named
from compute_agent.host.permissions.rules import Override, Rules
from compute_agent.host.rights import Wanted, wanted

PUBLIC = b"public"
#: Changes when the same rules come to mean something else, so that nothing remembered counts.
_VERSION = 2

#: Whether everyone may read; (uid, rights) of those for whom an override holds; and whether it is
#: closed to all but the owners of entries. A plain tuple, because it is sent to other processes.
Context = tuple[bool, Named, bool]
OPEN: Context = (False, (), False)
CLOSED: Context = (False, (), True)


class Policy:
    """``rules``, ready to be asked. Paths are bytes, relative to the project; ``b""`` is itself."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._base = dict((*rules.by_group, *rules.members))
        self._at: dict[bytes, list[Override]] = {}
        self._by_id: dict[str, Override] = {}
        self._above: dict[bytes, list[bytes]] = {}
        for override in sorted(rules.overrides):
            # An access list has no power over its owner, so nothing is pretended.
            if override.uid != rules.owner:
                self._add(override)
        self._wanted: dict[tuple[Context, bool, int | None], Wanted] = {}

    def _add(self, override: Override) -> None:
        path = override.path.encode("utf-8", "surrogateescape")
        self._at.setdefault(path, []).append(override)
        self._by_id[override.id] = override
        parts = path.split(b"/")
        for depth in range(len(parts)):
            self._above.setdefault(b"/".join(parts[:depth]), []).append(path)

    @property
    def digest(self) -> bytes:
        """32 bytes that differ wherever the rules do."""
        rules = self.rules._replace(spared=frozenset())
        text = repr((_VERSION, rules, sorted(self.rules.spared)))
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=32).digest()

    # --- contexts ---

    def context(self, parent: Context, path: bytes, marks: Iterable[str] = ()) -> Context:
        """Return what holds at ``path``, which lies in a directory where ``parent`` holds.

        The nearest override by path decides. A mark (the id of an override whose path this was
        once) only takes rights away: whoever may write to an entry can mark it.
        """
        if parent[2]:
            return CLOSED
        public = parent[0] or path == PUBLIC
        here = self._at.get(path, ())
        if not here and not marks:
            return public, parent[1], False
        rights = dict(parent[1])
        set_here: dict[int, int] = {}
        for override in here:
            set_here[override.uid] = set_here.get(override.uid, 7) & override.rights
        rights |= set_here
        for override in self._marked(marks):
            before = rights.get(override.uid, self._base.get(override.uid))
            if override not in here and before is not None:
                rights[override.uid] = before & override.rights
        return public, named(rights.items()), False

    def _marked(self, marks: Iterable[str]) -> list[Override]:
        return [self._by_id[mark] for mark in marks if mark in self._by_id]

    def marks(self, path: bytes, marks: Iterable[str]) -> tuple[str, ...]:
        """Return the ids that the entry should be marked with, which has ``marks`` now."""
        kept = {override.id for override in self._marked(marks)}
        return tuple(sorted(kept | {override.id for override in self._at.get(path, ())}))

    def overrides_below(self, path: bytes) -> list[bytes]:
        """Return the paths of overrides in the directory ``path``, at any depth."""
        return self._above.get(path, [])

    def has_own(self, path: bytes) -> bool:
        """Say whether an override is set on just this path."""
        return path in self._at

    def least(self, contexts: Iterable[Context]) -> Context:
        """Return the context that grants only what all of ``contexts`` do."""
        every = list(contexts)
        if any(closed for _, _, closed in every):
            return CLOSED
        uids = {uid for _, rights, _ in every for uid, _ in rights}
        rights = dict.fromkeys(uids, 7)
        for public, granted, _ in every:
            here = dict(granted)
            for uid in uids:
                rights[uid] &= here.get(uid, self._base.get(uid, _of_others(public)))
        return all(public for public, _, _ in every), named(rights.items()), False

    def may_own(self, uid: int, context: Context) -> bool:
        """Say whether an entry may belong to ``uid``: to the project's owner and who may write.

        No list has power over an entry's owner, so what somebody made who left must be taken over.
        What another project restricts is not: who moved it here may be kept from it there.
        """
        if uid == self.rules.owner or not self.rules.spared or context[2]:
            return True
        return bool(dict(context[1]).get(uid, self._base.get(uid, 0)) & 2)

    # --- entries ---

    def directory(self, context: Context, own: bool) -> Wanted:
        """Return what a directory should have; ``own`` says that it is the project owner's."""
        return self._cached(context, own, None)

    def file(self, context: Context, own: bool, mode: int) -> Wanted:
        """Return what a file should have, whose mode is ``mode`` now."""
        return self._cached(context, own, mode & stat.S_IXUSR)

    def _cached(self, context: Context, own: bool, execute: int | None) -> Wanted:
        key = (context, own, execute)
        found = self._wanted.get(key)
        if found is None:
            if execute is None:
                found = self._directory(context, own)
            else:
                found = self._file(context, own, 1 if execute else 0)
            self._wanted[key] = found
        return found

    def _directory(self, context: Context, own: bool) -> Wanted:
        other = _of_others(context[0])
        # Also the owner is named, or could not write what a member makes in it.
        default = self._acl(context, False, 7, other)
        setgid = 0 if self.rules.group is None else stat.S_ISGID
        return wanted(self._acl(context, own, 7, other), default, setgid)

    def _file(self, context: Context, own: bool, execute: int) -> Wanted:
        other = _of_others(context[0]) & (6 | execute)
        return wanted(self._acl(context, own, 6 | execute, other))

    def _acl(self, context: Context, own: bool, rights: int, other: int) -> Acl:
        if context[2]:
            return Acl(rights, 0, 0)
        rules = self.rules
        users = dict(rules.members)
        # Only others make files that are not the owner's; without them nobody need be named.
        if not own and (rules.members or rules.groups or rules.overrides):
            users[rules.owner] = 7
        users |= dict(context[1])
        return Acl(
            rights,
            rights if rules.group is not None else 0,
            other,
            named((uid, granted & rights) for uid, granted in users.items()),
            named((gid, granted & rights) for gid, granted in rules.groups),
        )


def _of_others(public: bool) -> int:
    """Return what everybody may: to pass through, and where it is public to read."""
    return 5 if public else 1
