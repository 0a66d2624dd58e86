"""The OAuth 2 endpoints: the browser's, and the gateway's two."""

from authlib.oauth2 import OAuth2Error
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from .oauth import Revocation, provider


@never_cache
@require_GET
@login_required
def authorize(request: HttpRequest) -> HttpResponse:
    """Send a signed-in person back to the gateway with a code. Gateways are ours: none asks twice."""
    try:
        grant = provider.get_consent_grant(request, end_user=request.user)
    except OAuth2Error as error:
        raise BadRequest(
            f"A gateway asked for a sign-in that is not allowed: {error.description}"
        ) from error
    return provider.create_authorization_response(request, grant_user=request.user, grant=grant)


@csrf_exempt
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a code for the secret of a gateway session."""
    try:
        return provider.create_token_response(request)
    except ValueError as error:  # Authlib takes base64 and UTF-8 for granted
        raise BadRequest("The credential of this request can’t be read.") from error


@csrf_exempt
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """End a gateway session (RFC 7009). One that is not there, or another gateway's, is ended, too."""
    try:
        return provider.create_endpoint_response(Revocation.ENDPOINT_NAME, request)
    except ValueError as error:
        raise BadRequest("The credential of this request can’t be read.") from error
