"""A small OAuth client and a small browser, written by hand: what a test sends is here to read."""

import base64
import hashlib
from html.parser import HTMLParser
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

import requests

VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123456789"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TIMEOUT = 30


def challenge_of(verifier):
    """Return the S256 code challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def basic(user, password):
    """Return the Authorization header of HTTP Basic, encoded as RFC 6749 §2.3.1 says."""
    pair = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def parameters(uri):
    """Return the query of a URI as a dict; it has no parameter twice."""
    pairs = parse_qsl(urlsplit(uri).query, keep_blank_values=True, strict_parsing=True)
    assert len(pairs) == len(dict(pairs)), uri
    return dict(pairs)


def without_none(pairs):
    """Return the pairs of a form or a query: those whose value is None left out, a list's value
    one after the other."""
    return [
        (name, value)
        for name, values in pairs.items()
        for value in (values if isinstance(values, list) else [values])
        if value is not None
    ]


class Client:
    """An app, as the app itself sees it: what it knows, and the requests it makes."""

    def __init__(self, url, client_id, client_secret="", redirect_uri=""):
        self.url = url
        self.client_id, self.client_secret = client_id, client_secret
        self.redirect_uri = redirect_uri
        self.session = requests.Session()

    def authorization_request(self, **overrides):
        """Return the address that a browser is sent to; None leaves a parameter out."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "pets:read",
            "state": "af0ifjsldkj",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        } | overrides
        return f"/o/authorize/?{urlencode(without_none(query), quote_via=quote)}"

    def post(self, path, form, headers=None, authenticate=True):
        """Post a form as this app: by HTTP Basic with a secret, else with its client_id."""
        headers = dict(headers or {})
        if authenticate and self.client_secret:
            headers.setdefault("Authorization", basic(self.client_id, self.client_secret))
        elif authenticate:
            form = {"client_id": self.client_id} | form
        return self.session.post(
            self.url + path,
            data=urlencode(without_none(form)),
            headers={"Content-Type": "application/x-www-form-urlencoded"} | headers,
            allow_redirects=False,
            timeout=TIMEOUT,
        )

    def token(self, authenticate=True, headers=None, **form):
        return self.post("/o/token/", form, headers, authenticate)

    def exchange(self, code, authenticate=True, **overrides):
        """Turn a code into tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": VERIFIER,
        }
        return self.token(authenticate, **form | overrides)

    def refresh(self, refresh_token, authenticate=True, **form):
        """Turn a refresh token into tokens."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token} | form
        return self.token(authenticate, **form)

    def credentials(self, authenticate=True, **form):
        """Ask for a token of its own."""
        return self.token(authenticate, grant_type="client_credentials", **form)

    def revoke(self, token, authenticate=True, **form):
        return self.post("/o/revoke_token/", {"token": token} | form, authenticate=authenticate)

    def introspect(self, token, authenticate=True, **form):
        return self.post("/o/introspect/", {"token": token} | form, authenticate=authenticate)

    def start_device(self, authenticate=True, **form):
        """Ask for a device code and a user code."""
        form = {"scope": "pets:read"} | form
        return self.post("/o/device-authorization/", form, authenticate=authenticate)

    def poll(self, device_code, authenticate=True, **form):
        form = {"grant_type": DEVICE_CODE, "device_code": device_code} | form
        return self.token(authenticate, **form)

    def call(self, path, token=None, method="GET", **options):
        """Call the API, or anything else, with an access token."""
        headers = options.pop("headers", {}) | (bearer(token) if token else {})
        return self.session.request(
            method,
            urljoin(self.url, path),
            headers=headers,
            allow_redirects=False,
            timeout=TIMEOUT,
            **options,
        )


class Browser:
    """A person's browser: it keeps cookies, fills in forms, and follows no redirect unasked."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()

    def send(self, method, path, **options):
        for cookie in self.session.cookies:
            # Behind the proxy, where we are, cookies that are for https alone come by http.
            cookie.secure = False
        address = urljoin(self.url, path)
        return self.session.request(
            method, address, allow_redirects=False, timeout=TIMEOUT, **options
        )

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def post(self, path, form, **options):
        return self.send("POST", path, data=form, **options)

    def follow(self, response):
        """Follow redirects as long as they stay on the server; return the last answer."""
        while response.is_redirect:
            target = urljoin(response.url, response.headers["Location"])
            if not target.startswith(f"{self.url}/"):
                break
            response = self.get(target)
        return response

    def submit(self, page, control, pressed=None, **changes):
        """Send the form of `page` that has `control`, as it stands but for the changes.

        Where the control is a button it is pressed; `pressed` is its value, where there are
        several.  A change of None takes a field out.
        """
        form = next(form for form in forms(page) if form.has(control))
        sent = [(name, value) for name, value in form.fields if name not in changes]
        if control in form.buttons and control not in changes:
            sent.append((control, pressed or form.buttons[control][0]))
        return self.post(urljoin(page.url, form.action), sent + without_none(changes))

    def sign_in(self, username, password):
        """Sign in on the login page, as a person does."""
        page = self.get("/accounts/login/")
        answer = self.submit(page, "login", login=username, password=password)
        assert answer.status_code == 302, answer.text
        return self

    def decide(self, page, allow=True, **changes):
        """Press Allow or Deny on the consent page; return the redirect to the app."""
        assert page.status_code == 200, (page.status_code, page.headers, page.text[-2000:])
        return self.submit(page, "allow", **changes | ({} if allow else {"allow": None}))

    def authorize(self, client, **overrides):
        """Go where the app sends the person, allow what is asked where it is asked, and return
        what the browser brings back to the app: the parameters of its redirect URI."""
        answer = self.get(client.authorization_request(**overrides))
        if answer.status_code == 200:
            answer = self.decide(answer)
        return brought_back(answer, overrides.get("redirect_uri", client.redirect_uri))

    def enter_code(self, codes, user_code=None):
        """Type a device's code where the device says; return the answer."""
        page = self.get(codes["verification_uri"])
        return self.submit(page, "user_code", user_code=user_code or codes["user_code"])

    def connect_device(self, codes, allow=True, **changes):
        """Type a device's code and decide; return the last page."""
        page = self.follow(self.enter_code(codes))
        form = next(form for form in forms(page) if form.has("action"))
        (yes,) = set(form.buttons["action"]) - {"deny"}
        return self.follow(self.submit(page, "action", yes if allow else "deny", **changes))

    def get_code(self, client, **overrides):
        return self.authorize(client, **overrides)["code"]

    def get_tokens(self, client, **overrides):
        """Go through the whole flow; return the token response's members."""
        code = self.get_code(client, **overrides)
        answer = client.exchange(
            code, redirect_uri=overrides.get("redirect_uri", client.redirect_uri)
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


def brought_back(answer, redirect_uri):
    """Return the parameters of a redirect to the app at `redirect_uri`."""
    assert answer.is_redirect, (answer.status_code, answer.text[-2000:])
    target = answer.headers["Location"]
    assert target.startswith(redirect_uri), target
    return parameters(target)


class Form:
    """A form of a page: where it goes, its fields as they stand, and its buttons."""

    def __init__(self, action):
        self.action, self.fields, self.buttons = action, [], {}

    def has(self, name):
        return name in self.buttons or name in dict(self.fields)


class FormReader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if tag == "form":
            self.forms.append(Form(at.get("action", "")))
        if tag not in {"input", "button"} or not self.forms or "disabled" in at:
            return
        name, value, kind = at.get("name"), at.get("value") or "", at.get("type", "")
        if not name or (kind in {"checkbox", "radio"} and "checked" not in at):
            return
        if tag == "button" or kind == "submit":
            self.forms[-1].buttons.setdefault(name, []).append(value)
        else:
            self.forms[-1].fields.append((name, value))


def forms(page):
    """Return the forms of a page."""
    reader = FormReader()
    reader.feed(page.text)
    return reader.forms
