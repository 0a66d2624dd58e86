"""The server as OAuth 2 provider: gateways sign people in by authorization code with PKCE."""

import os
from datetime import timedelta
from typing import Any, ClassVar

from authlib.integrations.django_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.secrets import digest, new_secret

from .models import Gateway, GatewaySession, SignInCode
from .revocation import end_session

# Authlib asks for https on every request. Whether the site is public by https is its administrator's
# choice (AEN_PUBLIC_URL), and gateways on the server's host speak to its loopback port.
os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")

CODE_LIFETIME = timedelta(minutes=1)
SESSION_LIFETIME = timedelta(days=14)


class Client(ClientMixin):
    """A gateway as Authlib wants to see a client."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def get_client_id(self) -> str:
        return self.gateway.pk.hex

    def get_default_redirect_uri(self) -> str:
        return f"{self.gateway.own_url}/-/callback"

    def get_allowed_scope(self, scope: str) -> str:
        return "apps"

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.get_default_redirect_uri()

    def check_client_secret(self, client_secret: str) -> bool:
        return constant_time_compare(digest(client_secret), self.gateway.credential_digest)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Pkce(CodeChallenge):
    """PKCE as RFC 9700 wants it: always, and never plain."""

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with S256 is needed.")
        super().validate_code_challenge(grant, redirect_uri)


class CodeGrant(AuthorizationCodeGrant):
    """The one grant: a signed-in person's browser carries a code from the server to the gateway."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = ["client_secret_basic"]

    def save_authorization_code(self, code: str, request: Any) -> SignInCode:
        data = request.payload.data
        return SignInCode.objects.create(
            digest=digest(code),
            gateway=request.client.gateway,
            user=request.user,
            session=digest(request._request.session.session_key or ""),
            redirect_uri=request.payload.redirect_uri or request.client.get_default_redirect_uri(),
            code_challenge=data["code_challenge"],
            code_challenge_method=data["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Client) -> SignInCode | None:
        fresh = timezone.now() - CODE_LIFETIME
        return SignInCode.objects.filter(
            digest=digest(code), gateway=client.gateway, created_at__gt=fresh
        ).first()

    def delete_authorization_code(self, authorization_code: SignInCode) -> None:
        SignInCode.objects.filter(created_at__lt=timezone.now() - CODE_LIFETIME).delete()

    def authenticate_user(self, authorization_code: SignInCode) -> Any:
        # Deleting is the claim: of two requests with one code, only one finds it.
        claimed, _ = SignInCode.objects.filter(pk=authorization_code.pk).delete()
        user = authorization_code.user
        return user if claimed and user.is_active else None


class Revocation(RevocationEndpoint):
    """A gateway ends a session of its own: somebody signed out there."""

    def authenticate_token(self, request: Any, client: Client) -> GatewaySession | None:
        self.check_params(request, client)
        return GatewaySession.objects.filter(
            digest=digest(request.form["token"]), gateway=client.gateway
        ).first()

    def revoke_token(self, token: GatewaySession, request: Any) -> None:
        end_session(token)


class Provider(AuthorizationServer):
    """Authlib's server over our models."""

    def __init__(self) -> None:
        super().__init__(client_model=None, token_model=None)
        self.register_grant(CodeGrant, [Pkce(required=True)])
        self.register_endpoint(Revocation)

    def query_client(self, client_id: str) -> Client | None:
        try:
            gateway = Gateway.objects.filter(pk=client_id).first()
        except ValidationError:  # not a UUID
            return None
        return Client(gateway) if gateway else None

    def save_token(self, token: dict[str, Any], request: Any) -> GatewaySession:
        return GatewaySession.objects.create(
            digest=digest(token["access_token"]),
            gateway=request.client.gateway,
            user=request.user,
            session=request.authorization_code.session,
            expires_at=timezone.now() + SESSION_LIFETIME,
        )

    def create_bearer_token_generator(self) -> Any:
        generator = super().create_bearer_token_generator()
        generator.access_token_generator = lambda **kwargs: new_secret()
        generator.expires_generator = lambda client, grant: int(SESSION_LIFETIME.total_seconds())
        return generator


provider = Provider()
