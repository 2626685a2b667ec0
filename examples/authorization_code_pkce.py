"""A command line that acts for a person: sign-in and consent in the browser, then the API.

    python examples/authorization_code_pkce.py

PAWPRINT_URL is the server (http://127.0.0.1:8000 unless set), PAWPRINT_CLIENT_ID the app
(pawprint-demo-native unless set): a public one, since a program on somebody's machine can keep no
secret.  It needs Python's standard library.

This is RFC 8252, OAuth for native apps: the password is typed into the server's own page and never
seen here, the answer comes back to a port on this machine, and PKCE (RFC 7636) makes the code
worthless to whoever else reads it.
"""

import argparse
import base64
import hashlib
import html
import http.server
import json
import os
import queue
import secrets
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import webbrowser

URL = os.environ.get("PAWPRINT_URL", "http://127.0.0.1:8000").rstrip("/")
CLIENT_ID = os.environ.get("PAWPRINT_CLIENT_ID", "pawprint-demo-native")
SCOPE = "pets:read"  # ask for what you need: people read the list before they agree


class RefusedError(Exception):
    """The server, or the person, said no; or an answer is not the one that was asked for."""


def discover():
    """Return the server's metadata (RFC 8414): where its endpoints are and what it can do."""
    metadata = fetch(f"{URL}/.well-known/oauth-authorization-server")
    # RFC 8414 §3.3: metadata that speaks for somebody else must not be used.
    if metadata["issuer"] != URL:
        raise RefusedError(f"{URL} says that it is {metadata['issuer']}; set PAWPRINT_URL so.")
    if "S256" not in metadata["code_challenge_methods_supported"]:
        raise RefusedError(f"{URL} does not support PKCE with S256.")
    return metadata


def authorize(metadata, open_browser, patience):
    """Send the person through sign-in and consent; return `(code, verifier, redirect_uri)`."""
    verifier = secrets.token_urlsafe(64)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    state = secrets.token_urlsafe(32)
    with Listener(state) as listener:
        query = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": listener.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        url = f"{metadata['authorization_endpoint']}?{urllib.parse.urlencode(query)}"
        if open_browser and webbrowser.open(url):
            print("Your browser has the page where you decide. If it does not, open this one:")
        else:
            print("Open this page in your browser:")
        print(f"\n  {url}\n", flush=True)
        answer = listener.wait(patience)
    # RFC 9207: an answer that another server gave must not be taken to this one.
    if answer.get("iss") != metadata["issuer"]:
        raise RefusedError(f"The answer is from {answer.get('iss', 'nobody')}, not from {URL}.")
    if "error" in answer:
        raise RefusedError(f"{answer['error']}: {answer.get('error_description', 'no reason')}")
    return answer["code"], verifier, listener.redirect_uri


class Listener:
    """Waits on a port of this machine for the browser to come back.

    On 127.0.0.1 and not on "localhost" (RFC 8252 §8.3), and on whichever port is free: the server
    takes any for a registered loopback address (§7.3).
    """

    def __init__(self, state):
        answers = self.answers = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 10  # browsers open connections ahead, and may never use them

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                answer = dict(urllib.parse.parse_qsl(url.query))
                if url.path != "/callback":
                    self.say(404, "There is nothing here.")
                # What does not carry our state was not asked for by us: somebody else may have
                # sent the browser here, so it is not an answer and we go on waiting for one.
                elif not secrets.compare_digest(answer.get("state", "").encode(), state.encode()):
                    self.say(400, "This is not the answer that was waited for.")
                else:
                    self.say(200, "Thank you. You can close this page and go back.")
                    answers.put(answer)

            def say(self, status, sentence):
                body = f"<!doctype html><title>Pawprint</title><p>{html.escape(sentence)}</p>"
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                # The code is in the address of this page: it is kept nowhere and sent nowhere.
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                """Nothing: the request line holds the code."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.redirect_uri = f"http://127.0.0.1:{self.server.server_port}/callback"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()

    def wait(self, patience):
        """Return the parameters the browser came back with."""
        try:
            return self.answers.get(timeout=patience)
        except queue.Empty:
            raise RefusedError(f"Nobody came back within {patience:g} seconds.") from None


def fetch(url, form=None, token=None):
    """Return the JSON of a GET, or of a POST of `form`; raise RefusedError with the reason."""
    request = urllib.request.Request(
        url,
        data=None if form is None else urllib.parse.urlencode(form).encode(),
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(explain(error)) from None


def explain(error):
    """Return one sentence about an HTTPError, whichever of the two shapes it has."""
    try:
        body = json.load(error)
    except ValueError:
        return f"{error.code} {error.reason}"
    if "error" in body:  # the OAuth endpoints speak RFC 6749 §5.2
        return f"{error.code} {body['error']}: {body.get('error_description', '')}"
    return f"{error.code} {body['title']}: {body['detail']}"  # the API speaks RFC 9457


def main():
    parser = argparse.ArgumentParser(description="Sign in with the browser and list your pets.")
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address instead of opening it"
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="how long to wait for you"
    )
    options = parser.parse_args()

    metadata = discover()
    code, verifier, redirect_uri = authorize(metadata, not options.no_browser, options.timeout)

    # RFC 6749 §4.1.3: a code is good once, and for about a minute.  Tokens are never printed.
    tokens = fetch(
        metadata["token_endpoint"],
        {
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        },
    )
    print(f"Got a token for {tokens['expires_in']:.0f} seconds; it may {tokens['scope']}.")

    me = fetch(f"{URL}/api/v1/me/", token=tokens["access_token"])
    print(f"Signed in as {me['user']['username']} by {me['credential']['name']}.")
    for pet in fetch(me["user"]["pets_url"], token=tokens["access_token"])["results"]:
        print(f"  {pet['name'] or '(no name)'}, {pet['species']}")

    # A refresh token is good once (RFC 9700 §4.14): keep the new pair, throw the old one away.
    # A program that runs longer than a token lives does this a little before `expires_in` is over.
    tokens = fetch(
        metadata["token_endpoint"],
        {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "refresh_token": tokens["refresh_token"],
        },
    )
    print(f"Refreshed: a new token for {tokens['expires_in']:.0f} seconds.")

    # RFC 7009: with the refresh token goes the access token that came with it.
    fetch(
        metadata["revocation_endpoint"],
        {
            "client_id": CLIENT_ID,
            "token": tokens["refresh_token"],
            "token_type_hint": "refresh_token",
        },
    )
    try:
        fetch(f"{URL}/api/v1/me/", token=tokens["access_token"])
    except RefusedError as refusal:
        print(f"Revoked; the token no longer works: {refusal}")
    else:
        raise RefusedError("The token was revoked and still works.")


if __name__ == "__main__":
    try:
        main()
    except RefusedError as refusal:
        sys.exit(f"Refused: {refusal}")
    except urllib.error.URLError as error:
        sys.exit(f"{URL} does not answer: {error.reason}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
