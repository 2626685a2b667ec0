"""OpenID Connect: claims, keys, signing out."""

from oauth2_provider import views

from .requests import token_error


class UserInfoView(views.UserInfoView):
    """Claims about the person (OpenID Connect Core §5.3); a token in the query is refused."""

    def dispatch(self, request, *args, **kwargs):
        if "access_token" in request.GET:  # RFC 9700 §4.3.2
            return token_error("invalid_request", "Send the token in the Authorization header.")
        return super().dispatch(request, *args, **kwargs)
