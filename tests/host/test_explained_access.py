"""What an explanation says somebody may do is what they really can: tried over many access lists."""

import os
import struct
from types import SimpleNamespace

import pytest
from acting import Acting
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_agent.host import acl
from compute_agent.host.accounts import Account
from compute_agent.host.expected import Asked
from compute_agent.host.explanation import explain
from compute_agent.protocol import Explain, ProjectSpec

pytestmark = pytest.mark.host
RIGHTS = st.integers(0, 7)
# Ids of nobody: neither account nor group has to exist for an entry.
GROUPS = (61001, 61002, 61003)
STRANGERS = (61004, 61005)


@pytest.fixture(scope="module")
def stage(open_place):
    """A directory that all can enter, and an account that is in two of the three groups."""
    if os.geteuid() != 0:
        pytest.skip("becomes other accounts, so it needs root")
    acting = Acting(61000, 61000, GROUPS[:2])
    yield SimpleNamespace(place=open_place, acting=acting)
    acting.end()


@st.composite
def entries(draw, uid):
    """Draw (owner, group, mode, access list or None) of one entry of the file system."""
    owner = draw(st.sampled_from([uid, 0, *STRANGERS]))
    group = draw(st.sampled_from([*GROUPS, 0]))
    if draw(st.booleans()):
        return owner, group, draw(st.integers(0, 0o777)), None
    named = draw(st.dictionaries(st.sampled_from([uid, *STRANGERS]), RIGHTS, max_size=3))
    groups = draw(st.dictionaries(st.sampled_from(GROUPS), RIGHTS, max_size=3))
    listed = [(acl.USER_OBJ, draw(RIGHTS), 2**32 - 1)]
    listed += [(acl.USER, rights, number) for number, rights in sorted(named.items())]
    listed += [(acl.GROUP_OBJ, draw(RIGHTS), 2**32 - 1)]
    listed += [(acl.GROUP, rights, number) for number, rights in sorted(groups.items())]
    listed += [(acl.MASK, draw(RIGHTS), 2**32 - 1), (acl.OTHER, draw(RIGHTS), 2**32 - 1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in listed)
    return owner, group, 0, value


def give(path, entry):
    owner, group, mode, value = entry
    os.chown(path, owner, group)
    os.chmod(path, mode)
    if value is not None:
        os.setxattr(path, acl.ACCESS, value)


@settings(max_examples=250 if settings().derandomize else 5000)
@given(data=st.data())
def test_the_computed_access_is_what_the_account_can_really_do(stage, data):
    acting = stage.acting
    project, folder, file = stage.place / "p", stage.place / "p/d", stage.place / "p/d/f"
    for path in (project, folder):
        path.mkdir(exist_ok=True)
    file.touch()
    for path in (project, folder, file):
        give(path, data.draw(entries(acting.uid), label=path.name))
    try:
        said = [explained(project, acting, name).access for name in ("", "d", "d/f")]
        assert said == acting.accesses([project, folder, file])
        read, write = acting.tries([(file, False)])[0][:2]
        assert said[2][:2] == read + write
    finally:
        for path in (file, folder, project):
            for name in os.listxattr(path):
                os.removexattr(path, name)


def explained(project, acting, path):
    account = Account("edda", acting.uid, acting.gid, acting.groups, "/", "/bin/sh", None)
    spec = ProjectSpec("mira", "demo", "mira")
    question = Explain("0" * 32, spec, "edda", path)
    fd = os.open(project, os.O_RDONLY)
    try:
        return explain(fd, Asked(question, account, 0, frozenset({0})))
    finally:
        os.close(fd)
