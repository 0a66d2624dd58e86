"""The code keeps to what is true on SQLite, PostgreSQL and MongoDB alike: ``portable_rules``."""

import ast
import functools
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from tests.architecture.portable_breaches import RULES
from tests.architecture.portable_rules import LOCKED_READS, OWN_APPS
from tests.architecture.reading_code import calls

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("aen_site", "accounts", "datacenters", "projects")
BREACHES = [
    pytest.param(rule, code, id=f"{rule.name}: {code!r}")
    for rule in RULES
    for code in rule.examples
]


@functools.cache
def sources() -> dict[str, ast.AST]:
    """Return the code, parsed, by its path."""
    paths = (path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py"))
    names = {str(path.relative_to(CHECKOUT)): path for path in sorted(paths)}
    return {name: ast.parse(path.read_text()) for name, path in names.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_code_keeps_to(rule):
    broken = [
        f"{path}:{line}" for path, tree in sources().items() for line in rule.find(tree, path)
    ]
    assert broken == [], rule.reason


@pytest.mark.parametrize(("rule", "code"), BREACHES)
def test_a_breach_is_found_of(rule, code):
    assert list(rule.find(ast.parse(code), "projects/example.py")) != []


@pytest.mark.parametrize("app", OWN_APPS)
def test_no_key_of_ours_counts_up(app):
    """MongoDB has no counting keys. Ours are random, or names."""
    keys = [model._meta.pk for model in apps.get_app_config(app).get_models()]
    assert all(isinstance(key, models.UUIDField | models.CharField) for key in keys)


def test_every_exception_is_still_one():
    for path in LOCKED_READS:
        tree = ast.parse((CHECKOUT / path).read_text())
        assert any(name == "select_for_update" for _, name in calls(tree)), path
