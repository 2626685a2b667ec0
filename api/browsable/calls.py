"""What each method of an address needs, and how a program calls it."""

from urllib.parse import urlencode

from django.utils.encoding import escape_uri_path
from rest_framework.request import override_method

from accounts.snippets import KEY, snippets

from ..permissions import HasScope, required_scopes
from .lists import parameters
from .things import url_name

# What a key or a token can never do.
SESSION_ONLY = {("me", "DELETE")}
EXAMPLE_FIELDS = 5
ORDER = {method: n for n, method in enumerate(["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"])}


def methods(view, request):
    """Return what each method of `view` needs: `[(method, scopes, may)]`.

    `scopes` is None where no credential is needed and "session" where only a person may; `may`
    says whether the caller has them, whatever it may do with this one thing.
    """
    found = []
    for method in sorted(set(view.allowed_methods) - {"HEAD", "OPTIONS"}, key=ORDER.get):
        with override_method(view, request, method):
            judged = any(isinstance(p, HasScope) for p in view.get_permissions())
            scopes = required_scopes(view, method) if judged else None
        if (url_name(request), method) in SESSION_ONLY:
            scopes = "session"
        found.append((method, scopes, may(request, method, scopes)))
    return found


def may(request, method, scopes):
    if scopes is None:
        return True
    user, auth = request.user, request.auth
    if auth is None:
        return bool(user and user.is_authenticated)
    if scopes == "session" or (user is None and method != "GET"):
        return False
    return auth.allow_scopes(scopes)


def calls(view, request, example):
    """Return `[(method, [(language, code)])]` for what a program can ask of this address."""
    # A program that asks for this page's own format would get this page.
    query = urlencode([pair for pair in parameters(request) if pair != ("format", "api")])
    url = request.build_absolute_uri(escape_uri_path(request.path))
    found = []
    for method, scopes, _ in methods(view, request):
        if scopes == "session" or method == "PUT":
            continue
        full = f"{url}?{query}" if query and method == "GET" else url
        body = example(method) if method in {"POST", "PATCH"} else None
        found.append((method, snippets(method, full, body, key=None if scopes is None else KEY)))
    return found


def example_body(serializer, method, data):
    """Return a small body that `method` would take: for PATCH a field as it is now."""
    writable = {name: f for name, f in serializer.fields.items() if not f.read_only}
    if method == "PATCH":
        source = data if isinstance(data, dict) else {}
        source = source.get("user") or source
        names = [name for name in writable if isinstance(source.get(name), str)][:1]
        return {name: source[name] for name in names} or {next(iter(writable), ""): ""}
    annotated = getattr(serializer, "_spectacular_annotation", {}).get("examples", [])
    values = next((e.value for e in annotated if e.request_only), None) or serializer.data
    said = {name: values[name] for name in writable if values.get(name)}
    required = [name for name, field in writable.items() if field.required]
    names = list(dict.fromkeys([*required, *said]))[:EXAMPLE_FIELDS]
    return {name: said[name] for name in names if name in said}
