"""The token endpoint (RFC 6749 §3.2)."""

from django.db import transaction
from oauth2_provider import views

from ..models import DeviceGrant, Grant
from .requests import presented_client, token_error


class TokenView(views.TokenView):
    """The token endpoint (RFC 6749 §3.2)."""

    @transaction.atomic
    def device_flow_token_response(self, request, device_code, *args, **kwargs):
        """A device code is good for its own app, until it expires, and once."""
        # Locked: of two polls at once, one gets the tokens.
        grants = DeviceGrant.objects.select_for_update(of=("self",)).select_related("user")
        grant = grants.filter(device_code=device_code, client_id=presented_client(request)).first()
        # RFC 8628 §3.5 sends errors the way of RFC 6749 §5.2; the toolkit answers 404.
        if grant is None:
            return token_error("invalid_grant", "There is no such device code.")
        if grant.user and not grant.user.is_active:
            return token_error("invalid_grant", "The person's account is switched off.")
        if grant.is_expired():
            return token_error("expired_token", "The device code has expired.")
        response = super().device_flow_token_response(request, device_code, *args, **kwargs)
        if response.status_code == 200:
            grant.delete()
        return response

    def post(self, request, *args, **kwargs):
        device = "urn:ietf:params:oauth:grant-type:device_code"
        if request.POST.get("grant_type") == device and not request.POST.get("device_code"):
            return token_error("invalid_request", "device_code is missing.")
        try:
            return super().post(request, *args, **kwargs)
        except Grant.DoesNotExist:  # another request with the same code was faster
            return token_error("invalid_grant", "The code was used already.")
