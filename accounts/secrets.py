"""Making secrets and recognising them again without keeping them."""

import hashlib
import secrets


def new_secret() -> str:
    """Return 256 random bits, in a form that is safe in URLs and headers."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored of a secret.

    The secrets are random and long, so that one round of SHA-256 can't be turned back.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
