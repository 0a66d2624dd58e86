"""The pass that gives a project's files to its team, and to nobody else.

``secure`` does all at once. ``Pass`` splits it: ``first(seconds)`` does what a person waits for
and says whether that was all; ``rest(cancelled)`` does what is left, in another thread, and
returns the ``Outcome`` of both. ``looked_at`` counts entries meanwhile. ``secure_parts`` looks only
at places that are known to have been touched.
"""

from compute_agent.host.permissions.known import node_key
from compute_agent.host.permissions.outcome import Cancelled, Outcome
from compute_agent.host.permissions.parts import secure_parts
from compute_agent.host.permissions.rules import Override, Rules
from compute_agent.host.permissions.whole import Pass, secure

__all__ = [
    "Cancelled",
    "Outcome",
    "Override",
    "Pass",
    "Rules",
    "node_key",
    "secure",
    "secure_parts",
]
