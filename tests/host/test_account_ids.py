"""Ids of accounts and groups that several programs make at the same time."""

import grp
import os
import pwd
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from compute_agent.host.account_book import Book
from compute_agent.host.account_makers import make_group, make_person

pytestmark = pytest.mark.host


def test_nobody_shares_an_id_with_what_an_administrator_makes_at_the_same_time(people, place):
    mine, theirs = [people() for _ in range(4)], [people() for _ in range(8)]
    groups = [f"aenp-{os.urandom(6).hex()}-r" for _ in range(4)]
    book = Book(place / "accounts.json")

    def by_hand(name):
        subprocess.run(["useradd", "--no-create-home", "--user-group", name], check=False)

    try:
        with ThreadPoolExecutor(2) as administrators:
            made_by_hand = administrators.map(by_hand, theirs)
            for name, group in zip(mine, groups, strict=True):
                make_person(name, book)
                make_group(group, book)
            list(made_by_hand)
        uids = Counter(entry.pw_uid for entry in pwd.getpwall())
        gids = Counter(entry.gr_gid for entry in grp.getgrall())
        assert {uids[pwd.getpwnam(name).pw_uid] for name in mine} == {1}
        assert {gids[pwd.getpwnam(name).pw_gid] for name in mine} == {1}
        assert {gids[grp.getgrnam(name).gr_gid] for name in groups} == {1}
    finally:
        for group in groups:
            subprocess.run(["groupdel", "--force", group], capture_output=True, check=False)
