"""Each rule of the permissions that projects promise, and each known attack, has a test by name.

Tests say so themselves: ``@pytest.mark.rule(7)``, ``@pytest.mark.row(18)``.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def marks(kind):
    """Return the numbers of all marks of a kind, on tests and on whole files."""
    found = set()
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == f"pytest.mark.{kind}"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
    return found


@pytest.mark.parametrize("number", range(1, 18))
def test_a_rule_of_permissions_has_a_test(number):
    assert number in marks("rule"), f"no test is marked with pytest.mark.rule({number})"


@pytest.mark.parametrize("number", range(1, 25))
def test_a_known_attack_has_a_test(number):
    assert number in marks("row"), f"no test is marked with pytest.mark.row({number})"
