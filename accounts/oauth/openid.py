"""OpenID Connect: claims about the person, id_tokens that come back, signing out."""

import json
from types import SimpleNamespace
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.generic import View
from jwcrypto import jwt
from jwcrypto.common import JWException
from oauth2_provider import views
from oauth2_provider.exceptions import (
    ClientIdMissmatch,
    InvalidIDTokenError,
    InvalidOIDCClientError,
    InvalidOIDCRedirectURIError,
)
from oauth2_provider.settings import oauth2_settings

from ..authentication import BearerAuthentication, InvalidCredential, bearer_challenge
from ..models import Application
from .requests import see_other


def read_id_token(token):
    """Return the claims of an id_token that this server signed, expired or not, else None."""
    keys = oauth2_settings.OAUTH2_VALIDATOR_CLASS()._get_key_for_token(token)
    try:
        claims = json.loads(jwt.JWT(key=keys, jwt=token, check_claims={}, algs=["RS256"]).claims)
    except (JWException, TypeError, ValueError):  # TypeError: it is encrypted
        return None
    return claims if claims.get("iss") == settings.PUBLIC_URL else None


@method_decorator(csrf_exempt, name="dispatch")
class UserInfoView(View):
    """Claims about the person, by scope (OpenID Connect Core §5.3).

    The token comes in the header or in a form (RFC 6750 §2.1, §2.2), never in the query.
    """

    def get(self, request, *args, **kwargs):
        if "access_token" in request.GET:  # RFC 9700 §4.3.2
            return refuse(400, error="invalid_request", error_description="No token in the query.")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        in_form = request.POST.get("access_token", "")
        if token and in_form:
            return refuse(400, error="invalid_request", error_description="There are two tokens.")
        if not token and not in_form:
            return refuse(401)  # RFC 6750 §3.1: without a credential no error is named
        try:
            user, access_token = BearerAuthentication().authenticate_credential(
                token or in_form, request
            )
        except InvalidCredential as error:
            return refuse(401, error="invalid_token", error_description=str(error.detail))
        if user is None:
            said = "The token belongs to an app, not to a person."
            return refuse(401, error="invalid_token", error_description=said)
        if not access_token.allow_scopes(["openid"]):
            return refuse(403, error="insufficient_scope", scope="openid")
        about = SimpleNamespace(user=user, scopes=access_token.scope.split())
        validator = oauth2_settings.OAUTH2_VALIDATOR_CLASS()
        response = JsonResponse(validator.get_oidc_claims(None, None, about))
        response["Cache-Control"] = "no-store"
        return response

    post = get


def refuse(status, **parameters):
    """An answer of RFC 6750 §3, with its challenge."""
    response = JsonResponse(parameters, status=status)
    response["WWW-Authenticate"] = bearer_challenge(**parameters)
    response["Cache-Control"] = "no-store"
    return response


@method_decorator(csrf_exempt, name="dispatch")
class LogoutView(views.RPInitiatedLogoutView):
    """An app asks to sign the person out (OpenID Connect RP-Initiated Logout §2).

    The person is always asked.  Only the session ends: what apps may do without the person
    stays with them until it is taken back at /accounts/connections/.
    """

    def dispatch(self, request, *args, **kwargs):
        if request.method == "POST" and "csrfmiddlewaretoken" not in request.POST:
            # An app's POST (§2), not our form's.  The browser keeps the session's cookie from a
            # POST of another site, so it comes again as a GET.
            named = {
                name: request.POST[name]
                for name in self.form_class.base_fields
                if name in request.POST
            }
            named.pop("allow", None)
            return see_other(f"{request.path}?{urlencode(named)}")
        return csrf_protect(super().dispatch)(request, *args, **kwargs)

    def do_logout(
        self, application=None, post_logout_redirect_uri=None, state=None, token_user=None
    ):
        registered_itself = application and application.registration_source != "manual"
        trusted = not registered_itself or application.is_verified
        if post_logout_redirect_uri and not trusted and not self.request.user.is_authenticated:
            # Nobody is there to be asked, and anybody can register where to send them (RFC 9700
            # §4.11.2): a link, and no redirect.
            context = {"application": application, "back_to": post_logout_redirect_uri}
            return self.render_to_response(context)
        return super().do_logout(application, post_logout_redirect_uri, state, token_user)

    def validate_logout_request(self, id_token_hint, client_id, post_logout_redirect_uri):
        """Return `(application, user)`, each None where it is not known; raises OIDCError."""
        user = None
        if id_token_hint:
            claims = read_id_token(id_token_hint)
            if claims is None:
                raise InvalidIDTokenError
            if client_id and client_id != claims["aud"]:
                raise ClientIdMissmatch
            client_id = claims["aud"]
            user = get_user_model().objects.filter(pk=claims["sub"]).first()
        application = Application.objects.filter(client_id=client_id).first() if client_id else None
        if client_id and application is None:
            raise InvalidOIDCClientError
        uri = post_logout_redirect_uri
        if uri and not (application and application.post_logout_redirect_uri_allowed(uri)):
            raise InvalidOIDCRedirectURIError("The app did not register this redirect URI.")
        return application, user
