"""Who is calling: people and organisations, their API keys, and the apps they let in.

All six of django-oauth-toolkit's models are ours from the first migration, because swapping one
later means rewriting its tables; most have fields of our own.
"""

import contextlib
import hmac
import ipaddress
import re
import secrets
import unicodedata
import uuid
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as BaseUserManager
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models.functions import Length, Lower
from django.db.models.lookups import Exact
from django.utils import timezone
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
from .fields import DigestField

LOOPBACK_HOSTS = {"127.0.0.1", "::1", "localhost"}
# Not localhost, which may be somebody else (RFC 8252 §8.3).
LOOPBACK_URI = re.compile(r"http://(?P<host>127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(?P<rest>/[^#\s]*)?")


def new_version():
    """Return what no version of a row was before.

    Not a count: of two writers at once, neither has to know the other's.
    """
    return secrets.randbits(62)


class VersionedQuerySet(models.QuerySet):
    def update(self, **fields):
        # One for all that are written: a state names its row too.  bulk_update comes here as well.
        if fields.keys() - self.model.UNSEEN:
            fields = {"version": new_version()} | fields
        return super().update(**fields)

    update.alters_data = True


class Versioned(models.Model):
    """A row with a `version` that changes whenever it is written; its ETag is made of it.

    Its manager has to be one of VersionedQuerySet.
    """

    version = models.BigIntegerField(default=new_version, editable=False)

    # Fields that nobody is shown: writing them makes no new version.
    UNSEEN = frozenset()

    class Meta:
        abstract = True

    def save(self, *args, update_fields=None, **kwargs):
        if not self._state.adding and (update_fields is None or set(update_fields) - self.UNSEEN):
            self.version = new_version()
            if update_fields is not None:
                update_fields = [*update_fields, "version"]
        super().save(*args, update_fields=update_fields, **kwargs)

    @property
    def state(self):
        """This row as it is now, in letters and digits: no other row or version has the same."""
        return f"{self._meta.model_name}{self.pk}-{self.version:x}"


class UserManager(BaseUserManager.from_queryset(VersionedQuerySet)):
    pass


class User(Versioned, AbstractUser):
    """A person, or an organisation that keeps its pets here under one name."""

    UNSEEN = frozenset({"last_login", "password"})

    first_name = None
    last_name = None
    display_name = models.CharField(max_length=150, blank=True)
    bio = models.TextField(max_length=2000, blank=True)
    is_organization = models.BooleanField(
        default=False, help_text="An authority, a shelter or a practice; staff decide."
    )

    objects = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            # "Alice" and "alice" would be told apart by the database and by nobody else.
            models.UniqueConstraint(Lower("username"), name="username_unique_in_any_case"),
        ]
        indexes = [models.Index(fields=["is_organization", "id"], name="user_organization_idx")]

    def __str__(self):
        return self.username

    def get_full_name(self):
        """The display name on one line, without what nobody sees: it stands in mails and on pages
        beside our own words, and must not pass for them."""
        unseen = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
        seen = (" " if unicodedata.category(c) in unseen else c for c in self.display_name)
        return " ".join("".join(seen).split()) or self.username

    def get_short_name(self):
        return self.get_full_name()

    def delete(self, *args, **kwargs):
        """Delete the person with all that is theirs, also while apps refresh their tokens."""

        def end():
            # Nobody who is switched off gets a new token: the chains of tokens come to an end.
            User.objects.filter(pk=self.pk).update(is_active=False)
            end_all(user=self)
            # What staff did to the account stays on record, its name does not.
            done = LogEntry.objects.filter(object_id=str(self.pk))
            done.filter(content_type__app_label="accounts", content_type__model="user").update(
                object_repr="(deleted)"
            )

        return until_it_holds(self, end, partial(super().delete, *args, **kwargs))


class ApiKeyManager(models.Manager):
    def create_key(self, user, name, scopes, expires_in=None, allowed_ips=(), key_id=None):
        """Store a new key and return `(api_key, key)`; `key` is in clear here and nowhere else.

        `scopes` are names from the settings' list, `expires_in` a timedelta of at most 366 days
        (90 days unless said), `allowed_ips` addresses or networks; none means any address.
        Raises ValidationError with the field's name for anything that is not so, and without one
        where the person has MOST_PER_USER live keys already; IntegrityError where a `key_id` that
        is given is that of a key already.
        """
        key_id = key_id or keys.generate()[1]
        key = keys.generate_token(f"{keys.PREFIX}{key_id}_")
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
        # Whose id it is the database alone decides, also between two at once.
        api_key.full_clean(validate_unique=False)
        with transaction.atomic():
            # Locked: of many that are made at once, each counts those before it.
            User.objects.select_for_update().get(pk=user.pk)
            if self.has_no_room(user):
                raise ValidationError(
                    f"There are {ApiKey.MOST_PER_USER} live keys, as many as one account can have; "
                    "revoke one first."
                )
            api_key.save(force_insert=True)
        return api_key, key

    def live(self):
        """Keys that work, or would when they are switched on again."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def has_no_room(self, user):
        return self.live().filter(user=user).count() >= ApiKey.MOST_PER_USER


class ApiKey(models.Model):
    """A key that acts for its user within its scopes.

    What widens a key (user, scope, expiry, addresses) is fixed when it is made; it may only end
    sooner.  Only a digest is stored: the key itself is shown once.
    """

    DEFAULT_LIFETIME = timedelta(days=90)
    MAXIMUM_LIFETIME = timedelta(days=366)
    MOST_PER_USER = 25
    SOON = timedelta(days=14)
    FIXED = ("user_id", "key_id", "pepper", "digest", "scope", "allowed_ips", "expires_at")

    class Exposure(models.TextChoices):
        """How somebody else may have come to know a key."""

        REPORTED = "reported", "reported as leaked"
        PLAIN_HTTP = "plain_http", "sent without encryption"

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
    disabled_at = models.DateTimeField(
        "switched off at", null=True, blank=True, help_text="It may be switched on again."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    exposed_at = models.DateTimeField(null=True, blank=True, editable=False)
    exposed_how = models.CharField(
        max_length=10, choices=Exposure.choices, blank=True, editable=False
    )
    replaced_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, editable=False, related_name="replaces"
    )
    expiry_told_at = models.DateTimeField(
        null=True, editable=False, help_text="When its owner was told that it expires soon."
    )

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
        return f"{self.name} ({self.masked})"

    def save(self, *args, **kwargs):
        """Save the key; ValidationError where a change would make it another key."""
        if not self._state.adding:
            as_made = ApiKey.objects.values(*self.FIXED).get(pk=self.pk)
            changed = [name for name in self.FIXED if getattr(self, name) != as_made[name]]
            if self.expires_at < as_made["expires_at"]:
                changed.remove("expires_at")
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
        return expected is not None and hmac.compare_digest(expected, self.digest)

    def allow_scopes(self, scopes):
        """Return whether every one of `scopes` was granted; access tokens answer this too."""
        return set(scopes) <= set(self.scope.split())

    def is_expired(self):
        return timezone.now() >= self.expires_at

    def is_valid(self, scopes=None):
        """Return whether the key is live and has `scopes`."""
        return self.is_live and self.disabled_at is None and self.allow_scopes(scopes or ())

    @property
    def is_live(self):
        """Whether it works, or would when it is switched on again."""
        return self.revoked_at is None and not self.is_expired()

    def check_that_it_can_be_rotated(self):
        """ValidationError where it ended or was replaced already."""
        if self.replaced_by_id:
            raise ValidationError("This key was replaced already; rotate the newer one.")
        if not self.is_live:
            raise ValidationError("This key has ended; make a new one like it instead.")

    @property
    def can_be_rotated(self):
        return self.is_live and self.replaced_by_id is None

    @property
    def ends_soon(self):
        return self.is_live and self.expires_at - timezone.now() < self.SOON

    @property
    def lifetime(self):
        """How long it lives from its making to its end, in whole minutes."""
        return timedelta(minutes=round((self.expires_at - self.created_at).total_seconds() / 60))

    @property
    def time_left(self):
        """How long it lives on, such as "12 days" or "1 hour"."""
        return in_words(self.expires_at - timezone.now())

    @property
    def masked(self):
        """What of the key may be seen: enough to tell it from others."""
        return f"{keys.PREFIX}{self.key_id}_…"

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
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            # One statement: it may be rotated at this very moment.
            ApiKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=self.revoked_at)

    def rotate(self, overlap=timedelta(0), expires_in=None, key_id=None):
        """Put a new key in this one's place, and return it as `create_key` does.

        It has this one's name, scopes and addresses, and lives as long as this one was made for
        unless `expires_in` says otherwise.  This one ends after `overlap`, and never later than it
        would have.  Raises ValidationError where it ended or was replaced already, and what
        `create_key` raises.
        """
        with transaction.atomic():
            # The person first, as create_key does: who waits for each other waits for ever.
            User.objects.select_for_update().get(pk=self.user_id)
            old = ApiKey.objects.select_for_update().get(pk=self.pk)
            old.check_that_it_can_be_rotated()
            if expires_in is None:
                expires_in = old.lifetime
            if overlap:
                old.expires_at = min(old.expires_at, timezone.now() + overlap)
            else:
                old.revoked_at = timezone.now()
            old.save(update_fields=["expires_at", "revoked_at"])
            scopes, allowed_ips = old.scope.split(), old.allowed_ips.split()
            new, key = ApiKey.objects.create_key(
                old.user, old.name, scopes, expires_in, allowed_ips, key_id
            )
            old.replaced_by = new
            old.save(update_fields=["replaced_by"])
        self.refresh_from_db()
        return new, key


def in_words(duration):
    """Return about how long `duration` is, such as "12 days" or "1 hour"."""
    minutes = duration.total_seconds() / 60
    units = [("day", 24 * 60), ("hour", 60), ("minute", 1)]
    unit, length = next((unit for unit in units if minutes >= unit[1]), units[-1])
    count = max(round(minutes / length), 1)
    return f"1 {unit}" if count == 1 else f"{count:,} {unit}s"


class Application(AbstractApplication):
    """A third-party app (RFC 6749 §1.1: the client).

    `authorization_grant_type` is its first grant type, `extra_grant_types` the others.  It has up
    to two secrets: `client_secret` and, while the app changes over, `old_client_secret`.
    """

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
    # As the registry of RFC 7591 §2 spells them.
    RFC_GRANT_TYPES = {
        AbstractApplication.GRANT_AUTHORIZATION_CODE: "authorization_code",
        AbstractApplication.GRANT_CLIENT_CREDENTIALS: "client_credentials",
        AbstractApplication.GRANT_DEVICE_CODE: AbstractApplication.GRANT_DEVICE_CODE,
    }
    authorization_grant_type = models.CharField(
        "authorization grant type", max_length=44, choices=GRANT_TYPES
    )
    extra_grant_types = models.TextField(
        blank=True, help_text="Further grant types, separated by spaces."
    )
    algorithm = models.CharField(
        max_length=5,
        # HS256 would need the client secret in clear.
        choices=[c for c in AbstractApplication.ALGORITHM_TYPES if c[0] != "HS256"],
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
    is_suspended = models.BooleanField(
        "switched off by staff", default=False, help_text="Only staff can switch it on again."
    )
    is_verified = models.BooleanField(
        "verified", default=False, help_text="Staff know who publishes it."
    )
    homepage_url = models.URLField("homepage", max_length=500, blank=True)
    policy_url = models.URLField("privacy policy", max_length=500, blank=True)
    secret_created_at = models.DateTimeField(default=timezone.now, editable=False)
    secret_used_at = models.DateTimeField(null=True, editable=False)
    old_client_secret = models.CharField(max_length=255, blank=True, editable=False)
    old_secret_created_at = models.DateTimeField(null=True, editable=False)
    old_secret_used_at = models.DateTimeField(null=True, editable=False)
    SECRET_FIELDS = (
        *("client_secret", "secret_created_at", "secret_used_at"),
        *("old_client_secret", "old_secret_created_at", "old_secret_used_at"),
    )
    registration_token = DigestField(
        max_length=64,
        null=True,
        unique=True,
        editable=False,
        help_text="What manages an app that registered itself (RFC 7592 §2).",
    )

    objects = ApplicationManager()

    def natural_key(self):
        return (self.client_id,)

    def is_usable(self, request):
        return self.is_active

    @property
    def is_confidential(self):
        return self.client_type == self.CLIENT_CONFIDENTIAL

    @property
    def all_grant_types(self):
        """The toolkit's names of its grant types, the first one first."""
        return [self.authorization_grant_type, *self.extra_grant_types.split()]

    def allows_grant_type(self, *grant_types):
        return not set(self.all_grant_types).isdisjoint(grant_types)

    @property
    def rfc_grant_types(self):
        """Its grant types by the names of RFC 7591 §2, `refresh_token` among them."""
        names = [self.RFC_GRANT_TYPES[grant_type] for grant_type in self.all_grant_types]
        return names + ["refresh_token"] * (names != ["client_credentials"])

    def redirect_uri_allowed(self, uri):
        """Return whether `uri` is one that was registered, character for character (RFC 9700
        §2.1); on loopback any port will do (RFC 8252 §7.3)."""
        return is_registered(uri, self.redirect_uris.split())

    def post_logout_redirect_uri_allowed(self, uri):
        return is_registered(uri, self.post_logout_redirect_uris.split())

    def get_allowed_schemes(self):
        """http and https, and the private-use schemes it registered (RFC 8252 §7.1)."""
        uris = f"{self.redirect_uris} {self.post_logout_redirect_uris}".split()
        own = {uri.partition(":")[0].lower() for uri in uris}
        private = sorted(scheme for scheme in own if is_private_use(scheme))
        return super().get_allowed_schemes() + (private if not self.is_confidential else [])

    @transaction.atomic
    def rotate_secret(self, keep_old=True):
        """Give the app a new secret and return it; the one it had works on until it is dropped,
        or not at all where it was never told to anybody (`keep_old` false).

        Raises ValidationError where there are two already, or none to rotate.
        """
        if not self.is_confidential:
            raise ValidationError("A public app has no secret: it could not keep one.")
        # Locked and read anew: of two that do this at once, none overwrites the other's.
        locked = Application.objects.select_for_update()
        self.refresh_from_db(fields=self.SECRET_FIELDS, from_queryset=locked)
        if self.old_client_secret:
            raise ValidationError("There are two secrets already; remove the older one first.")
        if keep_old:
            self.old_client_secret = self.client_secret
            self.old_secret_created_at = self.secret_created_at
            self.old_secret_used_at = self.secret_used_at
        secret = self.client_secret = keys.generate_client_secret()
        self.secret_created_at, self.secret_used_at = timezone.now(), None
        self.save(update_fields=[*self.SECRET_FIELDS, "updated"])
        return secret

    def drop_old_secret(self):
        """End the older of two secrets now."""
        self.old_client_secret = ""
        self.old_secret_created_at = self.old_secret_used_at = None
        old = ["old_client_secret", "old_secret_created_at", "old_secret_used_at"]
        self.save(update_fields=[*old, "updated"])

    def revoke_all(self, user=None):
        """Take everything the app holds of `user`, or of everybody: tokens, codes, consents."""
        whose = {"user": user} if user else {}
        with transaction.atomic():
            DeviceGrant.objects.filter(client_id=self.client_id, **whose).delete()
            end_all(application=self, **whose)

    def delete(self, *args, **kwargs):
        """Delete the app with all it holds, also while it refreshes its tokens."""
        return until_it_holds(self, self.revoke_all, partial(super().delete, *args, **kwargs))

    def clean(self):
        problems = {}
        try:
            super().clean()
        except ValidationError as error:
            problems = error.error_dict
        for field in ("redirect_uris", "post_logout_redirect_uris", "allowed_origins"):
            for uri in getattr(self, field).split():
                if reason := self.problem_with(uri):
                    problems.setdefault(field, []).append(ValidationError(f"{uri}: {reason}"))
        unknown = sorted(set(self.all_grant_types) - dict(self.GRANT_TYPES).keys())
        if unknown:
            problems.setdefault("extra_grant_types", []).append(
                ValidationError(f"Unknown grant type: {', '.join(unknown)}.")
            )
        if self.allows_grant_type(self.GRANT_AUTHORIZATION_CODE) and not self.redirect_uris.split():
            problems["redirect_uris"] = [
                ValidationError("An app that people are sent to needs a redirect URI.")
            ]
        if self.allows_grant_type(self.GRANT_CLIENT_CREDENTIALS) and not self.is_confidential:
            problems.setdefault("authorization_grant_type", []).append(
                # RFC 6749 §4.4
                ValidationError("Client credentials are for apps that can keep a secret.")
            )
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

    def problem_with(self, uri):
        """Return why the app cannot have `uri` as a redirect URI or an origin, else None."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            return "this is no address."
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            return "http is for loopback addresses; use https."
        if parts.scheme not in {"http", "https"}:
            if self.is_confidential:
                return "a scheme of its own is for native apps; use https."
            if not is_private_use(parts.scheme):  # RFC 8252 §7.1; javascript: is none
                return "its scheme must be named after a domain, such as com.example.app."
        return None


def end_all(**theirs):
    """Delete the consents, codes and tokens of an app, of a person, or of both.

    Also those that are being made at this moment: a code that is exchanged and a refresh token that
    is rotated are locked by whoever does it, so deleting them waits; what they became is deleted
    after them.
    """
    Consent.objects.filter(**theirs).delete()
    Grant.objects.filter(**theirs).delete()
    tokens = RefreshToken.objects.filter(**theirs)
    while tokens.exists():
        list(tokens.select_for_update(of=("self",)).values_list("pk"))
        tokens.delete()
    for model in (AccessToken, IDToken):
        model.objects.filter(**theirs).delete()


def until_it_holds(row, end, delete):
    """Run `end` and `delete`, which is about `row`, in a transaction; again where something was
    made for it meanwhile, or where each waited for the other.  Returns what `delete` does."""
    pk = row.pk

    def attempt():
        row.pk = pk  # a deletion that did not hold took it away
        end()
        # What is made from now on, such as a pet or a token, waits for us, and fails.
        list(type(row).objects.select_for_update().filter(pk=pk).values_list("pk"))
        return delete()

    for _ in range(5):
        with contextlib.suppress(IntegrityError, OperationalError), transaction.atomic():
            return attempt()
    with transaction.atomic():
        return attempt()


def is_registered(uri, registered):
    """Return whether the list `registered` holds `uri`, the port of a loopback address aside."""
    if uri in registered:
        return True
    parts = LOOPBACK_URI.fullmatch(uri)
    others = map(LOOPBACK_URI.fullmatch, registered)
    return bool(parts) and any(
        o and o.group("host", "rest") == parts.group("host", "rest") for o in others
    )


def is_private_use(scheme):
    """Return whether `scheme` is named after a domain, such as com.example.app (RFC 8252 §7.1)."""
    return "." in scheme


class ApplicationLogo(models.Model):
    """An app's logo, apart from the app so that no token drags it along.

    Always a small PNG that the server drew itself from what was given.
    """

    application = models.OneToOneField(
        Application, models.CASCADE, related_name="logo", primary_key=True
    )
    png = models.BinaryField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self):
        return f"Logo of {self.application}"


class ConsentManager(models.Manager):
    def remember(self, user, application, asked, granted):
        """Keep that of the scopes `asked` the person granted some; return whether any is new."""
        consent, is_new = self.get_or_create(user=user, application=application)
        before = set(consent.scope.split())
        consent.scope = " ".join(sorted(before - set(asked) | set(granted)))
        consent.save()
        return is_new or not set(granted) <= before


class Consent(models.Model):
    """What a person lets an app do, remembered so that they are asked once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="consents")
    application = models.ForeignKey(Application, models.CASCADE, related_name="consents")
    scope = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConsentManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "application"], name="one_consent_per_app"),
        ]

    def __str__(self):
        return f"{self.user} lets {self.application} {self.scope}"

    def covers(self, scopes):
        """Return whether every one of `scopes` was agreed to."""
        return set(scopes) <= set(self.scope.split())


class AccessToken(AbstractAccessToken):
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta(AbstractAccessToken.Meta):
        pass


class RefreshToken(AbstractRefreshToken):
    # Narrowing the scope of an access token must not narrow the refresh token (RFC 6749 §6).
    scope = models.TextField(blank=True)

    class Meta(AbstractRefreshToken.Meta):
        pass


class Grant(AbstractGrant):
    """An authorization code on its way to becoming a token.

    It stays until it expires, so that a replay is known for one and takes the tokens of the first
    use with it (RFC 6749 §4.1.2): they are of the family `token_family`.
    """

    code = DigestField(max_length=255, unique=True)
    used_at = models.DateTimeField(null=True, editable=False)
    token_family = models.UUIDField(default=uuid.uuid4, editable=False)
    auth_time = models.DateTimeField(
        null=True, editable=False, help_text="When the person signed in."
    )

    class Meta(AbstractGrant.Meta):
        pass


class IDToken(AbstractIDToken):
    class Meta(AbstractIDToken.Meta):
        pass


class DeviceGrant(AbstractDeviceGrant):
    # As wide as Application.client_id, which may be the URL of a metadata document.
    client_id = models.CharField(max_length=255, db_index=True)
    device_code = DigestField(max_length=100)
    polled_at = models.DateTimeField(null=True, editable=False)
    resource = models.JSONField(default=list, editable=False)

    class Meta(AbstractDeviceGrant.Meta):
        pass
