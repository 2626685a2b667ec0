"""An app that acts for itself: it gets a token with its own secret, and reads what is public.

    PAWPRINT_CLIENT_SECRET=$(cat var/demo_client_secret) python examples/client_credentials.py

PAWPRINT_URL is the server (http://127.0.0.1:8000 unless set), PAWPRINT_CLIENT_ID the app
(pawprint-demo-machine unless set).  It needs Python's standard library.

There is no user here, so there is nothing to consent to: only what everybody may see can be
read, and nothing be written.  To act for a person see authorization_code_pkce.py.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("PAWPRINT_URL", "http://127.0.0.1:8000").rstrip("/")
CLIENT_ID = os.environ.get("PAWPRINT_CLIENT_ID", "pawprint-demo-machine")
CLIENT_SECRET = os.environ.get("PAWPRINT_CLIENT_SECRET", "").strip()


def get_token(scope):
    """Return an access token for the app itself (RFC 6749 §4.4).

    Keep it until `expires_in` has passed and then ask again: there is no refresh token, since the
    secret does the same.
    """
    # RFC 6749 §2.3.1: HTTP Basic, with both halves form-encoded first.
    pair = ":".join(urllib.parse.quote_plus(half) for half in (CLIENT_ID, CLIENT_SECRET))
    request = urllib.request.Request(
        f"{URL}/o/token/",
        data=urllib.parse.urlencode({"grant_type": "client_credentials", "scope": scope}).encode(),
        headers={"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        token = json.load(answer)
    print(f"Got a token for {token['expires_in']:.0f} seconds; it may {token['scope']}.")
    return token["access_token"]


def call(token, method, path, data=None):
    """Return the body of one request to the API."""
    request = urllib.request.Request(
        URL + path,
        method=method,
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def explain(error):
    """Return one sentence about an HTTPError, whichever of the two shapes it has."""
    with error:
        body = error.read()
        try:
            body = json.loads(body)
        except ValueError:
            return f"{error.code} {error.reason}"
    if "error" in body:  # the OAuth endpoints speak RFC 6749 §5.2
        return f"{error.code} {body['error']}: {body.get('error_description', '')}"
    return f"{error.code} {body['title']}: {body['detail']}"  # the API speaks RFC 9457


def main():
    token = get_token("pets:read pets:write")

    print("Pets that look for a home:")
    for pet in call(token, "GET", "/api/v1/pets/?status=adoptable&page_size=5")["results"]:
        print(f"  {pet['name'] or '(no name)'}, {pet['species']}, of {pet['owner']['username']}")

    try:
        call(token, "POST", "/api/v1/pets/", {"name": "Nobody's", "species": "cat"})
    except urllib.error.HTTPError as error:
        if error.code != 403:
            raise
        print(f"Writing is refused: {explain(error)}")


if __name__ == "__main__":
    if not CLIENT_SECRET:
        sys.exit("Set PAWPRINT_CLIENT_SECRET; the demo leaves one in var/demo_client_secret.")
    try:
        main()
    except urllib.error.HTTPError as error:
        sys.exit(f"The server refused: {explain(error)}")
    except urllib.error.URLError as error:
        sys.exit(f"{URL} does not answer: {error.reason}")
