"""The rule for names that stand in URLs, directories and UNIX accounts."""

import re

from .errors import Invalid

PATTERN = re.compile(r"[a-z][a-z0-9-]{1,31}")
RULE = "2 to 32 characters: small letters, digits and hyphens, beginning with a letter"

#: First parts of the server's own URLs, and words that would mislead as an owner.
RESERVED_OWNERS = frozenset(
    """
    accounts admin-site api apps assets django explore favicon gateway health help home jobs login
    logout manage me media metrics new oauth open-source projects public root running search
    server settings signin signout signup static support system www
    """.split()  # noqa: SIM905  (a paragraph of words reads better than a list)
)
#: Second parts of URLs below an owner.
RESERVED_PROJECTS = frozenset({"settings", "projects", "new", "apps", "api"})


def check(field: str, value: str, reserved: frozenset[str] = frozenset()) -> str:
    """Return ``value`` if it follows the rule and is not reserved; raise ``Invalid`` otherwise."""
    if not PATTERN.fullmatch(value):
        raise Invalid(field, f"“{value[:40]}” can’t be used. A name has {RULE}.")
    if value in reserved:
        raise Invalid(field, f"“{value}” is reserved for AEN itself. Choose another name.")
    return value
