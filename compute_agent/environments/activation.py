"""Running something as an environment of conda packages wants: with its own scripts run before.

``etc/conda/activate.d/*.sh`` set what packages need beside the PATH, for instance where their data
lie. They are run as the person, never by the node.
"""

from collections.abc import Sequence

#: For ``/bin/sh``; also in ``jupyter_server_config.py``, which imports nothing of AEN.
SCRIPT = (
    'for file in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do [ -r "$file" ] && . "$file"; done; '
    'exec "$@"'
)


def activated(command: Sequence[str]) -> list[str]:
    """Return the command line that runs ``command`` so; ``CONDA_PREFIX`` names the environment."""
    return ["/bin/sh", "-c", SCRIPT, "sh", *command]
