"""A device without a keyboard: it shows a code, and a person lets it in with their own browser.

    python examples/device_code.py

PAWPRINT_URL is the server (http://127.0.0.1:8000 unless set), PAWPRINT_CLIENT_ID the app
(pawprint-demo-native unless set).  It needs Python's standard library.

The flow is RFC 8628: the device asks for two codes, shows the short one, and asks with the long
one until the person has decided.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("PAWPRINT_URL", "http://127.0.0.1:8000").rstrip("/")
CLIENT_ID = os.environ.get("PAWPRINT_CLIENT_ID", "pawprint-demo-native")
SCOPE = "pets:read"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


class RefusedError(Exception):
    """An error of RFC 6749 §5.2, with its code."""

    def __init__(self, body):
        super().__init__(f"{body['error']}: {body.get('error_description', '')}")
        self.error = body["error"]


def post(path, **form):
    """Post a form as this app and return the answer's JSON; raises RefusedError."""
    form["client_id"] = CLIENT_ID
    request = urllib.request.Request(URL + path, urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(json.load(error)) from None


def wait_for_token(codes):
    """Ask until the person has decided, no faster than the server allows (RFC 8628 §3.5)."""
    interval = codes["interval"]
    while True:
        time.sleep(interval)
        try:
            return post("/o/token/", grant_type=DEVICE_CODE, device_code=codes["device_code"])
        except RefusedError as refusal:
            if refusal.error == "slow_down":
                interval += 5
            elif refusal.error != "authorization_pending":
                raise


def main():
    codes = post("/o/device-authorization/", scope=SCOPE)
    print(f"Open {codes['verification_uri']} and type {codes['user_code']}")
    print(f"(or open {codes['verification_uri_complete']})", flush=True)
    token = wait_for_token(codes)
    print(f"Let in; it may {token['scope']}.")
    request = urllib.request.Request(
        f"{URL}/api/v1/pets/?page_size=5",
        headers={"Authorization": f"Bearer {token['access_token']}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        for pet in json.load(answer)["results"]:
            print(f"  {pet['name'] or '(no name)'}, {pet['species']}")


if __name__ == "__main__":
    try:
        main()
    except RefusedError as refusal:
        sys.exit(f"Refused: {refusal}")
    except urllib.error.URLError as error:
        sys.exit(f"{URL} does not answer: {error.reason}")
