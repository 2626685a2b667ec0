"""What clients discover: the server's metadata and the API's (RFC 8414, RFC 9728)."""

import json

from oauth2_provider import views
from oauth2_provider.settings import oauth2_settings


class ServerMetadataView(views.OAuthServerMetadataView):
    """RFC 8414 authorization server metadata, with the endpoint RFC 8628 §4 adds."""

    def get(self, request, *args, **kwargs):
        response = super().get(request, *args, **kwargs)
        data = json.loads(response.content)
        data["device_authorization_endpoint"] = self._get_endpoint_url(
            request, "device-authorization"
        )
        data["service_documentation"] = f"{oauth2_settings.OIDC_ISS_ENDPOINT}/docs/"
        response.content = json.dumps(data).encode()
        return response
