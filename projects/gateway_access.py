"""Answering a gateway: may this request pass, and to which app?"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from msgspec import DecodeError

from accounts import tokens
from accounts.models import User
from accounts.secrets import digest
from datacenters import gateways
from datacenters.models import Gateway, GatewaySession
from gateway.protocol import AccessAnswer, AccessQuestion, Grant, decode_question, encode

from . import access, catalog, lifecycle
from .models import AppInstance, Project

_STARTING = lifecycle.BUSY - {"stopping"}


@csrf_exempt
@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """``POST /gateway/access``: an ``AccessQuestion``, answered with an ``AccessAnswer``."""
    gateway = gateways.of_request(request)
    if gateway is None:
        return HttpResponse(status=401)
    try:
        question = decode_question(request.body)
    except DecodeError as error:
        return HttpResponse(str(error), status=400, content_type="text/plain")
    return HttpResponse(encode(answer(gateway, question)), content_type="application/json")


def answer(gateway: Gateway, question: AccessQuestion) -> AccessAnswer:
    """Decide on one question. What the person may not see looks like what is not there."""
    user, session, token = _who(gateway, question)
    if user is None:
        return AccessAnswer(401, detail="Sign in to open this app.")
    project = Project.objects.select_related("owner", "node").filter(
        owner__username=question.owner, name=question.project, data_center=gateway.data_center_id
    ).first()  # fmt: skip
    if project is None or not access.may(user, project, "view"):
        return AccessAnswer(404, detail="There is nothing here, or you may not see it.")
    page = settings.AEN_PUBLIC_URL + project.get_absolute_url()
    if not access.may(user, project, "start"):
        return AccessAnswer(403, detail="Your role in this project does not open apps.", page=page)
    if not catalog.offers_app(project, question.app):
        return AccessAnswer(404, detail=f"There is no app “{question.app}” here.", page=page)
    instance = AppInstance.objects.filter(
        slot=AppInstance.slot_of(project, user, question.app)
    ).first()
    if instance is None or instance.state != "running":
        starting = instance is not None and instance.state in _STARTING
        what = f"{catalog.title(project, question.app)} is {'starting' if starting else 'not running'}."
        return AccessAnswer(409, detail=what, page=page, starting=starting)
    return AccessAnswer(
        200,
        ttl=settings.AEN_ACCESS_TTL,
        page=page,
        grant=Grant(
            app_id=instance.pk.hex,
            node=instance.node_id.hex,
            user=user.pk.hex,
            project=project.pk.hex,
            session=session,
            token=token,
        ),
    )


def _who(gateway: Gateway, question: AccessQuestion) -> tuple[User | None, str | None, str | None]:
    """Return the person, and the id of the session or token by which they are known."""
    if question.bearer is not None:
        token = tokens.find(question.bearer, "apps")
        return (token.user, None, token.pk.hex) if token else (None, None, None)
    for secret in question.sessions[:10]:
        row = GatewaySession.objects.select_related("user").filter(
            digest=digest(secret), gateway=gateway, expires_at__gt=timezone.now()
        ).first()  # fmt: skip
        if row is not None and row.user.is_active:
            return row.user, row.pk.hex, None
    return None, None, None
