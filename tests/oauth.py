"""The steps of OAuth 2 as a client takes them, over Django's test client."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

from django.test import Client

VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
SECRET = "the-secret-that-the-server-showed-once-and-keeps-as-a-digest"
FORM = "application/x-www-form-urlencoded"


def authorization_request(app, scope="pets:read", **overrides):
    """Return the query of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3)."""
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uris.split()[0],
        "scope": scope,
        "state": "xyz",
        "code_challenge": CHALLENGE.decode(),
        "code_challenge_method": "S256",
    } | overrides
    return {name: value for name, value in query.items() if value is not None}


def consent(browser, query, allow=True):
    """Post the consent form the page shows, and return the response; none is shown again to
    whoever agreed to as much before."""
    page = browser.get("/o/authorize/", query)
    if allow and page.status_code == 302:
        return page
    assert page.status_code == 200, page.content
    form = {k: v for k, v in page.context["form"].initial.items() if v is not None}
    if allow:
        form["allow"] = "Authorize"
    return Client.post(browser, "/o/authorize/", form)


def redirected_with(response):
    """Return the parameters the browser carries back to the app."""
    assert response.status_code == 302, response.content
    return {k: v[0] for k, v in parse_qs(urlsplit(response["Location"]).query).items()}


def get_code(browser, app, scope="pets:read", **overrides):
    answer = redirected_with(consent(browser, authorization_request(app, scope, **overrides)))
    return answer["code"]


def token_request(app, secret=SECRET, **form):
    """Post to the token endpoint as `app` by HTTP Basic, or as a public app without a secret."""
    headers = {}
    if secret:
        pair = base64.b64encode(f"{app.client_id}:{secret}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    else:
        form["client_id"] = app.client_id
    return Client().post("/o/token/", form, headers=headers)


def exchange(app, code, secret=SECRET, **overrides):
    """Turn a code into tokens (RFC 6749 §4.1.3)."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uris.split()[0],
        "code_verifier": VERIFIER,
    } | overrides
    return token_request(app, secret, **{k: v for k, v in form.items() if v is not None})


def refresh(app, refresh_token, secret=SECRET, **form):
    """Turn a refresh token into new tokens (RFC 6749 §6)."""
    return token_request(
        app, secret, grant_type="refresh_token", refresh_token=refresh_token, **form
    )
