"""Who is calling: people and organisations, their API keys, and the apps they let in.

All six of django-oauth-toolkit's models are ours from the first migration, because swapping one
later means rewriting its tables: Application has fields of our own already, the others are as
the toolkit has them.
"""

import ipaddress
from datetime import timedelta
from urllib.parse import urlsplit

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Length, Lower
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from oauth2_provider.models import (
    AbstractAccessToken,
    AbstractApplication,
    AbstractDeviceGrant,
    AbstractGrant,
    AbstractIDToken,
    AbstractRefreshToken,
    ApplicationManager,
)
from oauth2_provider.scopes import get_scopes_backend

from . import keys

LOOPBACK_HOSTS = {"127.0.0.1", "::1", "localhost"}


class User(AbstractUser):
    """A person, or an organisation that keeps its pets here under one name."""

    first_name = None
    last_name = None
    display_name = models.CharField(max_length=150, blank=True)
    bio = models.TextField(max_length=2000, blank=True)
    is_organization = models.BooleanField(
        default=False, help_text="An authority, a shelter or a practice; staff decide."
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            # "Alice" and "alice" would be told apart by the database and by nobody else.
            models.UniqueConstraint(Lower("username"), name="username_unique_in_any_case"),
        ]
        indexes = [models.Index(fields=["is_organization", "id"], name="user_organization_idx")]

    def get_full_name(self):
        return self.display_name or self.username

    def get_short_name(self):
        return self.get_full_name()


class ApiKeyManager(models.Manager):
    def create_key(self, user, name, scopes, expires_in=None, allowed_ips=()):
        """Store a new key and return `(api_key, key)`; `key` is in clear here and nowhere else.

        `scopes` are names from the settings' list, `expires_in` a timedelta of at most 366 days
        (90 days unless said), `allowed_ips` addresses or networks; none means any address.
        Raises ValidationError with the field's name for anything that is not so.
        """
        key, key_id = keys.generate()
        pepper = keys.current_pepper()
        api_key = self.model(
            user=user,
            name=name,
            key_id=key_id,
            pepper=pepper,
            digest=keys.digest(key, pepper),
            scope=" ".join(sorted(set(scopes))),
            allowed_ips=" ".join(str(address) for address in allowed_ips),
            expires_at=timezone.now()
            + (ApiKey.DEFAULT_LIFETIME if expires_in is None else expires_in),
        )
        api_key.full_clean()
        api_key.save(force_insert=True)
        return api_key, key


class ApiKey(models.Model):
    """A key that acts for its user within its scopes.

    What widens a key (user, scope, expiry, addresses) is fixed when it is made.  Only a digest
    is stored: the key itself is shown once.
    """

    DEFAULT_LIFETIME = timedelta(days=90)
    MAXIMUM_LIFETIME = timedelta(days=366)
    FIXED = ("user_id", "key_id", "pepper", "digest", "scope", "allowed_ips", "expires_at")

    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    key_id = models.CharField(max_length=keys.ID_LENGTH, unique=True, editable=False)
    pepper = models.PositiveSmallIntegerField(editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scope = models.TextField(help_text="Scopes, separated by spaces.")
    allowed_ips = models.TextField(
        blank=True, help_text="Addresses or networks it may come from, separated by spaces."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyManager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Exact(Length("digest"), 64), name="api_key_stores_a_digest"
            ),
            models.CheckConstraint(condition=~models.Q(scope=""), name="api_key_has_a_scope"),
        ]

    def __str__(self):
        return f"{self.name} ({keys.PREFIX}{self.key_id}_…)"

    def save(self, *args, **kwargs):
        """Save the key; ValidationError where a change would make it another key."""
        if not self._state.adding:
            as_made = ApiKey.objects.values(*self.FIXED).get(pk=self.pk)
            changed = [name for name in self.FIXED if getattr(self, name) != as_made[name]]
            if changed:
                raise ValidationError(f"{', '.join(changed)} is fixed when a key is made.")
        super().save(*args, **kwargs)

    def clean(self):
        problems = {}
        unknown = sorted(set(self.scope.split()) - set(get_scopes_backend().get_all_scopes()))
        if unknown:
            problems["scope"] = f"Unknown scope: {', '.join(unknown)}."
        elif not self.scope:
            problems["scope"] = "Name at least one scope."
        if self._state.adding:
            lifetime = self.expires_at - timezone.now()
            if lifetime <= timedelta(0):
                problems["expires_at"] = "The expiry lies in the past."
            elif lifetime > self.MAXIMUM_LIFETIME:
                problems["expires_at"] = (
                    f"A key lives {self.MAXIMUM_LIFETIME.days} days at most; make a new one then."
                )
        try:
            self.networks()
        except ValueError as error:
            problems["allowed_ips"] = f"{error}."
        if problems:
            raise ValidationError(problems)

    def networks(self):
        """Return the networks the key may come from; ValueError for what is none."""
        return [ipaddress.ip_network(entry) for entry in self.allowed_ips.split()]

    def matches(self, key):
        """Return whether `key` is this key, in constant time."""
        expected = keys.digest(key, self.pepper)
        return expected is not None and constant_time_compare(expected, self.digest)

    def allow_scopes(self, scopes):
        """Return whether every one of `scopes` was granted; access tokens answer this too."""
        return set(scopes) <= set(self.scope.split())

    def is_expired(self):
        return timezone.now() >= self.expires_at

    def is_valid(self, scopes=None):
        """Return whether the key is live and has `scopes`."""
        return self.revoked_at is None and not self.is_expired() and self.allow_scopes(scopes or ())

    def allows_address(self, address):
        """Return whether the key may be used from `address`."""
        if not self.allowed_ips:
            return True
        try:
            address = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(address in network for network in self.networks())

    def revoke(self):
        """End the key now; it stays listed."""
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])


class Application(AbstractApplication):
    """A third-party app (RFC 6749 §1.1: the client)."""

    # RFC 9700 §2.1.2 and §2.4 leave these.
    GRANT_TYPES = tuple(
        choice
        for choice in AbstractApplication.GRANT_TYPES
        if choice[0]
        in {
            AbstractApplication.GRANT_AUTHORIZATION_CODE,
            AbstractApplication.GRANT_CLIENT_CREDENTIALS,
            AbstractApplication.GRANT_DEVICE_CODE,
        }
    )
    authorization_grant_type = models.CharField(
        "authorization grant type", max_length=44, choices=GRANT_TYPES
    )
    algorithm = models.CharField(
        max_length=5,
        choices=AbstractApplication.ALGORITHM_TYPES,
        default=AbstractApplication.RS256_ALGORITHM,
        blank=True,
    )
    scope = models.TextField(
        blank=True, help_text="Scopes it may ask for, separated by spaces; empty means any."
    )
    default_scope = models.TextField(
        blank=True,
        help_text="Scopes it gets when it asks for none; empty means the server's default.",
    )
    is_active = models.BooleanField(
        default=True, help_text="Switched off, neither the app nor its tokens work."
    )

    objects = ApplicationManager()

    def natural_key(self):
        return (self.client_id,)

    def is_usable(self, request):
        return self.is_active

    def clean(self):
        problems = {}
        try:
            super().clean()
        except ValidationError as error:
            problems = error.error_dict
        for field in ("redirect_uris", "allowed_origins"):
            for uri in getattr(self, field).split():
                try:
                    parts = urlsplit(uri)
                except ValueError:
                    reason = "this is no address."
                else:
                    if parts.scheme != "http" or parts.hostname in LOOPBACK_HOSTS:
                        continue
                    reason = "http is for loopback addresses; use https."
                problems.setdefault(field, []).append(ValidationError(f"{uri}: {reason}"))
        known = set(get_scopes_backend().get_all_scopes())
        allowed = set(self.scope.split()) or known
        for field, names, limit in (
            ("scope", self.scope, known),
            ("default_scope", self.default_scope, allowed),
        ):
            if extra := sorted(set(names.split()) - limit):
                problems.setdefault(field, []).append(
                    ValidationError(f"Not among the scopes it may ask for: {', '.join(extra)}.")
                )
        if problems:
            raise ValidationError(problems)


class AccessToken(AbstractAccessToken):
    class Meta(AbstractAccessToken.Meta):
        pass


class RefreshToken(AbstractRefreshToken):
    class Meta(AbstractRefreshToken.Meta):
        pass


class Grant(AbstractGrant):
    """An authorization code on its way to becoming a token."""

    class Meta(AbstractGrant.Meta):
        pass


class IDToken(AbstractIDToken):
    class Meta(AbstractIDToken.Meta):
        pass


class DeviceGrant(AbstractDeviceGrant):
    # As wide as Application.client_id, which may be the URL of a metadata document.
    client_id = models.CharField(max_length=255, db_index=True)

    class Meta(AbstractDeviceGrant.Meta):
        pass
