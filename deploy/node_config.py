"""The node's ``compute-launcher-config.json``: what the set-up knows, beside what people set."""

import json
from pathlib import Path

from deploy.options import Options
from deploy.paths import Layout
from deploy.say import Problem


def write(layout: Layout, options: Options) -> None:
    """Bring the file up to date, keeping every other option that stands in it."""
    wanted = {
        "listen": f"unix:{layout.agent_socket}",
        "project_root": str(options.project_root),
        "state_dir": str(layout.node),
        "run_dir": str(layout.run),
        "service_account": options.account,
    }
    now = read(layout.node_config)
    if now | wanted != now:
        layout.node_config.write_text(json.dumps(now | wanted, indent=2) + "\n")
    layout.node_config.chmod(0o644)


def read(path: Path) -> dict[str, object]:
    """Return the options in ``path``, none if it is not there; ``Problem`` if it is not JSON."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Problem(f"{path} is not JSON.", str(error), "Mend or remove it.") from error
    if not isinstance(found, dict):
        raise Problem(f"{path} holds no options.", "It is one JSON object.", "Mend or remove it.")
    return found
