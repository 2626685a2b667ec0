"""Sessions in the database, which is asked only for keys that a session can have; when the person
of a session signed in, and when and from where it was last used."""

import hashlib
import re
import time

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.core.internal.httpkit import HTTP_USER_AGENT_MAX_LENGTH
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore as BaseStore
from django.core.cache import cache
from django.dispatch import receiver
from django.utils import timezone

BROWSERS = (
    ("Edge", r"Edg"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser"),
    ("Firefox", r"Firefox|FxiOS"),
    ("Chrome", r"Chrom(e|ium)|CriOS"),
    ("Safari", r"Safari"),
    ("curl", r"^curl"),
    ("Python", r"^python"),
)
SYSTEMS = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux|X11"),
)


ANONYMOUS_LASTS = 3600  # seconds: whoever passes by can fill the table


class SessionStore(BaseStore):
    """Django's, but a key with a NUL byte is no key: PostgreSQL fails when asked for one; and where
    nobody is signed in, it lasts an hour."""

    def get_session_cookie_age(self):
        return super().get_session_cookie_age() if SESSION_KEY in self else ANONYMOUS_LASTS

    def _validate_session_key(self, key):
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()


def sessions_of(user):
    """Return where `user` is signed in, a list of UserSession; two queries, however many."""
    listed = list(UserSession.objects.filter(user=user))
    keys = [session.session_key for session in listed]
    live = SessionStore.get_model_class().objects.filter(
        session_key__in=keys, expire_date__gt=timezone.now()
    )
    # A new password ends the sessions that began with the old one.
    proof = user.get_session_auth_hash()
    theirs = {s.session_key for s in live if s.get_decoded().get(HASH_SESSION_KEY) == proof}
    return [session for session in listed if session.session_key in theirs]


@receiver(user_logged_in)
def note_sign_in(sender, request, **kwargs):
    request.session["signed_in_at"] = time.time()


def must_show_again(request):
    """Return whether the person was signed in too long ago for what is dangerous."""
    return is_reauthentication_required(request, app="allauth.account")


def signed_in_at(request):
    """Return when the person last showed who they are, in seconds since 1970.

    Signing in counts, and confirming it, which allauth notes by itself.
    """
    shown = get_authentication_records(request, request.user)
    times = [request.session.get("signed_in_at", 0), *(method.get("at", 0) for method in shown)]
    return max(times)


class LastSeenMiddleware:
    """Note when, from where and by which browser a session was used, at most once a minute.

    A request that never asked who is calling is none that used it.
    """

    EVERY = 60

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        user = vars(request).get("_cached_user")
        if user is not None and user.is_authenticated and request.session.session_key:
            self.note(request)
        return response

    def note(self, request):
        if time.time() - request.session.get("signed_in_at", 0) < self.EVERY:
            return  # signing in noted it
        session_key = request.session.session_key
        # A digest: the key itself is a credential.
        digest = hashlib.sha256(session_key.encode()).hexdigest()
        if cache.add(f"session-seen:{digest}", True, self.EVERY):
            UserSession.objects.filter(session_key=session_key).update(
                last_seen_at=timezone.now(),
                ip=get_adapter().get_client_ip(request),
                user_agent=request.headers.get("User-Agent", "")[:HTTP_USER_AGENT_MAX_LENGTH],
            )


def browser_in_words(user_agent):
    """Return what a User-Agent header says in words that people use: "Firefox on Linux"."""

    def first(names):
        return next((name for name, pattern in names if re.search(pattern, user_agent)), "")

    browser, system = first(BROWSERS), first(SYSTEMS)
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"A browser on {system}" if system else "An unknown program")
