"""Introspection (RFC 7662)."""

import hashlib

from django.http import JsonResponse
from oauth2_provider import views

from ..models import AccessToken, Application
from .requests import presented_client, token_error


class IntrospectTokenView(views.IntrospectTokenView):
    """Introspection (RFC 7662) for apps with a secret, of their own tokens."""

    http_method_names = ["post", "options"]

    def dispatch(self, request, *args, **kwargs):
        # The toolkit takes the name of a public app for its authentication.
        clients = Application.objects.filter(client_type=Application.CLIENT_CONFIDENTIAL)
        if not clients.filter(client_id=presented_client(request)).exists():
            return token_error("invalid_client", "Introspection is for apps with a secret.", 401)
        return super().dispatch(request, *args, **kwargs)

    def post(self, request, *args, **kwargs):
        own = AccessToken.objects.filter(
            token_checksum=hashlib.sha256(request.POST.get("token", "").encode()).hexdigest(),
            application__client_id=presented_client(request),
            application__is_active=True,
        ).exclude(user__is_active=False)
        # RFC 7662 §2.2: what the caller may not know is not active.
        if "token" in request.POST and not own.exists():
            return JsonResponse({"active": False})
        return super().post(request, *args, **kwargs)
