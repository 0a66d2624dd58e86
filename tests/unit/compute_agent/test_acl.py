"""ACLs as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_agent.host import acl
from compute_agent.host.acl import Acl

rights = st.integers(0, 7)
users = st.dictionaries(st.integers(1000, 2**31), rights, max_size=8).map(
    lambda found: tuple(sorted(found.items()))
)


def test_an_acl_without_names_needs_no_mask():
    assert acl.decode(acl.encode(Acl(7, 5, 1))) == [
        (acl.USER_OBJ, 7, 0xFFFFFFFF),
        (acl.GROUP_OBJ, 5, 0xFFFFFFFF),
        (acl.OTHER, 1, 0xFFFFFFFF),
    ]


@given(owner=rights, group=rights, other=rights, users=users)
def test_the_mask_never_reduces_an_entry(owner, group, other, users):
    entries = acl.decode(acl.encode(Acl(owner, group, other, users)))
    masks = [granted for tag, granted, _ in entries if tag == acl.MASK]
    assert len(masks) == (1 if users else 0)
    limited = [granted for tag, granted, _ in entries if tag in (acl.USER, acl.GROUP_OBJ)]
    assert all(granted & mask == granted for granted in limited for mask in masks)


@given(owner=rights, group=rights, other=rights, users=users)
def test_entries_are_stored_in_the_kernels_order(owner, group, other, users):
    keys = [(tag, number) for tag, _, number in acl.decode(
        acl.encode(Acl(owner, group, other, users)))]  # fmt: skip
    assert keys == sorted(keys)


@pytest.mark.parametrize("value", [b"", b"\x01\0\0\0", b"\x02\0\0\0abc"])
def test_what_is_no_acl_is_refused(value):
    with pytest.raises(ValueError, match="not a POSIX ACL"):
        acl.decode(value)


def test_rights_are_read_as_ls_shows_them():
    assert [acl.bits(access) for access in ("---", "r--", "r-x", "rwx")] == [0, 4, 5, 7]
