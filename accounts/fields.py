"""A column for what must be found again and never read."""

import hashlib

from django.db import models


class Digest(str):
    """The SHA-256 of a secret, as the database holds it."""


class DigestField(models.CharField):
    """A random secret, stored and looked up by its digest; `filter(code=code)` works as ever.

    A fast hash will do: what is random cannot be guessed.  A digest itself finds nothing, so that
    whoever reads the table cannot use what stands there.
    """

    def from_db_value(self, value, expression, connection):
        return None if value is None else Digest(value)

    def get_prep_value(self, value):
        value = super().get_prep_value(value)
        if value is None or isinstance(value, Digest):
            return value
        return hashlib.sha256(value.encode()).hexdigest()
