"""What the code may not ask of a database, so that it is true on SQLite, PostgreSQL and MongoDB alike.

Each rule has its reason and examples that break it, in forms usual and odd, by which the rule itself is
tested. What no reading finds, a query that was filtered elsewhere, ``tests/portable_queries.py`` finds
when it is asked.
"""

import ast
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import models

from tests.architecture.reading_code import around, calls, functions, imports, mentions

OWN_APPS = ("accounts", "datacenters", "projects")
#: The one file that may know which database it is, and what a transaction is there.
TRANSACTIONS = "accounts/transactions.py"
#: What makes settings of an address, and the engine itself.
ENGINES = "aen_site/databases/"
#: Where rows are read for update: PostgreSQL needs it there, and MongoDB, which ignores it, does not.
LOCKED_READS = {
    "projects/idle.py": "what is read is written by the same transaction, at which MongoDB notices"
}

#: Yields the lines of a file that break a rule.
Find = Callable[[ast.AST, str], Iterator[int]]


@dataclass(frozen=True)
class Rule:
    name: str
    reason: str
    find: Find
    examples: tuple[str, ...]


def said(*words: str, but: tuple[str, ...] = ()) -> Find:
    """Find these words, whatever they are there; ``but`` in files whose path begins so."""

    def find(tree: ast.AST, path: str) -> Iterator[int]:
        if not path.startswith(but):
            yield from (node.lineno for node, word in mentions(tree) if word in words)

    return find


def foreign_transaction(tree: ast.AST, path: str) -> Iterator[int]:
    """Django's module, and any ``atomic`` but a plain one of ours that opens a ``with``."""
    if path == TRANSACTIONS:
        return
    yield from said("transaction", "django_mongodb_backend.transaction", "django.db.transaction")(
        tree, path
    )
    yield from (node.lineno for node, whole, name in imports(tree)
                if whole.endswith(".atomic") and (name != "atomic" or not _is_ours(node)))  # fmt: skip
    opened = {item.context_expr for item in _with_items(tree)}
    called = {node.func for node, name in calls(tree) if name == "atomic" and node in opened}
    for node in ast.walk(tree):
        word = getattr(node, "attr", getattr(node, "id", getattr(node, "value", "")))
        if word == "atomic" and not (isinstance(node, ast.Name) and node in called):
            yield node.lineno


def _is_ours(node: ast.AST) -> bool:
    module = getattr(node, "module", "") or ""
    return module == "accounts.transactions" or (module == "transactions" and node.level > 0)


def _with_items(tree: ast.AST) -> Iterator[ast.withitem]:
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith):
            yield from node.items


def transactions(tree: ast.AST) -> Iterator[ast.With | ast.AsyncWith]:
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith):
            opened = (item.context_expr for item in node.items)
            if any(name == "atomic" for expression in opened for _, name in calls(expression)):
                yield node


def not_retried(tree: ast.AST, path: str) -> Iterator[int]:
    if path == TRANSACTIONS:
        return
    inside = around(tree)
    for block in transactions(tree):
        function = inside[block]
        decorators = getattr(function, "decorator_list", [])
        if "retried" not in {getattr(item, "id", "") for item in decorators}:
            yield block.lineno
    yield from (node.lineno for node, whole, name in imports(tree)
                if whole.endswith(".retried") and (name != "retried" or not _is_ours(node)))  # fmt: skip


def caught_inside(tree: ast.AST, path: str) -> Iterator[int]:
    """Whatever is caught, but for a row that is not there: a name of an error may stand for many."""
    for block in transactions(tree):
        for node in ast.walk(block):
            if isinstance(node, ast.ExceptHandler):
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if any(getattr(error, "attr", "") != "DoesNotExist" for error in caught):
                    yield node.lineno
        yield from (node.lineno for node, name in calls(block) if name == "suppress")


# --- prefetches ----------------------------------------------------------------------------------


@functools.cache
def to_many() -> set[str]:
    fields = (field for model in apps.get_models() for field in model._meta.get_fields())
    both = (field for field in fields if field.many_to_many)
    return {getattr(field, "get_accessor_name", lambda f=field: f.name)() for field in both}


def many_to_many_prefetched(tree: ast.AST, path: str) -> Iterator[int]:
    """What is prefetched stands there as plain texts, none of which names such a relation."""
    yield from said("prefetch_related_objects")(tree, path)
    plain = {node.func for node, name in calls(tree) if name == "prefetch_related"}
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "value", ""))
        if name == "prefetch_related" and node not in plain:
            yield node.lineno
    for node, name in calls(tree):
        if name == "prefetch_related" and not all(map(_is_harmless, node.args)):
            yield node.lineno
        if name == "Prefetch" and not all(map(_is_plain, node.args[:1] or [node])):
            yield node.lineno


def _is_harmless(argument: ast.AST) -> bool:
    is_prefetch = isinstance(argument, ast.Call) and getattr(argument.func, "id", "") == "Prefetch"
    return is_prefetch or _is_plain(argument)


def _is_plain(argument: ast.AST) -> bool:
    """Say whether it is a text that names none, or the ``None`` that forgets all prefetches."""
    if not isinstance(argument, ast.Constant):
        return False
    return argument.value is None or not to_many() & set(argument.value.split("__"))


# --- changes across joins ------------------------------------------------------------------------


@functools.cache
def own_fields(kind: type) -> set[str]:
    own = (model for app in OWN_APPS for model in apps.get_app_config(app).get_models())
    found = (field for model in own for field in model._meta.get_fields())
    return {field.name for field in found if isinstance(field, kind)}


def texts(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield what may name a field and a condition: arguments' names and texts."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg=str(text)) | ast.Constant(value=str(text)):
                yield node, text


def conditions(node: ast.AST) -> Iterator[str]:
    """Yield the names by which a chain of calls filters, annotates or refers: ``owner__username``."""
    for call, name in calls(node):
        if name in ("filter", "exclude", "get", "Q", "F", "annotate", "alias", "update"):
            yield from (text for _, text in texts(call))


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
        chains = _conditions_of_names(function)
        for node, name in calls(function):
            if name in ("update", "delete", "_raw_delete") and isinstance(node.func, ast.Attribute):
                found = {*conditions(node), *(c for n in _rows(node) for c in chains.get(n, ()))}
                if any(is_join(condition) for condition in found):
                    yield node.lineno


def _rows(tree: ast.AST) -> set[str]:
    """Return the names that stand for rows or conditions: not those of one row, as in ``row.pk``."""
    called = {node.func for node, _ in calls(tree)}
    of_one = {n.value for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n not in called}
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n not in of_one}


def _conditions_of_names(function: ast.AST) -> dict[str, set[str]]:
    """Return by which conditions each name's rows were chosen, as far as one function says."""
    chains: dict[str, set[str]] = {}
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
    for node in sorted(
        (n for n in ast.walk(function) if isinstance(n, kinds)), key=lambda n: n.lineno
    ):
        value = node.value or ast.Pass()
        before = {c for name in _rows(value) for c in chains.get(name, ())}
        here = {text for _, text in texts(value)} if isinstance(value, ast.Dict) else set()
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            name = getattr(target, "id", "")
            chains[name] = {*conditions(value), *before, *here} | (
                chains.get(name, set()) if isinstance(node, ast.AugAssign) else set()
            )
    return chains


# --- single words --------------------------------------------------------------------------------


def looked_into(tree: ast.AST, path: str) -> Iterator[int]:
    documents = own_fields(models.JSONField)
    for node, text in texts(tree):
        parts = text.split("__")
        inside = [part for part in parts[1:] if part != "isnull"]
        if inside and all(map(str.isidentifier, parts)) and documents & set(parts[:-1]):
            yield node.lineno
    yield from said("KeyTransform", "KeyTextTransform", "KT", "has_key")(tree, path)


_SHORTCUTS = ("remove_perm", "bulk_remove_perm", "bulk_assign_perm", "assign_perm_to_many",
              "remove_perm_from_many", "get_objects_for_user", "get_objects_for_group",
              "get_users_with_perms", "get_groups_with_perms", "get_perms_for_model",
              "get_user_perms", "get_group_perms")  # fmt: skip


def guardian_shortcuts(tree: ast.AST, path: str) -> Iterator[int]:
    yield from said(*_SHORTCUTS)(tree, path)
    for node, whole, _ in imports(tree):
        part = whole.startswith(("guardian.shortcuts", "guardian.managers")) or whole == "guardian"
        if part and whole != "guardian.shortcuts.assign_perm":
            yield node.lineno


def other_vendor(tree: ast.AST, path: str) -> Iterator[int]:
    words = ("vendor", "settings_dict", "in_atomic_block_mongo", "is_mongodb")
    yield from said(*words, but=(TRANSACTIONS, ENGINES))(tree, path)
    drivers = ("django_mongodb_backend", "pymongo", "psycopg", "sqlite3", "django.db.backends",
               "django.contrib.postgres")  # fmt: skip
    if not path.startswith((TRANSACTIONS, ENGINES)):
        yield from (n.lineno for n, whole, _ in imports(tree) if whole.startswith(drivers))
        yield from said("ENGINE")(tree, path)


def distinct_on(tree: ast.AST, path: str) -> Iterator[int]:
    found = [node for node, name in calls(tree) if name == "distinct"]
    yield from (node.lineno for node in found if node.args or node.keywords)
    plain = {node.func for node in found}
    yield from (n.lineno for n in ast.walk(tree)
                if getattr(n, "attr", "") == "distinct" and n not in plain)  # fmt: skip
