"""The Swagger UI of this server is an app like any other: public, and asked for consent."""

from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse

from ..models import Application

DOCS_CLIENT_ID = "pawprint-docs"


def ensure_docs_application(sender, **kwargs):
    """Register the Swagger UI of this server as a public app; runs after each `migrate`."""
    path = reverse("docs-oauth2-redirect")
    public = urlsplit(settings.PUBLIC_URL)
    hosts = [public.netloc]
    if public.hostname == "127.0.0.1":
        hosts.append(public.netloc.replace("127.0.0.1", "localhost"))
    Application.objects.update_or_create(
        client_id=DOCS_CLIENT_ID,
        defaults={
            "name": "Pawprint API documentation",
            "is_verified": True,
            "client_type": Application.CLIENT_PUBLIC,
            "client_secret": "",
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE,
            "redirect_uris": " ".join(f"{public.scheme}://{host}{path}" for host in hosts),
        },
    )
