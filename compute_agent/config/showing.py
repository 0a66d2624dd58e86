"""The options in force, for people and for programs, and the manual's table of them.

There are no secrets among them: keys are named by their files.
"""

import json
from typing import Any, get_args, get_type_hints

import msgspec

from compute_agent.config import Loaded
from compute_agent.config.options import DEFAULTS, OPTIONS, START_OPTIONS, TLS_KEYS, Config, about

_KINDS = {str: "string", bool: "true or false", float: "number", tuple: "list of strings"}


def as_text(loaded: Loaded) -> str:
    """Return a line for each option: its value and where that came from; then the files."""
    rows = [(name, json.dumps(value), _origin(loaded, name)) for name, value in _values(loaded)]
    name_width = max(len(name) for name, _, _ in rows)
    width = min(max(len(value) for _, value, _ in rows), 40)
    lines = [f"{name:{name_width}}  {value:{width}}  {origin}" for name, value, origin in rows]
    lines += ["", "Files, the last one winning option by option:"]
    lines += [f"  {path}{'' if is_there else ' (not there)'}" for path, is_there in loaded.files]
    return "\n".join(lines)


def as_json(loaded: Loaded) -> str:
    """Return ``{"options": {name: {value, file, line, name}}, "files": [{file, read}]}``.

    ``file``, ``line`` and ``name``, what the file calls the option, are null for a default.
    """
    options: dict[str, dict[str, Any]] = {}
    for name, value in _values(loaded):
        source = loaded.sources.get(name)
        options[name] = {
            "value": value,
            "file": str(source.file) if source else None,
            "line": source.line if source else None,
            "name": source.name if source else None,
        }
    files = [{"file": str(path), "read": is_there} for path, is_there in loaded.files]
    return json.dumps({"options": options, "files": files}, indent=2)


def as_markdown() -> str:
    """Return the manual's table of all options."""
    hints = get_type_hints(Config)
    lines = ["| option | kind | default | |", "|---|---|---|---|"]
    for name in OPTIONS:
        kind = "object" if name == "tls" else _KINDS[_base(hints[name])]
        mark = " ¹" if name in START_OPTIONS else ""
        default = json.dumps(DEFAULTS[name])
        lines.append(f"| `{name}`{mark} | {kind} | `{default}` | {about(name)} |")
    return "\n".join(lines)


def _base(hint: Any) -> Any:
    return tuple if get_args(hint) else hint


def _values(loaded: Loaded) -> list[tuple[str, Any]]:
    """Return the options by name, with what is inside ``tls`` on its own."""
    values: list[tuple[str, Any]] = []
    for name, value in msgspec.to_builtins(loaded.config).items():
        if name == "tls" and value is not None:
            values += [(f"tls.{key}", value[key]) for key in TLS_KEYS]
        else:
            values.append((name, value))
    return values


def _origin(loaded: Loaded, name: str) -> str:
    source = loaded.sources.get(name)
    if source is None:
        return "default"
    called = f" (as {source.name})" if source.name != name else ""
    return f"{source.file}:{source.line}{called}"
