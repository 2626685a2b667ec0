"""The token endpoint (RFC 6749 §3.2), and revocation (RFC 7009)."""

import hashlib
from contextlib import nullcontext
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone
from oauth2_provider import views

from ..models import AccessToken, Application, DeviceGrant, RefreshToken
from ..throttling import limit, neighbourhood
from .requests import challenged, keep, presented_client, token_error

CLIENT = ("client_id", "client_secret")
PARAMETERS = (
    *("grant_type", "scope", "resource", "device_code", "refresh_token"),
    *("code", "redirect_uri", "code_verifier"),
    *CLIENT,
)
SUPPORTED = {*Application.RFC_GRANT_TYPES.values(), "refresh_token"}
# How much slower a device must become that asked too soon (RFC 8628 §3.5).
SLOW_DOWN = 5


class TokenView(views.TokenView):
    """A code, a refresh token, a device code or an app's own secret becomes an access token."""

    def post(self, request, *args, **kwargs):
        address = neighbourhood(request.META["REMOTE_ADDR"])
        # Charged before anything is looked up or hashed: that is what it is limited for.  Many
        # people may use an app, and many apps an address.
        charge, response = spend("token", (presented_client(request), address))
        if response is None:
            response = self.answer(request)
            if response.status_code == 401:
                # A client can be made up for each try, an address cannot.
                charge, refusal = spend("refused", address)
                response = refusal or response
        for name, value in charge.headers().items() if charge else ():
            response[name] = value
        return response

    def answer(self, request):
        keep(request, PARAMETERS)
        grant_type = request.POST.get("grant_type")
        if not grant_type:
            return token_error("invalid_request", "grant_type is missing.")
        if grant_type not in SUPPORTED:  # oauthlib knows more, which RFC 9700 forbids
            return token_error("unsupported_grant_type", "There is no such grant type here.")
        # What is used up must be used up with the tokens it became, or not at all.
        alone = grant_type == "client_credentials"
        try:
            with nullcontext() if alone else transaction.atomic():
                if grant_type == Application.GRANT_DEVICE_CODE:
                    return self.poll(request)
                return self.issue(request)
        except IntegrityError:
            return token_error("invalid_grant", "The app or the person was deleted just now.")

    def issue(self, request):
        _, headers, body, status = self.create_token_response(request)
        response = HttpResponse(body, status=status, headers=headers)
        # Errors that oauthlib raises late come without these (RFC 6749 §5.1 and §5.2).
        response["Content-Type"] = "application/json"
        response["Cache-Control"] = "no-store"
        return challenged(response)

    def poll(self, request):
        """A device asks whether its person has decided (RFC 8628 §3.4 and §3.5).

        A device code is good for its own app, until it expires, and once.
        """
        if not request.POST.get("device_code"):
            return token_error("invalid_request", "device_code is missing.")
        # Locked: of two polls at once, one gets the tokens.
        grants = DeviceGrant.objects.select_for_update(of=("self",)).select_related("user")
        grant = grants.filter(
            device_code=request.POST["device_code"], client_id=presented_client(request)
        ).first()
        if grant is None:
            return token_error("invalid_grant", "There is no such device code.")
        if grant.user and not grant.user.is_active:
            return token_error("invalid_grant", "The person's account is switched off.")
        if grant.is_expired():
            return token_error("expired_token", "The device code has expired.")
        if grant.status == grant.DENIED:
            return token_error("access_denied", "The person said no.")
        if grant.status != grant.AUTHORIZED:
            return self.wait(grant)
        response = self.issue(request)
        if response.status_code == 200:
            grant.delete()
        return response

    def wait(self, grant):
        now, last = timezone.now(), grant.polled_at
        grant.polled_at = now
        too_soon = last is not None and now - last < timedelta(seconds=grant.interval)
        if too_soon:
            grant.interval += SLOW_DOWN
        grant.save(update_fields=["polled_at", "interval"])
        if too_soon:
            return token_error("slow_down", f"Ask every {grant.interval} seconds.")
        return token_error("authorization_pending", "The person has not decided yet.")


def spend(name, identity):
    """Return a Charge of the limit `name`, and the answer for who had none left; None for either
    that there is not."""
    budget = limit(name)
    charge = budget and budget.charge(identity)
    if not charge or not charge.wait:
        return charge, None
    description = f"Too many requests for tokens; wait {charge.wait} seconds."
    response = token_error("temporarily_unavailable", description, 429)
    response["Retry-After"] = str(charge.wait)
    return charge, response


class RevokeTokenView(views.RevokeTokenView):
    """Revocation (RFC 7009): a token goes with its pair, and what is unknown is no error."""

    def post(self, request, *args, **kwargs):
        keep(request, ("token", "token_type_hint", *CLIENT))
        with transaction.atomic():
            response = challenged(super().post(request, *args, **kwargs))
        if response.status_code == 200 and is_anothers(request.POST["token"]):
            return token_error("invalid_grant", "The token was issued to another client.")  # §2.1
        return response


def is_anothers(token):
    """Return whether a token that its own client would have revoked just now still lives."""
    checksum = hashlib.sha256(token.encode()).hexdigest()
    return (
        AccessToken.objects.filter(token_checksum=checksum).exists()
        or RefreshToken.objects.filter(token_checksum=checksum, revoked=None).exists()
    )
