"""Which addresses an app may register: where people are sent with a code, where its page is."""

import re
from urllib.parse import urlsplit

from .models import LOOPBACK_HOSTS, is_private_use

LONGEST = 500
# RFC 3986 §2: what an absolute URI is written with.
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)
DEFAULT_PORTS = {"https": 443, "http": 80}


def problem_with_redirect(uri, own_scheme):
    """Return why nobody can be sent to `uri` with a code, in a sentence; None where they can.

    `own_scheme` says whether the app may have a private-use scheme.  RFC 6749 §3.1.2, RFC 8252
    §7, RFC 9700 §2.1.
    """
    if not ABSOLUTE.fullmatch(uri):
        return "Write the whole address, such as https://app.example.org/callback."
    if len(uri) > LONGEST:
        return f"{LONGEST} characters at most."
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 (a property that raises)
    except ValueError:
        return "This is no address."
    if "#" in uri:
        return "It cannot have a fragment (#…)."
    if parts.scheme not in {"https", "http"}:
        if own_scheme and is_private_use(parts.scheme):
            return None
        if own_scheme:
            return "Use https, http on this machine, or a scheme named after a domain of yours."
        return "Use https."
    if not parts.hostname:
        return "It names no host."
    if "@" in parts.netloc:
        return "It cannot hold a user name or password."
    if "*" in parts.netloc:
        return "There are no wildcards: name each address."
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        return "Use https; http is for localhost, 127.0.0.1 and [::1]."
    return None


def problem_with_origin(origin):
    """Return why no page can have `origin`, in a sentence; None where one can (RFC 6454 §6.1)."""
    if problem := problem_with_redirect(origin, own_scheme=False):
        return problem
    parts = urlsplit(origin)
    if parts.path or "?" in origin:
        return "Leave out what follows the host."
    if parts.port == DEFAULT_PORTS[parts.scheme]:
        return "Leave out the port: browsers do."
    if origin != origin.lower():
        return "Write it in small letters, as browsers do."
    return None
