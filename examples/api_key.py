"""Keep pets by script, with an API key: list yours, register one, change it, remove it.

    PAWPRINT_KEY=$(cat var/demo_api_key) python examples/api_key.py

PAWPRINT_URL is the server, http://127.0.0.1:8000 unless set.  It needs a key with the scopes
pets:read and pets:write, and Python's standard library.
"""

import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("PAWPRINT_URL", "http://127.0.0.1:8000").rstrip("/")
# From the environment, because the arguments of a command are shown to everybody by `ps`.
KEY = os.environ.get("PAWPRINT_KEY", "").strip()
PAGE_SIZE = 100  # the most the server gives at once: fewer requests for the same pets
PATIENCE = 60  # seconds to wait, at most, when the server says how long
WAITS = [1, 2, 4]  # and where it does not: before the second try, the third, the fourth
AGAIN = {409, 429, 500, 502, 503, 504}  # what may go well the next time


class ApiError(Exception):
    """An error as the API tells it (RFC 9457): JSON that says what was wrong, where, and why."""

    def __init__(self, status, body):
        self.status = status
        self.title = body.get("title", "No reason was given")
        self.detail = body.get("detail", "")
        self.errors = body.get("errors", [])
        self.request_id = body.get("request_id", "")

    def __str__(self):
        lines = [f"{self.status} {self.title}: {self.detail}"]
        lines += [f"  {error['field'] or '(all)'}: {error['message']}" for error in self.errors]
        # Quote the id when you ask for help: the server's log has the request under it.
        lines.append(f"  request {self.request_id}")
        return "\n".join(lines)


def call(method, url, data=None):
    """Return `(status, headers, body)` of one request; raise ApiError when the API says no.

    `url` is a path, or a link that the API gave; `data` is sent as JSON.  What fails in passing is
    tried again.
    """
    url = URL + url if url.startswith("/") else url
    if not url.startswith(f"{URL}/"):
        raise ValueError(f"The key is for {URL} and does not go to {url}.")
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    if method == "POST":
        # The same for every try: whichever of them arrives, it is done once.
        headers["Idempotency-Key"] = f'"{uuid.uuid4()}"'
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, headers, method=method)
    waits = [*WAITS]
    while True:
        wait = waits.pop(0) if waits else None
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, answer.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                asked = error.headers.get("Retry-After", "")
                seconds = int(asked) if asked.isdigit() else wait
                if wait is None or error.code not in AGAIN or seconds > PATIENCE:
                    raise ApiError(error.code, read_problem(error)) from None
        except (OSError, http.client.HTTPException):  # nothing came back, not all, or not in time
            if wait is None:
                raise
            seconds = wait
        time.sleep(seconds)


def read_problem(error):
    """Return the body of an error; a proxy in between may have answered something else."""
    if error.headers.get_content_type() == "application/problem+json":
        return json.load(error)
    return {}


def pages(url):
    """Yield the results of every page.  A cursor is opaque: follow the links, never build one."""
    while url:
        _, headers, body = call("GET", url)
        yield from body["results"]
        # The same link is in the body, as `next`; the header serves where the body is not JSON.
        following = re.search(r'<([^>]*)>; rel="next"', headers.get("Link", ""))
        url = following and following[1]


def main():
    _, _, me = call("GET", "/api/v1/me/")
    user, scopes = me["user"], me["credential"]["scopes"]
    print(f"The key acts for {user['username']} and may {', '.join(scopes)}.")

    count = 0
    for pet in pages(f"{user['pets_url']}?page_size={PAGE_SIZE}"):
        print(f"  {pet['name'] or '(no name)'}, {pet['species']}")
        count += 1
    print(f"{count} pets are yours.")

    status, headers, pet = call("POST", "/api/v1/pets/", {"name": "Clementine", "species": "goat"})
    print(f"Registered {pet['name']}: {status}, {headers['Location']}")
    try:
        # PATCH changes the fields it is given and no other.
        status, _, pet = call("PATCH", pet["url"], {"color": "white", "tags": ["Shy"]})
        print(f"Changed {pet['name']}: {status}, {pet['color']}, {', '.join(pet['tags'])}")

        print("A species that does not exist is refused:")
        try:
            call("PATCH", pet["url"], {"species": "unicorn"})
        except ApiError as problem:
            print(problem)
    finally:
        status, _, _ = call("DELETE", pet["url"])
        print(f"Removed {pet['name']}: {status}")


if __name__ == "__main__":
    if not KEY:
        sys.exit("Set PAWPRINT_KEY to an API key; the demo leaves one in var/demo_api_key.")
    try:
        main()
    except ApiError as problem:
        sys.exit(f"The API refused: {problem}")
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{URL} does not answer: {error}")
