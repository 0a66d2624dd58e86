"""``python -m compute_agent.config``: prints the table of options that the manual shows."""

import sys

from compute_agent.config.showing import as_markdown

sys.stdout.write(as_markdown() + "\n")
