"""What the tests find on the server: apps of every kind, people, and its database.

The database is opened only for what no request can do: to let time pass, and to look whether a
secret is kept in clear.
"""

import contextlib
import hashlib
import json
import sqlite3
import time

from .client import DEVICE_CODE, Browser, Client

SECRET = "pawcs_a secret/with+every%kind:of&character=é"
COMMON = {"client_type": "confidential", "authorization_grant_type": "authorization-code"}
PUBLIC = {"client_type": "public", "client_secret": ""}
APPS = {
    # A web server's app, which keeps a secret.
    "web": {"redirect_uris": "https://client.example/callback"},
    "other": {"redirect_uris": "https://other.example/callback?tenant=1 https://other.example/b"},
    # An app in a browser's page.
    "page": PUBLIC
    | {
        "redirect_uris": "https://page.example/",
        "allowed_origins": "https://page.example",
    },
    "native": PUBLIC
    | {
        "redirect_uris": "http://127.0.0.1/callback http://[::1]/callback "
        "com.example.pets:/callback https://app.example/callback",
    },
    "machine": {
        "authorization_grant_type": "client-credentials",
        "redirect_uris": "https://machine.example/callback",
    },
    "device": PUBLIC | {"authorization_grant_type": DEVICE_CODE},
    "kiosk": {"authorization_grant_type": DEVICE_CODE},
    # May ask for little, and gets less unasked.
    "narrow": {
        "redirect_uris": "https://narrow.example/callback",
        "scope": "pets:read pets:write",
        "default_scope": "pets:read",
    },
    "openid": {
        "redirect_uris": "https://rp.example/callback",
        "post_logout_redirect_uris": "https://rp.example/goodbye https://rp.example/bye?x=1",
    },
}
MAKE = """
import json
from accounts.models import Application, User
publisher = User.objects.get(username="user4")
for name, fields in json.loads({fields!r}).items():
    app = Application(client_id=f"conformance-{{name}}", name=f"The {{name}} app", user=publisher)
    vars(app).update(fields)
    app.full_clean()
    app.save()
"""


class World:
    """One server, and who meets there.

    `public_url` is what people know it by, `url` where it is reached.
    """

    def __init__(self, server, public_url=None):
        self.server, self.url = server, server.url
        self.public_url = public_url or server.url
        self.people, self.tokens, self.turn = {}, {}, 0
        apps = {name: COMMON | {"client_secret": SECRET} | more for name, more in APPS.items()}
        server.manage("shell", "-c", MAKE.format(fields=json.dumps(apps)))
        for name, app in apps.items():
            redirect_uri = app.get("redirect_uris", "").partition(" ")[0]
            client = Client(self.url, f"conformance-{name}", app["client_secret"], redirect_uri)
            setattr(self, name, client)

    def browser(self):
        """A browser in which nobody has signed in."""
        return Browser(self.url)

    def person(self, username="user1"):
        """The browser of one of the demo's people, signed in; the same one in every test."""
        if username not in self.people:
            self.people[username] = self.sign_in(username)
        return self.people[username]

    def sign_in(self, username="user1"):
        """A fresh browser in which a person has just signed in."""
        return self.browser().sign_in(username, self.server.password)

    def some_person(self):
        """The browser of one of three in turn: each may type ten device codes in ten minutes."""
        self.turn = self.turn % 3 + 1
        return self.person(f"user{self.turn}")

    def token(self, scope):
        """An access token of user1's for the web app; the same one in every test."""
        if scope not in self.tokens:
            tokens = self.person().get_tokens(self.web, scope=scope)
            self.tokens[scope] = tokens["access_token"]
        return self.tokens[scope]

    def get(self, path, **options):
        """Ask without any credential."""
        return self.browser().get(path, **options)

    def metadata(self):
        """The authorization server's metadata (RFC 8414)."""
        return self.get("/.well-known/oauth-authorization-server").json()

    def register(self, **metadata):
        """Register an app by RFC 7591; None leaves a member out."""
        metadata = {"redirect_uris": ["https://new.example/callback"]} | metadata
        sent = {name: value for name, value in metadata.items() if value is not None}
        return self.web.call("/o/register/", method="POST", json=sent)

    def registered(self, **metadata):
        """Register an app and return what the server says of it."""
        answer = self.register(**metadata)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def shows_a_logo(self, person, client):
        """Return whether the consent page shows the app's logo, once a task has fetched it."""
        request = client.authorization_request(prompt="consent")
        for _ in range(150):
            page = person.get(request).text
            if "logo.png" in page:
                address = page.partition("logo.png")[0].rpartition('"')[2] + "logo.png"
                return person.get(address).headers["Content-Type"] == "image/png"
            time.sleep(0.2)
        return False

    def query(self, sql, *values):
        """Run one statement on the server's database and return its rows."""
        path = self.server.var / "pawprint.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database, database:
            return database.execute(sql, values).fetchall()

    def let_codes_expire(self):
        """Let every authorization code and device code that was given out pass its time."""
        for table in ("accounts_grant", "accounts_devicegrant"):
            self.query(f"UPDATE {table} SET expires = '2020-01-01 00:00:00'")

    def let_token_expire(self, token, days=0):
        """Let an access token have expired `days` ago, and be as old as that."""
        self.query(
            "UPDATE accounts_accesstoken SET expires = datetime('now', ?) WHERE token_checksum = ?",
            f"-{days * 24 * 3600 + 60} seconds",
            hashlib.sha256(token.encode()).hexdigest(),
        )

    def database_holds(self, secret):
        """Return whether the server's database has `secret` in clear, in any table."""
        path = self.server.var / "pawprint.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
            return any(secret in line for line in database.iterdump())
