"""Whatever people and tools do to a project: after a pass, everybody may do just what the rules say.

The rules are written down once more here, in a few lines, and held against what each account's
process can really do.
"""

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import stat
import subprocess
import time
from types import SimpleNamespace

import pytest
import tree_actions
from acting import Acting
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_agent.host.permissions import Override, Rules, secure
from compute_agent.host.permissions.marks import ATTRIBUTE, Marker

pytestmark = pytest.mark.host
FORK = multiprocessing.get_context("fork")
EXAMPLES = 100 if settings().derandomize else 3000
OWNER, EDDA, VERA, OTTO = range(61100, 61104)
# Groups of a team too large for an entry for each.
EDITORS, VIEWERS = 61110, 61111
ROLES = {"owner": 7, "editor": 7, "viewer": 5, "stranger": None}
NAMES = [
    b"a",
    b"a",
    b"a",
    b"b",
    b"b",
    b"new\nline",
    b"\xff\xfe",
    b"n" * 255,
    b"public",
    b"-rf",
    b" ",
]
#: What every project begins with, so that much of what is drawn concerns what is there.
FOLDERS = [b"a", b"a/a", b"a/a/a", b"b", b"public", b"public/a"]
FILES = [b"a/f", b"a/a/f", b"a/a/a/f", b"b/f", b"public/f", b"public/a/f"]
TICK = 0.021


# --- the rules ---


def allowed(rules, tree, uid, path):
    """Return what ``uid`` may do with a file or folder, as bits; the way to it left aside."""
    info = tree[path]
    names = [path] if stat.S_ISDIR(info.st_mode) else _names(tree, info)
    rights = 7
    for name in names:
        rights &= granted(rules, tree, uid, name)
    if not stat.S_ISDIR(info.st_mode):
        rights &= 6 | bool(info.st_mode & stat.S_IXUSR)
    if info.st_uid == uid:  # whose it is can't be kept from it: owners may chmod
        return 7 if stat.S_ISDIR(info.st_mode) else 6 | bool(info.st_mode & stat.S_IXUSR)
    return rights


def granted(rules, tree, uid, path):
    """Return what role and overrides say of one path; the override nearest to it decides."""
    role = role_of(rules, uid)
    set_by_hand = None
    for place in ancestors(path):
        here = [one for one in rules.overrides if (os.fsencode(one.path), one.uid) == (place, uid)]
        if here:
            set_by_hand = here[0].rights
        for mark in tree.marks.get(tree[place].st_ino, ()):
            # What was restricted once stays so wherever it is moved; a mark gives nothing.
            before = set_by_hand if set_by_hand is not None else role
            for one in rules.overrides:
                if one.id == mark and one.uid == uid and one not in here and before is not None:
                    set_by_hand = before & one.rights
    if set_by_hand is not None:
        return set_by_hand
    if role is not None:
        return role
    is_public = path.startswith(b"public/") or (path == b"public" and tree.is_folder(path))
    return 5 if is_public else 1


def role_of(rules, uid):
    return 7 if uid == rules.owner else dict((*rules.members, *rules.by_group)).get(uid)


def ancestors(path):
    parts = path.split(b"/") if path else []
    return [b"/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _names(tree, info):
    return [path for path, other in tree.items() if other.st_ino == info.st_ino]


# --- a project and what is done to it ---


class Tree(dict):
    """The state of every file and folder by its path as bytes; ``marks`` are ids by inode."""

    def __init__(self, root, marks=None):
        super().__init__()
        self.root, self.marks, self.odd = root, marks or {}, []
        self._read(b"")
        inodes = {info.st_ino for info in self.values()}
        self.marks = {inode: ids for inode, ids in self.marks.items() if inode in inodes}

    def _read(self, path):
        full = os.path.join(self.root, path)
        info = os.lstat(full)
        if stat.S_ISDIR(info.st_mode):
            self[path] = info
            for name in sorted(os.listdir(full)):
                self._read(os.path.join(path, name))
        elif stat.S_ISREG(info.st_mode):
            self[path] = info
        else:
            self.odd.append(path)

    def is_folder(self, path):
        return stat.S_ISDIR(self[path].st_mode)

    def mark(self, overrides):
        """Remember which entries an override was set on: its restriction goes where they go."""
        current = {one.id for one in overrides}
        self.marks = {inode: ids & current for inode, ids in self.marks.items()}
        for one in overrides:
            if os.fsencode(one.path) in self:
                self.marks.setdefault(self[os.fsencode(one.path)].st_ino, set()).add(one.id)

    def state(self):
        """All that a pass could change, of every entry."""
        found = {}
        for path in [*self, *self.odd]:
            full = os.path.join(self.root, path)
            info = os.lstat(full)
            listed = {name: os.getxattr(full, name, follow_symlinks=False)
                      for name in os.listxattr(full, follow_symlinks=False)}  # fmt: skip
            if mark := listed.get(ATTRIBUTE):  # the signature is for one inode alone
                listed[ATTRIBUTE] = mark.rpartition(b":")[0]
            found[path] = (info.st_mode, info.st_uid, info.st_gid, listed)
        return found

    def times(self):
        return {path: os.lstat(os.path.join(self.root, path)).st_ctime_ns
                for path in [*self, *self.odd]}  # fmt: skip


@pytest.fixture(scope="module")
def stage(open_place):
    """A place that all can pass through, and a process for each account."""
    if os.geteuid() != 0:
        pytest.skip("becomes other accounts, so it needs root")
    people = {OWNER: Acting(OWNER, OWNER), EDDA: Acting(EDDA, EDDA, [EDITORS]),
              VERA: Acting(VERA, VERA, [VIEWERS]), OTTO: Acting(OTTO, OTTO)}  # fmt: skip
    yield SimpleNamespace(place=open_place, people=people)
    for person in people.values():
        person.end()


def begin(stage):
    """Make a project in which each folder and file is its owner's or Edda's; return its path."""
    root = stage.place / "mira/demo"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    os.chown(root, OWNER, OWNER)
    root.chmod(0o770)
    for number, name in enumerate([*FOLDERS, *FILES]):
        path = os.path.join(os.fsencode(root), name)
        os.mkdir(path) if name in FOLDERS else tree_actions.write(path, 0o600)
        os.chown(path, *[EDDA if number % 3 == 0 else OWNER] * 2)
    return os.fsencode(root)


RIGHTS = st.integers(0, 7)
PATHS = st.sampled_from([*FOLDERS, *FILES])


@st.composite
def teams(draw):
    """Draw rules: who is in the team and how, and what was set by hand."""
    overrides = tuple(
        Override(hashlib.md5(b"%s/%d" % (path, uid)).hexdigest(), os.fsdecode(path), uid, rights)
        for (path, uid), rights in draw(
            st.dictionaries(
                st.tuples(PATHS, st.sampled_from([EDDA, VERA, OTTO])),
                RIGHTS,
                max_size=6,
            )
        ).items()
    )
    rules = Rules(OWNER, OWNER, (), frozenset({0}), overrides=overrides)
    if draw(st.integers(0, 3)) == 0:
        return rules._replace(groups=((EDITORS, 7), (VIEWERS, 5)), by_group=((EDDA, 7), (VERA, 5)))
    members = {uid: draw(st.sampled_from([7, 5, None])) for uid in (EDDA, VERA)}
    return rules._replace(members=tuple((uid, r) for uid, r in members.items() if r is not None))


#: (what, who, which entry, which other entry, name, mode or uid and rights)
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["write"] * 3 + ["folder"] * 4 + [
            "edit", "copy", "copy_tree", "move", "move", "link", "point", "remove", "chmod", "chmod",
            "strip", "grant", "git", "pipe",
        ]),
        st.sampled_from([OWNER, OWNER, EDDA, VERA]),
        st.integers(0, 99), st.integers(0, 99), st.sampled_from(NAMES), RIGHTS,
    ),
    min_size=1, max_size=12,
)  # fmt: skip
MODES = [0o600, 0o640, 0o644, 0o000, 0o777, 0o700, 0o4755, 0o2711]


def act(stage, root, actions):
    """Have people do what was drawn, as far as they may."""
    for what, who, one, other, name, number in actions:
        tree = Tree(root)
        folders = [path for path, info in tree.items() if stat.S_ISDIR(info.st_mode)]
        entry = os.path.join(root, list(tree)[one % len(tree)])
        folder = os.path.join(root, folders[other % len(folders)])
        target = os.path.join(folder, name)
        if entry == root and what in ("move", "remove", "copy_tree", "link", "grant", "chmod"):
            continue
        arguments = {
            "write": (target, [0o600, 0o640, 0o644, 0o700][number % 4]),
            "folder": (target, [0o700, 0o755][number % 2]), "pipe": (target, 0o600),
            "edit": (entry,), "git": (folder,), "remove": (entry,), "strip": (entry,),
            "chmod": (entry, MODES[number]), "grant": (entry, OTTO, number), "point": (entry, target),
        }.get(what, (entry, target))  # fmt: skip
        function = {"folder": os.mkdir, "pipe": os.mkfifo}.get(what) or getattr(tree_actions, what)
        # not allowed, or in the way of something: as it happens to people
        with contextlib.suppress(OSError):
            stage.people[who].does(function, *arguments)


def run_pass(root, rules, known=None):
    fd = os.open(root, os.O_RDONLY)
    try:
        return secure(fd, rules, known=known)
    finally:
        os.close(fd)


def check(stage, rules, tree):
    """Have every account try everything, and hold it against the rules."""
    paths = list(tree)
    folders = {path: stat.S_ISDIR(tree[path].st_mode) for path in paths}
    for uid, person in stage.people.items():
        closed = set()
        expected = {}
        for path in sorted(paths, key=lambda path: path.count(b"/") + bool(path)):
            rights = allowed(rules, tree, uid, path)
            if path and path.rpartition(b"/")[0] in closed:
                rights = 0
            if folders[path] and not rights & 1:
                closed.add(path)
                rights &= 4
            expected[path] = "".join(
                x if rights & b else "-" for x, b in zip("rwx", (4, 2, 1), strict=True)
            )
        tried = person.tries([(os.path.join(tree.root, path), folders[path]) for path in paths])
        assert dict(zip(paths, tried, strict=True)) == expected, f"uid {uid}"


# --- what holds ---


@settings(max_examples=EXAMPLES)
@given(first=ACTIONS, then=ACTIONS, team=teams(), later=teams(), remember=st.booleans())
@pytest.mark.rule(3)
@pytest.mark.rule(15)
@pytest.mark.rule(17)
def test_after_a_pass_everybody_may_do_what_the_rules_say(
    stage, first, then, team, later, remember
):
    root = begin(stage)
    known = stage.place / "known" if remember else None
    if known:
        known.unlink(missing_ok=True)
    act(stage, root, first)

    run_pass(root, team, known)
    tree = Tree(root)
    tree.mark(team.overrides)
    check(stage, team, tree)
    writes_nothing(root, team, tree, known)

    act(stage, root, then)
    tree = Tree(root, tree.marks)
    executable = {path: info.st_mode & stat.S_IXUSR for path, info in tree.items()}
    run_pass(root, team, known)
    tree = Tree(root, tree.marks)
    tree.mark(team.overrides)
    check(stage, team, tree)
    for path, info in tree.items():
        if stat.S_ISREG(info.st_mode):
            assert info.st_mode & stat.S_IXUSR == executable[path]
    other_rules_are_the_same_as_at_first(stage, root, later, tree, known)


def writes_nothing(root, team, tree, known):
    """The rules' number 17: a pass over what is right changes no entry, not even its times."""
    settle(tree)
    before = tree.state(), tree.times()
    assert run_pass(root, team, known).changed == 0
    assert run_pass(root, team, known).changed == 0
    assert (tree.state(), tree.times()) == before


def other_rules_are_the_same_as_at_first(stage, root, later, tree, known):
    """A pass with other rules leaves nothing of those before it."""
    # Of the same name, by which marks know their project.
    twin = os.fsencode(stage.place / "twin/mira/demo")
    shutil.rmtree(twin, ignore_errors=True)
    os.makedirs(os.path.dirname(twin), exist_ok=True)
    subprocess.run(["cp", "-a", "--", root, twin], check=True)
    for path in Tree(twin):
        full = os.path.join(twin, path)
        for name in os.listxattr(full):
            if name.startswith("system."):
                os.removexattr(full, name)
        sign_again(root, twin, path)
    run_pass(root, later, known)
    run_pass(twin, later)
    assert Tree(root).state() == Tree(twin).state()
    tree = Tree(root, tree.marks)
    tree.mark(later.overrides)
    check(stage, later, tree)


def sign_again(root, twin, path):
    """Give the twin the mark of an entry as if the node had made it: a copy's does not count."""
    ids = []
    for place, write in ((root, False), (twin, True)):
        fd = os.open(place, os.O_RDONLY)
        marker = Marker(fd, b"")
        os.close(fd)
        target = os.fsdecode(os.path.join(place, path))
        inode = os.lstat(target).st_ino
        if not write:
            ids = marker.read(target, inode).ids
        elif ids:
            marker.write(target, inode, ids)


def settle(tree):
    """Wait until a change would show: times of change go in ticks."""
    newest = max(tree.times().values())
    while time.time_ns() - newest < TICK * 1e9:
        time.sleep(0.002)


@pytest.mark.rule(8)
@pytest.mark.rule(17)
@pytest.mark.row(18)
def test_what_passes_remembered_in_a_storm_of_changes_is_true(stage):
    """Edda moves, links and changes all she can while passes run: then one pass has to be right."""
    root = begin(stage)
    known = stage.place / "stormy"
    team = Rules(OWNER, OWNER, ((EDDA, 7), (VERA, 5)), frozenset({0}))
    run_pass(root, team, known)
    for seed in range(8):
        storm = FORK.Process(target=tree_actions.storm, args=(root, EDDA, seed))
        storm.start()
        try:
            for _ in range(10):
                run_pass(root, team, known)
        finally:
            storm.kill()
            storm.join()
        run_pass(root, team, known)
        check(stage, team, Tree(root))
