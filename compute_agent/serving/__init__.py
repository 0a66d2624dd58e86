"""Programs of ours that run as part of an app, as its user: they give it a Unix socket.

``aen_serve.py`` runs Python web apps that by themselves know ports only; ``aen_relay.py`` carries
from the socket to the port of any other app. Each is copied into the app's directory, because the
user may be unable to reach this package.
"""

from pathlib import Path

SERVE = Path(__file__).parent / "aen_serve.py"
RELAY = Path(__file__).parent / "aen_relay.py"
