"""Header fields as ASGI has them: pairs of bytes."""

Header = tuple[bytes, bytes]
Headers = list[Header]


class BadRequest(Exception):
    """The request is not well-formed enough to be passed on; the text says why."""
