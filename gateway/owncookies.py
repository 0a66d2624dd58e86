"""Cookies of the gateway's own: named, set and read in one way."""

from .config import Config
from .forwarding import HOST_PREFIX, Header

#: Within so many seconds after a sign-in another one means that it did not hold.
LOOP_SECONDS = 30
MAX_ROUNDS = 2
_ROUNDS = "aen_rounds"


class SignInLoop(Exception):
    """The browser was signed in a moment ago, and its session is refused again."""


class OwnCookies:
    """By https all are ``__Host-``: browsers take none of such a name from a neighbouring host."""

    def __init__(self, config: Config) -> None:
        self.secure = config.public_scheme == b"https"

    def name(self, name: str) -> str:
        """Return under which name the cookie ``name`` goes to the browser."""
        return HOST_PREFIX + name if self.secure else name

    def read(self, cookies: dict[str, str], name: str) -> str:
        return cookies.get(self.name(name), "")

    def set(self, name: str, value: str, seconds: int | None, path: str = "/") -> Header:
        """Return the field that sets a cookie; ``seconds`` 0 takes it away, ``None``: until exit."""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        more = "; Secure" if self.secure else ""
        path = "/" if self.secure else path  # as the name asks for
        text = f"{self.name(name)}={value}; Path={path}; HttpOnly; SameSite=Lax{age}{more}"
        return b"set-cookie", text.encode("latin-1")

    # --- sign-ins that do not hold ---------------------------------------------------------------

    def begin_round(self, cookies: dict[str, str]) -> list[Header]:
        """Count a sign-in that follows on one; raises ``SignInLoop`` if they were too many."""
        rounds = self._rounds(cookies)
        if rounds is None:
            return []
        if rounds >= MAX_ROUNDS:
            raise SignInLoop
        return [self.set(_ROUNDS, str(rounds + 1), LOOP_SECONDS)]

    def end_round(self, cookies: dict[str, str]) -> list[Header]:
        """Note that a sign-in is finished."""
        return [self.set(_ROUNDS, "0", LOOP_SECONDS)] if self._rounds(cookies) is None else []

    def once_more(self, cookies: dict[str, str]) -> list[Header]:
        """Return the fields that let a sign-in begin anew by itself; none if it just did.

        Nothing is wrong with a person whose code is not known any more: the process that gave it,
        or had it exchanged, was restarted, or they took long.
        """
        return [] if self._rounds(cookies) else [self.set(_ROUNDS, "1", LOOP_SECONDS)]

    def forget_rounds(self) -> Header:
        return self.set(_ROUNDS, "", 0)

    def _rounds(self, cookies: dict[str, str]) -> int | None:
        value = self.read(cookies, _ROUNDS)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 3 else None
