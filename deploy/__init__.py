"""What brings a site up: from a checkout to running processes, on this machine.

``bootstrap`` runs from the checkout under any Python 3.11 or newer and uses nothing but the
standard library: it installs AEN into ``AEN_HOME/venv`` and hands over to ``site``, which runs
from there, sets the site up and keeps its processes under Supervisor.
"""
