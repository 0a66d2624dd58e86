"""Every change to people and tokens, audited. Pages, REST, the admin and commands call these."""

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from . import audit, names, turns
from .errors import Conflict, Invalid
from .models import ApiToken, FormerName, User
from .secrets import digest, new_secret
from .signals import access_ended, leaving, locked, token_revoked
from .transactions import after_commit, atomic, retried

SCOPES = {"api": "the REST API", "apps": "apps on the gateway"}


@retried
def create_user(
    username: str,
    *,
    by: User | None,
    full_name: str = "",
    password: str | None = None,
    **fields: object,
) -> User:
    """Add a person. Without a password they can sign in only by ``password_link``.

    Raises ``Invalid`` for the name or password, ``Conflict`` when the name is taken.
    """
    check_new_name(username)
    user = User(username=username, first_name=full_name[:150], unix_account=username, **fields)
    _set_password(user, password)
    try:
        with atomic():
            user.save(force_insert=True)
            _check_not_former(username)  # they may have been removed this moment
            audit.record("account.add", username, by=by)
    except IntegrityError as error:
        raise Conflict(f"There is a user “{username}” already.", "username") from error
    return user


def check_new_name(username: str) -> str:
    """Return ``username`` if a new person may have it.

    Raises ``Invalid`` for what breaks the rule, ``Conflict`` for the name of a former person.
    """
    names.check("username", username, names.RESERVED_OWNERS)
    _check_not_former(username)
    return username


def _check_not_former(username: str) -> None:
    if FormerName.objects.filter(pk=username).exists():
        raise Conflict(
            f"“{username}” was somebody who is removed, and whose account and files may still be "
            f"on the nodes. Choose another name, or free it first: aen_user free {username}",
            "username",
        )


@retried
def free_name(name: str, *, by: User | None) -> None:
    """Let a new person have the name of a former one, and with it what is left of their files."""
    with atomic():
        if not FormerName.objects.filter(pk=name).delete()[0]:
            raise Invalid("user", f"“{name[:40]}” is not the name of somebody who was removed.")
        audit.record("account.free_name", name, by=by)


def _set_password(user: User, password: str | None) -> None:
    if password is None:
        user.set_unusable_password()
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("password", " ".join(error.messages)) from error
    user.set_password(password)


@retried
def set_password(user: User, password: str, *, by: User | None) -> None:
    """Change a password; every session and everything open of that person ends."""
    _set_password(user, password)
    with atomic():
        user.save(update_fields=["password"])
        audit.record("account.password", user.username, by=by)
        after_commit(lambda: access_ended.send(sender=None, user=user))


def password_link(user: User, *, by: User | None) -> str:
    """Return the path of a page on which this person can set a password, once.

    Whoever has the link is that person: making one is audited.
    """
    audit.record("account.password_link", user.username, by=by)
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("accounts:password", args=[uid, default_token_generator.make_token(user)])


@retried
def lock_user(user: User, *, by: User | None) -> None:
    """Shut a person out at once; their projects and files stay."""
    if by is not None and user.pk == by.pk:
        raise Invalid("user", "You can’t lock yourself out. Ask another administrator.")
    with atomic():
        _keep_an_administrator(user, "be locked")
        _set_active(user, active=False, verb="account.lock", by=by)
        # Unlocking must not bring a browser back to life.
        _end_sessions(user)
        after_commit(lambda: access_ended.send(sender=None, user=user))


def unlock_user(user: User, *, by: User | None) -> None:
    _set_active(user, active=True, verb="account.unlock", by=by)


@retried
def _set_active(user: User, *, active: bool, verb: str, by: User | None) -> None:
    with atomic():
        if User.objects.filter(pk=user.pk, is_active=not active).update(is_active=active):
            audit.record(verb, user.username, by=by)
            locked.send(sender=None, user=user)
    user.is_active = active


@retried
def sign_out_everywhere(user: User, *, by: User | None) -> None:
    """End every session of this person on the server and on all gateways."""
    with atomic():
        _end_sessions(user)
        audit.record("account.sign_out_everywhere", user.username, by=by)
        after_commit(lambda: access_ended.send(sender=None, user=user))


def _end_sessions(user: User) -> None:
    from django.contrib.sessions.models import Session

    ended = [
        session.pk
        for session in Session.objects.iterator()
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=ended).delete()


def _keep_an_administrator(user: User, what: str) -> None:
    """Refuse what would leave the site without anybody to administer it.

    Nobody whom this counts on is locked or removed by another before the transaction ends.
    """
    active = User.objects.filter(is_superuser=True, is_active=True)
    known = list(active.values_list("pk", flat=True))
    turns.lock(user, beside=known)
    left = set(active.filter(pk__in=[*known, user.pk]).values_list("pk", flat=True))
    if left == {user.pk}:
        raise Conflict(f"{user.username} is the only administrator and can’t {what}. Add another.")


@retried
def rename(user: User, full_name: str, *, by: User | None) -> None:
    """Change the name that is shown beside the user name."""
    with atomic():
        user.first_name, user.last_name = full_name.strip()[:150], ""
        user.save(update_fields=["first_name", "last_name"])
        audit.record("account.rename", user.username, by=by, full_name=user.first_name)


@retried
def set_administrator(user: User, *, administrator: bool, by: User | None) -> None:
    """Make somebody an administrator, or an ordinary person again."""
    with atomic():
        if not administrator:
            _keep_an_administrator(user, "become an ordinary user")
        user.is_staff = user.is_superuser = administrator
        user.save(update_fields=["is_staff", "is_superuser"])
        verb = "account.make_administrator" if administrator else "account.unmake_administrator"
        audit.record(verb, user.username, by=by)


@retried
def delete_user(user: User, *, by: User | None) -> None:
    """Remove a person who owns nothing and runs nothing. Their audit entries stay, and their name
    is kept from others."""
    with atomic():
        _keep_an_administrator(user, "be removed")
        leaving.send(sender=None, user=user)
        audit.record("account.remove", user.username, by=by)
        access_ended.send(sender=None, user=user)
        for name in {user.username, user.unix_account}:
            FormerName.objects.get_or_create(pk=name)
        user.delete()


@retried
def create_token(
    user: User, name: str, scopes: list[str], *, by: User | None
) -> tuple[ApiToken, str]:
    """Return a new token's row and its secret, which is shown once and not kept."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid("scopes", f"A token’s scopes are {' and '.join(SCOPES)}; name one or both.")
    name = name.strip()
    if not 1 <= len(name) <= 80:
        raise Invalid("name", "Give the token a name of 1 to 80 characters, for example its use.")
    secret = "aen_" + new_secret()
    with atomic():
        turns.lock(user)
        token = ApiToken.objects.create(
            user=user, name=name, digest=digest(secret), scopes=sorted(set(scopes))
        )
        audit.record("token.create", name, by=by, owner=user.username, scopes=token.scopes)
    return token, secret


@retried
def revoke_token(token: ApiToken, *, by: User | None) -> None:
    """Delete a token; whatever it opened is closed."""
    token_id = token.pk
    with atomic():
        audit.record("token.revoke", token.name, by=by, owner=token.user.username)
        token.delete()
        after_commit(lambda: token_revoked.send(sender=None, token_id=token_id))
