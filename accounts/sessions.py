"""Sessions in the database, which is asked only for keys that a session can have; and when the
person of a session signed in."""

import time

from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore as BaseStore
from django.dispatch import receiver


class SessionStore(BaseStore):
    """Django's, but a key with a NUL byte is no key: PostgreSQL fails when asked for one."""

    def _validate_session_key(self, key):
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()


@receiver(user_logged_in)
def note_sign_in(sender, request, **kwargs):
    request.session["signed_in_at"] = time.time()


def signed_in_at(request):
    """Return when the person last showed who they are, in seconds since 1970.

    Signing in counts, and confirming it, which allauth notes by itself.
    """
    shown = request.session.get("account_authentication_methods", [])
    times = [request.session.get("signed_in_at", 0), *(method.get("at", 0) for method in shown)]
    return max(times)
