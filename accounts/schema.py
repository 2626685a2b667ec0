"""How the credentials of authentication.py are written down in the OpenAPI document."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from oauth2_provider.scopes import get_scopes_backend


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.BearerAuthentication"
    name = "oauth2"

    def get_security_requirement(self, auto_schema):
        return {self.name: auto_schema.get_required_scopes()}

    def get_security_definition(self, auto_schema):
        scopes = dict(get_scopes_backend().get_all_scopes())
        token_url = {"tokenUrl": "/o/token/", "refreshUrl": "/o/token/", "scopes": scopes}
        return {
            "type": "oauth2",
            "description": "An access token, sent as `Authorization: Bearer …`.",
            "flows": {
                "authorizationCode": {"authorizationUrl": "/o/authorize/", **token_url},
                "clientCredentials": token_url,
            },
        }


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = ["apiKey", "apiKeyBearer", "apiKeyBasic"]

    def get_security_requirement(self, auto_schema):
        # OpenAPI 3.1 lets schemes other than oauth2 name the roles they need.
        scopes = auto_schema.get_required_scopes()
        return [{name: scopes} for name in self.name]

    def get_security_definition(self, auto_schema):
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "An API key: `X-API-Key: paw_…`.",
            },
            {
                "type": "http",
                "scheme": "bearer",
                "description": "The same key as `Authorization: Bearer paw_…`.",
            },
            {
                "type": "http",
                "scheme": "basic",
                "description": "The same key as the user name, without a password: "
                "`curl -u paw_…:`.",
            },
        ]


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema):
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Signed in with a browser; unsafe methods need the CSRF token.",
        }
