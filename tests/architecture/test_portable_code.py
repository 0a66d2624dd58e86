"""What the code may not ask of a database, so that it is true on SQLite, PostgreSQL and MongoDB alike.

Each rule has its reason and an example that breaks it, by which the rule itself is tested.
"""

import ast
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("aen_site", "accounts", "datacenters", "projects")
OWN_APPS = ("accounts", "datacenters", "projects")
#: The one file that may know which database it is, and what a transaction is there.
TRANSACTIONS = "accounts/transactions.py"
#: Where rows are read for update: PostgreSQL needs it there, and MongoDB, which ignores it, does not.
LOCKED_READS = {
    "projects/idle.py": "what is read is written by the same transaction, at which MongoDB notices"
}


@dataclass(frozen=True)
class Rule:
    name: str
    reason: str
    #: Yields the lines of a file that break the rule.
    find: Callable[[ast.AST, str], Iterator[int]]
    example: str


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yield every call with the name of what is called, the last one of dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, getattr(node.func, "attr", getattr(node.func, "id", ""))


def called(*names: str) -> Callable[[ast.AST, str], Iterator[int]]:
    return lambda tree, path: (node.lineno for node, name in calls(tree) if name in names)


def given(*keywords: str) -> Callable[[ast.AST, str], Iterator[int]]:
    return lambda tree, path: (
        node.lineno for node, _ in calls(tree) for k in node.keywords if k.arg in keywords
    )


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def transactions(tree: ast.AST) -> Iterator[ast.With]:
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            opened = (item.context_expr for item in node.items)
            if any(name == "atomic" for expression in opened for _, name in calls(expression)):
                yield node


def foreign_transaction(tree: ast.AST, path: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and path != TRANSACTIONS:
            names = {name.name for name in node.names}
            django = node.module == "django.db" and "transaction" in names
            theirs = node.module in ("django.db.transaction", "django_mongodb_backend.transaction")
            if (
                django
                or theirs
                or (node.module == "django_mongodb_backend" and "transaction" in names)
            ):
                yield node.lineno


def not_retried(tree: ast.AST, path: str) -> Iterator[int]:
    for function in functions(tree):
        decorated = {getattr(item, "id", "") for item in function.decorator_list}
        if path != TRANSACTIONS and "retried" not in decorated:
            yield from (node.lineno for node in transactions(function))


def caught_inside(tree: ast.AST, path: str) -> Iterator[int]:
    for block in transactions(tree):
        for node in ast.walk(block):
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                names = {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node.type)}
                if names & {"IntegrityError", "DatabaseError", "OperationalError"}:
                    yield node.lineno


def read_for_update(tree: ast.AST, path: str) -> Iterator[int]:
    return called("select_for_update")(tree, path) if path not in LOCKED_READS else iter(())


@functools.cache
def to_many() -> set[str]:
    fields = (field for model in apps.get_models() for field in model._meta.get_fields())
    both = (field for field in fields if field.many_to_many)
    return {getattr(field, "get_accessor_name", lambda f=field: f.name)() for field in both}


def many_to_many_prefetched(tree: ast.AST, path: str) -> Iterator[int]:
    for node, name in calls(tree):
        if name == "prefetch_related":
            texts = (arg.value for arg in node.args if isinstance(arg, ast.Constant))
            if any(to_many() & set(str(text).split("__")) for text in texts):
                yield node.lineno


@functools.cache
def own_fields(kind: type) -> set[str]:
    own = (model for app in OWN_APPS for model in apps.get_app_config(app).get_models())
    found = (field for model in own for field in model._meta.get_fields())
    return {field.name for field in found if isinstance(field, kind)}


def conditions(node: ast.AST) -> Iterator[str]:
    """Yield the names by which a chain of calls filters: ``owner__username``."""
    for call, name in calls(node):
        if name in ("filter", "exclude", "get", "Q"):
            yield from (k.arg for k in call.keywords if k.arg)


def is_join(condition: str) -> bool:
    first, _, rest = condition.partition("__")
    lookups = {*models.Field.class_lookups, *models.ForeignKey.class_lookups, "pk", "id"}
    related = own_fields((models.ForeignKey, models.ForeignObjectRel))
    return (
        first in {*related, "permission", "group"}
        and bool(rest.split("__")[0])
        and (rest.split("__")[0] not in lookups)
    )


def changed_across_joins(tree: ast.AST, path: str) -> Iterator[int]:
    for function in functions(tree):
        chains: dict[str, set[str]] = {}
        assigned = (n for n in ast.walk(function) if isinstance(n, ast.Assign))
        for node in sorted(assigned, key=lambda n: n.lineno):
            for target in node.targets:
                names = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
                before = {c for name in names for c in chains.get(name, ())}
                chains[getattr(target, "id", "")] = {*conditions(node.value), *before}
        for node, name in calls(function):
            if name in ("update", "delete") and isinstance(node.func, ast.Attribute):
                names = {n.id for n in ast.walk(node.func) if isinstance(n, ast.Name)}
                found = {*conditions(node.func), *(c for n in names for c in chains.get(n, ()))}
                if any(is_join(condition) for condition in found):
                    yield node.lineno


def looked_into(tree: ast.AST, path: str) -> Iterator[int]:
    documents = own_fields(models.JSONField)
    for node, _ in calls(tree):
        names = [k.arg or "" for k in node.keywords]
        if any(
            n.split("__")[0] in documents and "__" in n and not n.endswith("__isnull")
            for n in names
        ):
            yield node.lineno


def guardian_shortcuts(tree: ast.AST, path: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "guardian.shortcuts":
            yield from (node.lineno for name in node.names if name.name != "assign_perm")


def other_vendor(tree: ast.AST, path: str) -> Iterator[int]:
    if path != TRANSACTIONS:
        yield from (n.lineno for n in ast.walk(tree) if getattr(n, "attr", "") == "vendor")


def sql(tree: ast.AST, path: str) -> Iterator[int]:
    find = called("raw", "extra", "RawSQL", "cursor", "RunSQL")
    yield from find(tree, path) if path != TRANSACTIONS else ()


def distinct_on(tree: ast.AST, path: str) -> Iterator[int]:
    return (node.lineno for node, name in calls(tree) if name == "distinct" and node.args)


RULES = [
    Rule("transactions are opened by accounts.transactions alone",
         "Django's own atomic does nothing on MongoDB, and says nothing.",
         foreign_transaction, "from django.db import transaction"),
    Rule("a function that opens a transaction is @retried",
         "MongoDB fails the later of two that write one document; it must begin anew.",
         not_retried, "def f():\n    with atomic():\n        pass"),
    Rule("no database error is caught within a transaction",
         "After an error MongoDB and PostgreSQL refuse all that follows in it.",
         caught_inside, "with atomic():\n  try:\n    x()\n  except IntegrityError: pass"),
    Rule("no savepoints", "MongoDB has none.",
         lambda tree, path: (*called("savepoint", "savepoint_commit", "savepoint_rollback")(tree, path),
                             *(given("savepoint")(tree, path) if path != TRANSACTIONS else ())),
         "atomic(savepoint=True)"),
    Rule("no transaction around each request", "MongoDB's backend can't open one there.",
         lambda tree, path: (n.lineno for n in ast.walk(tree)
                             if isinstance(n, ast.Constant) and n.value == "ATOMIC_REQUESTS"),
         "DATABASES['default']['ATOMIC_REQUESTS'] = True"),
    Rule("no SQL", "MongoDB has none.",
         sql, "Project.objects.raw('SELECT 1')"),
    Rule("no rows are read for update, but where it is said why",
         "MongoDB ignores it; take turns by projects.actions.locking.lock.",
         read_for_update, "Project.objects.select_for_update().get()"),
    Rule("no conflicts are ignored by the database", "MongoDB's backend does not know how.",
         given("ignore_conflicts", "update_conflicts"), "bulk_create(rows, ignore_conflicts=True)"),
    Rule("no prefetch of many-to-many relations", "MongoDB's backend refuses it when it runs.",
         many_to_many_prefetched, "rows.prefetch_related('group__user_set')"),
    Rule("no update or delete across a join", "MongoDB can't; ask for the ids first.",
         changed_across_joins, "def f():\n  x = X.objects.filter(node__name=1)\n  x.update(a=2)"),
    Rule("no condition on what is in a JSON field", "SQLite has no contains; keys compare differently.",
         looked_into, "Node.objects.filter(status__apps__contains='x')"),
    Rule("of guardian's shortcuts only assign_perm",
         "Others delete across joins, ignore conflicts, or take four times as long as ids do.",
         guardian_shortcuts, "from guardian.shortcuts import remove_perm"),
    Rule("which database it is, is asked in one place",
         "Code that asks is tested on none of the others.",
         other_vendor, "connection.vendor == 'mongodb'"),
    Rule("no DISTINCT ON", "PostgreSQL alone has it.", distinct_on, "rows.distinct('owner')"),
]  # fmt: skip


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


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_breach_is_found_of(rule):
    assert list(rule.find(ast.parse(rule.example), "projects/example.py")) != []


@pytest.mark.parametrize("app", OWN_APPS)
def test_no_key_of_ours_counts_up(app):
    """MongoDB has no counting keys. Ours are random, or names."""
    keys = [model._meta.pk for model in apps.get_app_config(app).get_models()]
    assert all(isinstance(key, models.UUIDField | models.CharField) for key in keys)


def test_every_exception_is_still_one():
    for path in LOCKED_READS:
        tree = ast.parse((CHECKOUT / path).read_text())
        assert any(name == "select_for_update" for _, name in calls(tree)), path
