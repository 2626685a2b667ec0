"""Apps that register themselves (RFC 7591), and manage what they registered (RFC 7592)."""

import json

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from .. import keys
from ..models import Application
from ..throttling import Budget, neighbourhood
from . import client_metadata
from .client_metadata import InvalidMetadataError
from .requests import token_error

REGISTRATIONS = Budget("registration", 60, 3600)
# What only the server says (RFC 7592 §2.2).
OURS_TO_SAY = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


@method_decorator(csrf_exempt, name="dispatch")
class JsonView(View):
    """Takes and answers JSON, knows no cookies, and is never cached."""

    def dispatch(self, request, *args, **kwargs):
        try:
            response = super().dispatch(request, *args, **kwargs)
        except InvalidMetadataError as error:
            response = token_error(error.error, error.description)
        response["Cache-Control"] = "no-store"
        return response

    def read_metadata(self):
        """Return the body, a JSON object; raises InvalidMetadataError."""
        if self.request.content_type != "application/json":
            raise InvalidMetadataError("Send application/json.")
        try:
            metadata = json.loads(self.request.body.decode())
        except (ValueError, RecursionError):
            raise InvalidMetadataError("The body is no JSON that can be read.") from None
        if not isinstance(metadata, dict):
            raise InvalidMetadataError("The body is not a JSON object.")
        return metadata


class RegistrationView(JsonView):
    """Anybody registers an app here (RFC 7591 §3), unless OPEN_REGISTRATION is off.

    Such an app has no publisher and is not verified; one that nobody uses is deleted after a week.
    """

    http_method_names = ["post", "options"]

    def post(self, request):
        if not settings.OPEN_REGISTRATION:
            return token_error("access_denied", "Apps are registered by their publishers.", 403)
        metadata = self.read_metadata()
        application = Application(registration_source=Application.RegistrationSource.DCR)
        client_metadata.fill(application, metadata)
        if wait := REGISTRATIONS.spend(neighbourhood(request.META["REMOTE_ADDR"])):
            description = f"Too many apps were registered from here; wait {wait} seconds."
            response = token_error("temporarily_unavailable", description, 429)
            response["Retry-After"] = str(wait)
            return response
        secret, token = application.client_secret, keys.generate_token(keys.REGISTRATION_TOKEN)
        application.registration_token = token
        client_metadata.store(application, metadata)
        return JsonResponse(information(application, token, secret), status=201)


@method_decorator(csrf_exempt, name="dispatch")
class ManagementView(JsonView):
    """An app reads, replaces or deletes its registration with its registration access token.

    The token stays the same for as long as the app is registered: a new one that got lost on its
    way would leave nobody to manage it (RFC 7592 §2.2 and §5 let the server choose).  A secret is
    told once: only an app that becomes confidential gets one here.  Registered apps are managed
    here also while OPEN_REGISTRATION is off.
    """

    http_method_names = ["get", "put", "delete", "options"]

    def dispatch(self, request, *args, **kwargs):
        with transaction.atomic():
            return super().dispatch(request, *args, **kwargs)

    def get(self, request, client_id):
        application, token = self.authenticated(client_id)
        return self.refusal(token) if application is None else self.told(application, token)

    def put(self, request, client_id):
        application, token = self.authenticated(client_id)
        if application is None:
            return self.refusal(token)
        metadata = self.read_metadata()
        if metadata.get("client_id") != client_id:
            raise InvalidMetadataError("client_id must be there, and the one of the address.")
        for name in OURS_TO_SAY:
            if name in metadata:
                raise InvalidMetadataError(f"{name} is not the app's to say.")
        secret = metadata.get("client_secret")
        if secret is not None and not self.is_secret(application, secret):
            raise InvalidMetadataError("client_secret is not the one the app has.")
        was_confidential, new_secret = application.is_confidential, None
        client_metadata.fill(application, metadata)
        if application.is_confidential != was_confidential:
            # A public app has one that nobody knows.
            new_secret = application.client_secret = keys.generate_client_secret()
            application.old_client_secret = ""
        client_metadata.store(application, metadata)
        return self.told(application, token, new_secret)

    def delete(self, request, client_id):
        application, token = self.authenticated(client_id)
        if application is None:
            return self.refusal(token)
        application.delete()
        return HttpResponse(status=204)

    def authenticated(self, client_id):
        """Return `(application, token)`: the app is None where the token is not its own."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None, ""
        application = (
            Application.objects.select_for_update(of=("self",))
            .filter(
                registration_token=token,
                registration_source=Application.RegistrationSource.DCR,
                is_active=True,
            )
            .first()
        )
        # One answer, whether there is no such app or the token is another's: nobody finds out
        # which apps there are (RFC 7592 §2.1).
        is_its_own = application is not None and application.client_id == client_id
        return (application if is_its_own else None), token

    def refusal(self, token):
        description = "The registration access token is not valid for this app."
        response = token_error("invalid_token", description, 401)
        # RFC 6750 §3.1: no error code where no token was presented.
        response["WWW-Authenticate"] = 'Bearer error="invalid_token"' if token else "Bearer"
        return response

    def is_secret(self, application, secret):
        return (
            application.is_confidential
            and isinstance(secret, str)
            and any(
                stored and check_password(secret, stored)
                for stored in (application.client_secret, application.old_client_secret)
            )
        )

    def told(self, application, token, secret=None):
        return JsonResponse(information(application, token, secret))


def information(application, token, secret=None):
    """The client information response (RFC 7591 §3.2.1, RFC 7592 §3)."""
    path = reverse("oauth2_provider:register-management", args=[application.client_id])
    answer = {
        "client_id": application.client_id,
        "client_id_issued_at": int(application.created.timestamp()),
        **client_metadata.describe(application),
        "registration_access_token": token,
        # Configuration, never the Host header of a request.
        "registration_client_uri": f"{settings.PUBLIC_URL}{path}",
    }
    if secret and application.is_confidential:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return answer
