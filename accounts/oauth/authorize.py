"""The authorization endpoint (RFC 6749 §3.1): who asks for what, and what the person says."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from oauth2_provider import views
from oauth2_provider.settings import oauth2_settings

from .requests import token_error


class AuthorizationView(views.AuthorizationView):
    """The consent page (RFC 6749 §3.1)."""

    def get(self, request, *args, **kwargs):
        # The toolkit lets the query switch consent off; only the settings may (RFC 6749 §10.2).
        request.GET = request.GET.copy()
        request.GET.pop("approval_prompt", None)
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs):
        host = urlsplit(kwargs.get("redirect_uri") or "").netloc
        return super().get_context_data(redirect_host=host, **kwargs)

    def form_invalid(self, form):
        # The form is hidden fields: what is wrong with it was not the person's doing.
        return token_error("invalid_request", "The consent form was changed on its way.")

    def redirect(self, redirect_to, application):
        # RFC 9207 §2: an error names its issuer too; the toolkit adds it to codes only.
        parts = urlsplit(redirect_to)
        query = parse_qsl(parts.query, keep_blank_values=True)
        query = [(name, value) for name, value in query if name != "iss"]
        query.append(("iss", oauth2_settings.OIDC_ISS_ENDPOINT))
        return super().redirect(parts._replace(query=urlencode(query)).geturl(), application)
