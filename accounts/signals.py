"""What others hang on to: a person's access ended, or one of their sessions or tokens did."""

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import Signal, receiver

from . import audit
from .secrets import digest

#: Sent after commit, with ``user``: whatever is open for this person must be closed.
access_ended = Signal()
#: Sent before a person is removed, with ``user``, in that transaction. Receivers raise ``Conflict``
#: if the person still has something, and clear up what else they leave behind.
leaving = Signal()
#: Sent when a person was locked or unlocked, with ``user``, in that transaction.
locked = Signal()
#: Sent after commit, with ``token_id``.
token_revoked = Signal()
#: Sent at sign-out, with ``session`` (the digest of the session's key).
session_ended = Signal()


@receiver(user_logged_in)
def _signed_in(sender: object, request: object, user: object, **kwargs: object) -> None:
    audit.record("account.sign_in", str(user), by=user)


@receiver(user_logged_out)
def _signed_out(sender: object, request: object, user: object, **kwargs: object) -> None:
    if user is None:
        return
    audit.record("account.sign_out", str(user), by=user)
    session_ended.send(sender=None, session=digest(request.session.session_key or ""))
