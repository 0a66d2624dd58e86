"""The environments of a node and of its projects.

Templates are built once for the node, by uv or of conda packages, and are never changed; a project's
own environment is a clone of one.
"""

from compute_agent.environments.templates import NAMES, TOOLS, Environments, Progress

__all__ = ["NAMES", "TOOLS", "Environments", "Progress"]
