"""Browser sessions of which the database keeps a digest alone: a stolen backup opens none.

Django's own, but for the key in the table. ``SESSION_ENGINE`` names this module.
"""

from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from .jobs import task
from .secrets import digest

#: The column's length. 160 bits can't be turned back, nor hit by chance.
_LENGTH = 40


def stored(session_key: str) -> str:
    """Return what stands in the table for a session whose browser has ``session_key``."""
    return digest(session_key)[:_LENGTH]


@task("accounts.prune_sessions")
def prune() -> None:
    """Forget sessions that have expired: who left without signing out."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


class SessionStore(db.SessionStore):
    """Must keep this name: with it Django signs what a session holds."""

    def _get_session_from_db(self) -> Any:
        row = self._living().first() if self.session_key else None
        if row is None:
            self._session_key = None
        return row

    async def _aget_session_from_db(self) -> Any:
        row = await self._living().afirst() if self.session_key else None
        if row is None:
            self._session_key = None
        return row

    def _living(self) -> Any:
        rows = self.model.objects.filter(session_key=stored(self.session_key))
        return rows.filter(expire_date__gt=timezone.now())

    def exists(self, session_key: str) -> bool:
        return super().exists(stored(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(stored(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        return self._hidden(super().create_model_instance(data))

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        return self._hidden(await super().acreate_model_instance(data))

    @staticmethod
    def _hidden(row: Any) -> Any:
        row.session_key = stored(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            super().delete(stored(key))

    async def adelete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            await super().adelete(stored(key))
