"""The device authorization grant (RFC 8628)."""

from oauth2_provider import views

from ..models import Application
from .requests import token_error
from .scopes import ApplicationScopes


class DeviceAuthorizationView(views.DeviceAuthorizationView):
    """Where a device asks for its codes (RFC 8628 §3.1)."""

    def post(self, request, *args, **kwargs):
        # Here and not after the person has agreed to what the app will never get.
        if "form" not in request.content_type:
            return token_error("invalid_request", "Send application/x-www-form-urlencoded.")
        client = Application.objects.filter(client_id=request.POST.get("client_id", "")).first()
        if client and not client.allows_grant_type(Application.GRANT_DEVICE_CODE):
            return token_error("unauthorized_client", "The app is not one for devices.")
        asked = set(request.POST.get("scope", "").split())
        if client and not asked <= set(ApplicationScopes().get_available_scopes(client)):
            return token_error("invalid_scope", "The app may not ask for this scope.")
        return super().post(request, *args, **kwargs)
