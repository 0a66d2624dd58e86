"""Pages of what stands in front, for when nobody behind it can give one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.pages import Page


def gateway_away() -> "Page":
    return _away("gateway", "It starts again by itself. Apps go on running.")


def server_away() -> "Page":
    return _away("server", "It starts again by itself. Running apps go on.")


def _away(part: str, cause: str) -> "Page":
    from gateway import pages  # not there before AEN is installed

    again = "This page tries again by itself."
    now = (pages.Action("Try now", ""),)
    return pages.Page(503, f"{part}_away", f"The {part} is away", (cause, again), now, retry=3)


def for_nginx(page: "Page", home: str) -> str:
    """Return what a location of NGINX says to give this page."""
    from gateway import pages

    fields, body = pages.render(page, html=True, home=home)
    lines = [
        f'add_header {name.decode()} "{value.decode()}" always;'
        for name, value in fields
        if name not in (b"content-length", b"content-type")
    ]
    text = body.decode().replace("\n", " ")
    lines += ["default_type 'text/html; charset=utf-8';", f"return {page.status} '{text}';"]
    assert not {"'", "\\", "$"} & set(text)  # they mean something there
    return "\n        ".join(lines)
