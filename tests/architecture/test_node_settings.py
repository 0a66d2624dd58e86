"""The manual's tables of the node's options against the code that reads them."""

import re
from pathlib import Path

import pytest

from compute_agent.config.old_names import OLD_NAMES, REFUSED
from compute_agent.config.showing import as_markdown

SETTINGS = Path(__file__).resolve().parents[2] / "docs/admin/settings.md"


@pytest.fixture
def tables():
    section = SETTINGS.read_text().split("\n## The node's file\n")[1].split("\n## ")[0]
    return re.findall(r"(?:^\|.*\n)+", section, re.M)


def test_the_manuals_table_of_node_options_is_what_the_code_says(tables):
    assert tables[0].rstrip() == as_markdown(), (
        "docs/admin/settings.md: put there what `python -m compute_agent.config` prints"
    )


def test_the_manual_names_the_options_of_the_old_product(tables):
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`\n]*?)(?:`| \|$)", tables[1], re.M))
    assert {old: rows.get(old) for old in OLD_NAMES} == OLD_NAMES
    assert set(rows) == OLD_NAMES.keys() | REFUSED.keys()
