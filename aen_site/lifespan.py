"""What the server looks at before it serves: its database is a site, and no part of one."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async
from django.db import Error

from .backup.site import Refused, refuse_a_part

Message = dict[str, Any]


async def lifespan(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer the ASGI server's ``startup``, with why not where there is a reason, and ``shutdown``."""
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.startup" and (why_not := await database_sync_to_async(_why_not)()):
            await send({"type": "lifespan.startup.failed", "message": why_not})
            return
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _why_not() -> str:
    try:
        refuse_a_part()
    except Refused as refusal:
        return str(refusal)
    except Error:
        return ""  # each page says so until it is back
    return ""
