"""The documentation against the code: links, environment variables, commands, make targets."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("aen_site", "accounts", "projects", "datacenters", "gateway", "compute_agent", "deploy")
SETTINGS = CHECKOUT / "docs/admin/settings.md"
COMMANDS = CHECKOUT / "docs/admin/commands.md"
# Folders that hold nothing of ours to read.
SKIPPED = {".venv", ".git", "var", "build", "dist", "node_modules"}

VARIABLE = re.compile(r"AEN_[A-Z][A-Z0-9_]*[A-Z0-9]")
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def documents() -> list[Path]:
    found = (path for path in CHECKOUT.rglob("*.md"))
    return sorted(p for p in found if not SKIPPED & set(p.relative_to(CHECKOUT).parts))


def prose(text: str) -> str:
    """The text without its fenced code, where brackets mean something else."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.M | re.S)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.*?)\s*#*$", prose(path.read_text()), re.M)
    bare = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in bare}


def broken_links(path: Path) -> Iterator[str]:
    for target in LINK.findall(prose(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        missing = (
            anchor and there.is_file() and there.suffix == ".md" and anchor not in anchors(there)
        )
        if missing or not there.exists():
            yield target


@pytest.mark.parametrize("path", documents(), ids=lambda p: str(p.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(path):
    assert list(broken_links(path)) == []


def python_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (CHECKOUT / package).rglob("*.py")


def variables_in(source: str) -> set[str]:
    """The AEN_* variables that the code names: whole strings, not mentions in prose."""
    strings = (
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {text.removesuffix("_FILE") for text in strings if VARIABLE.fullmatch(text)}


def variables_in_code() -> set[str]:
    return set().union(*(variables_in(file.read_text()) for file in python_files()))


def variables_in_docs() -> set[str]:
    quoted = re.findall(r"`([^`\n]+)`", SETTINGS.read_text())
    found = {name for text in quoted for name in VARIABLE.findall(text)}
    return {name.removesuffix("_FILE") for name in found}


def test_every_variable_that_is_read_is_documented():
    assert variables_in_code() - variables_in_docs() == set()


def test_every_variable_that_is_documented_is_read():
    assert variables_in_docs() - variables_in_code() == set()


def commands_in_code() -> set[str]:
    files = CHECKOUT.glob("*/management/commands/[!_]*.py")
    return {file.stem for file in files}


def test_every_command_is_documented():
    text = COMMANDS.read_text()
    assert {name for name in commands_in_code() if f"`{name}" not in text} == set()


def test_every_command_that_is_documented_is_there():
    named = set(re.findall(r"`(aen_[a-z_]+)", COMMANDS.read_text()))
    assert named - commands_in_code() == set()


def test_every_make_target_that_is_documented_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.M))
    named = {
        target
        for path in documents()
        for target in re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", path.read_text())
    }
    assert named - targets == set()


def test_make_help_names_every_target_that_people_use():
    makefile = (CHECKOUT / "Makefile").read_text()
    described = set(re.findall(r"^([a-z]+):.*## ", makefile, re.M))
    people_use = {"help", "run", "test", "conformance", "check", "fix", "bench", "lock", "clean"}
    assert described == people_use


def test_a_link_to_nowhere_would_be_found(tmp_path):
    (tmp_path / "other.md").write_text("# A heading, here\n")
    page = tmp_path / "page.md"
    page.write_text("[a](none.md) [b](other.md) [c](other.md#a-heading-here) [d](other.md#x)\n")
    assert list(broken_links(page)) == ["none.md", "other.md#x"]


def test_a_variable_in_prose_is_not_taken_for_one_that_is_read():
    assert variables_in('"""Set AEN_PROSE."""\nos.environ["AEN_READ_FILE"]') == {"AEN_READ"}
