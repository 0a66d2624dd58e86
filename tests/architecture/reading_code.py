"""Reading Python as a tree: what it calls, what it names, and what it imports from where."""

import ast
from collections.abc import Iterator

Found = tuple[ast.AST, str]


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yield every call with the name of what is called, the last one of dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, getattr(node.func, "attr", getattr(node.func, "id", ""))


def mentions(tree: ast.AST) -> Iterator[Found]:
    """Yield every word by which something can be reached, however it is written.

    Attributes, arguments, called names, parts of imports, and texts, which ``getattr``, ``**{}`` and
    ``import_module`` take. Not what is put together from pieces: that hides on purpose.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield node, name
            case ast.Call(func=ast.Name(id=name)):
                yield node, name
            case ast.Constant(value=str(text)):
                yield node, text
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield from ((node, part) for part in alias.name.split("."))
                yield from ((node, part) for part in (getattr(node, "module", "") or "").split("."))


def imports(tree: ast.AST) -> Iterator[tuple[ast.AST, str, str]]:
    """Yield what is imported in full, ``django.db.transaction.atomic``, with the name it gets here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, f"{node.module or ''}.{alias.name}", alias.asname or alias.name


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def around(tree: ast.AST) -> dict[ast.AST, ast.AST | None]:
    """Return for each part of a file the function that it is in, ``None`` for the file itself."""
    found: dict[ast.AST, ast.AST | None] = {}

    def visit(node: ast.AST, function: ast.AST | None) -> None:
        found[node] = function
        inner = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(tree, None)
    return found
