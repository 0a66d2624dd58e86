"""What the next page tells a person: what went well (with Undo where there is one) or was refused."""

import json
from dataclasses import dataclass, field

from django.contrib import messages
from django.http import HttpRequest


@dataclass(frozen=True)
class Note:
    """``undo`` is the path to which ``fields`` are posted to take it back."""

    text: str
    failed: bool = False
    undo: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def done(request: HttpRequest, text: str, *, undo: str = "", **fields: str) -> None:
    """Say that something was done; ``fields`` are what Undo posts to ``undo``."""
    messages.success(request, json.dumps({"text": text, "undo": undo, "fields": fields}))


def refused(request: HttpRequest, text: str) -> None:
    """Say why something was not done."""
    messages.error(request, json.dumps({"text": text}))


def of_request(request: HttpRequest) -> list[Note]:
    """Return the notes of this page. They are read once, however often they are asked for."""
    if not hasattr(request, "_aen_notes"):
        request._aen_notes = [_note(message) for message in messages.get_messages(request)]
    return request._aen_notes


def _note(message: messages.storage.base.Message) -> Note:
    failed = message.level >= messages.WARNING
    try:
        content = json.loads(message.message)
        return Note(content["text"], failed, content.get("undo", ""), content.get("fields", {}))
    except (ValueError, TypeError, KeyError):  # a message of Django's own admin
        return Note(str(message.message), failed)
