"""Introspection (RFC 7662): an app with a secret asks about a token of its own."""

import hashlib

from django.conf import settings
from django.http import JsonResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from oauth2_provider.models import refresh_token_expire_timedelta
from oauth2_provider.views.mixins import OAuthLibMixin

from ..models import AccessToken, Application, RefreshToken
from .requests import keep, presented_client, token_error


@method_decorator(csrf_exempt, name="dispatch")
class IntrospectTokenView(OAuthLibMixin, View):
    """POST a token, by secret (§2.1); a token cannot ask, nor can an app without a secret."""

    http_method_names = ["post", "options"]

    def post(self, request, *args, **kwargs):
        keep(request, ("token", "token_type_hint", "client_id", "client_secret"))
        clients = Application.objects.filter(client_type=Application.CLIENT_CONFIDENTIAL)
        client = clients.filter(client_id=presented_client(request)).first()
        if client is None or not self.authenticate_client(request):
            return token_error("invalid_client", "Introspection is for apps with a secret.", 401)
        if "token" not in request.POST:
            return token_error("invalid_request", "token is missing.")
        # §2.2: what the caller may not know of is not active, and nothing more is said.
        response = JsonResponse(describe(request.POST["token"], client) or {"active": False})
        response["Cache-Control"] = "no-store"
        return response


def describe(token, client):
    """Return the members of §2.2 for a live token of `client`, else None."""
    theirs = {
        "token_checksum": hashlib.sha256(token.encode()).hexdigest(),
        "application": client,
    }
    row = AccessToken.objects.select_related("user").filter(**theirs).first()
    if row is not None:
        expires, kind = row.expires, {"token_type": "Bearer"}
    else:
        tokens = RefreshToken.objects.select_related("user", "access_token")
        row = tokens.filter(revoked=None, access_token__isnull=False, **theirs).first()
        if row is None:
            return None
        expires, kind = row.access_token.expires + refresh_token_expire_timedelta(), {}
    if expires <= timezone.now() or (row.user and not row.user.is_active):
        return None
    person = {"username": row.user.username, "sub": str(row.user.pk)} if row.user else {}
    return {
        "active": True,
        "iss": settings.PUBLIC_URL,
        "client_id": client.client_id,
        "scope": row.scope,
        "iat": int(row.created.timestamp()),
        "exp": int(expires.timestamp()),
        "aud": row.resource or settings.PUBLIC_URL,
        **kind,
        **person,
    }
