"""The rules a request is judged by: oauthlib asks, this answers."""

import re

from oauth2_provider.oauth2_validators import OAuth2Validator as BaseValidator
from oauthlib.oauth2.rfc6749 import errors


class OAuth2Validator(BaseValidator):
    """Nobody who was switched off gets a token, and claims go by the scope they belong to."""

    def is_pkce_required(self, client_id, request):
        # The toolkit refuses "plain" too, but only after the person has consented.
        if request.code_challenge and request.code_challenge_method != "S256":
            raise errors.InvalidRequestError(
                description="code_challenge_method must be S256 (RFC 9700 §2.1.1).",
                request=request,
            )
        # RFC 7636 §4.2: the SHA-256 of the verifier in base64url.
        if request.code_challenge and not re.fullmatch(r"[\w-]{43}", request.code_challenge, re.A):
            raise errors.InvalidRequestError(
                description="code_challenge is no SHA-256 in base64url.", request=request
            )
        return True

    def _check_secret(self, provided_secret, stored_secret):
        # A public app has no secret; an empty one proves nothing.
        return bool(stored_secret) and super()._check_secret(provided_secret, stored_secret)

    def validate_bearer_token(self, token, scopes, request):
        # Only the userinfo endpoint asks here, and it answers about a person.
        valid = super().validate_bearer_token(token, scopes, request)
        return valid and request.user is not None and request.user.is_active

    def validate_code(self, client_id, code, client, request, *args, **kwargs):
        valid = super().validate_code(client_id, code, client, request, *args, **kwargs)
        return valid and request.user.is_active

    def validate_refresh_token(self, refresh_token, client, request, *args, **kwargs):
        valid = super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)
        return valid and request.user.is_active

    def get_additional_claims(self):
        return {
            "name": lambda request: request.user.get_full_name(),
            "preferred_username": lambda request: request.user.username,
            "email": lambda request: request.user.email,
            "email_verified": lambda request: request.user.emailaddress_set.filter(
                email=request.user.email, verified=True
            ).exists(),
        }
