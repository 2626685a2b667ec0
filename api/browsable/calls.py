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


def calls(view, request, example, answer):
    """Return `[(method, [(language, code)])]` for what a program can ask of this address, which
    answered `answer`; `example(method, shown)` is a body for what is shown."""
    is_many = getattr(view, "detail", None) is False
    few = few_of(answer, request.user) if is_many and request.user else []
    # A program that asks for this page's own format would get this page.
    query = urlencode([pair for pair in parameters(request) if pair != ("format", "api")])
    url = request.build_absolute_uri(escape_uri_path(request.path))
    found = []
    for method, scopes, _ in methods(view, request):
        if scopes == "session" or method == "PUT":
            continue
        if is_many and method in {"PATCH", "DELETE"} and not few:
            continue  # there is nothing that could be named
        full = f"{url}?{query}" if query and method == "GET" else url
        if is_many and method == "PATCH":
            body = [{"id": thing["id"], **example(method, thing)} for thing in few]
        else:
            body = example(method, answer) if method in {"POST", "PATCH"} else None
        if is_many and method == "DELETE":
            full = f"{url}?ids={','.join(str(thing['id']) for thing in few)}"
        found.append((method, snippets(method, full, body, key=None if scopes is None else KEY)))
    return found


def few_of(answer, caller):
    """Return up to two things of a list that `caller` may change."""
    things = answer.get("results", []) if isinstance(answer, dict) else []
    may_all = getattr(caller, "is_staff", False)
    theirs = [t for t in things if may_all or (t.get("owner") or {}).get("id") == caller.pk]
    return [thing for thing in theirs if "id" in thing][:2]


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
