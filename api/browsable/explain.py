"""Why a request was refused: what was presented, what is missing, and what would allow it.

Nothing is told of a credential that failed to verify but the header it came in.
"""

HEADERS = ("Authorization", "X-API-Key")


def credential(request):
    """Return what `request` is authenticated by, for people: `{kind, name, scopes, expires_at}`.

    `kind` is session, key, app (a token of an app that acts for `user`), machine (of one that acts
    for itself), refused (it did not hold) or none.
    """
    auth, user = request.auth, request.user
    about = {"kind": "none", "name": "", "scopes": None, "expires_at": None, "user": user}
    if auth is None:
        if user is not None and user.is_authenticated:
            expires_at = request._request.session.get_expiry_date()
            return about | {"kind": "session", "expires_at": expires_at}
        sent = [name for name in HEADERS if name in request.headers]
        return about | ({"kind": "refused", "name": " and ".join(sent)} if sent else {})
    about["scopes"] = auth.scope.split()
    if hasattr(auth, "application"):
        kind = "machine" if user is None else "app"
        return about | {"kind": kind, "name": str(auth.application), "expires_at": auth.expires}
    return about | {
        "kind": "key", "name": auth.name, "masked": auth.masked, "expires_at": auth.expires_at,
    }  # fmt: skip


def explain(request, view, problem):
    """Return what the page about a 401 or 403 says: `{code, presented, scopes, missing,
    all_scopes}`."""
    code = problem["type"].rstrip("/").rpartition("/")[2]
    presented = credential(request)
    if code == "permission_denied" and presented["kind"] == "none":
        presented["kind"] = "form"  # Django's check of where a form comes from precedes the session
    scopes = list(getattr(view, "scopes_wanted", []))
    held = presented["scopes"]
    return {
        "code": code,
        "presented": presented,
        "scopes": scopes,
        "missing": [scope for scope in scopes if held is not None and scope not in held],
        # A new key has what the old one had: scopes are never added to one that exists.
        "all_scopes": sorted({*scopes, *(held or [])}),
    }
