"""Sessions in the database, which is asked only for keys that a session can have."""

from django.contrib.sessions.backends.db import SessionStore as BaseStore


class SessionStore(BaseStore):
    """Django's, but a key with a NUL byte is no key: PostgreSQL fails when asked for one."""

    def _validate_session_key(self, key):
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()
