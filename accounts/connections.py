"""Who lets which app in: told from access tokens, refresh tokens and remembered consents."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from oauth2_provider.models import refresh_token_expire_timedelta
from oauth2_provider.scopes import get_scopes_backend

from .models import AccessToken, Application, Consent, RefreshToken


@dataclass
class Connection:
    """What one app holds of one person."""

    application: Application = None
    scopes: set = field(default_factory=set)
    is_live: bool = False
    comes_back: bool = False  # without asking, by a refresh token
    since: datetime = None
    last_used: datetime = None

    def note(self, scope="", since=None, last_used=(), is_live=False, comes_back=False):
        if is_live:
            self.scopes.update(scope.split())
        self.is_live |= is_live
        self.comes_back |= comes_back
        self.since = min(filter(None, [self.since, since]), default=None)
        self.last_used = max(filter(None, [self.last_used, *last_used]), default=None)

    @property
    def sentences(self):
        return sentences(self.scopes)


def sentences(scopes):
    """Return what `scopes` let an app do, in the plain sentences of the list of scopes."""
    known = get_scopes_backend().get_all_scopes()
    return [known.get(scope, scope) for scope in sorted(scopes)]


def live_access():
    return Q(expires__gt=timezone.now())


def live_refresh():
    """Refresh tokens that the token endpoint takes: not revoked, and with their access token, which
    they outlive by REFRESH_TOKEN_EXPIRE_SECONDS."""
    lifetime = refresh_token_expire_timedelta()
    return Q(revoked=None, access_token__expires__gt=timezone.now() - lifetime)


def connections_of(user):
    """Return a Connection for every app that holds anything of `user`, in the order of names.

    Four queries, however many apps there are.
    """
    found = {}

    def at(application_id):
        return found.setdefault(application_id, Connection())

    access = AccessToken.objects.filter(user=user, application__isnull=False)
    for row in access.values("application_id", "scope").annotate(
        live=Count("pk", filter=live_access()),
        since=Min("created"),
        newest=Max("created"),
        used=Max("last_used_at"),
    ):
        at(row["application_id"]).note(
            row["scope"], row["since"], [row["newest"], row["used"]], bool(row["live"])
        )
    refresh = RefreshToken.objects.filter(user=user)
    for row in refresh.values("application_id", "scope").annotate(
        live=Count("pk", filter=live_refresh()),
        since=Min("created"),
        newest=Max("created"),
    ):
        is_live = bool(row["live"])
        at(row["application_id"]).note(
            row["scope"], row["since"], [row["newest"]], is_live, comes_back=is_live
        )
    for consent in Consent.objects.filter(user=user):
        at(consent.application_id).note(consent.scope, consent.created_at, is_live=True)

    live = [pk for pk, held in found.items() if held.is_live]
    applications = Application.objects.select_related("user", "logo").defer("logo__png")
    for application in applications.filter(pk__in=live):
        found[application.pk].application = application
    return sorted(
        (c for c in found.values() if c.application is not None),
        key=lambda c: (str(c.application).casefold(), c.application.pk),
    )


def people_of(applications):
    """Return how many people let in each of `applications`, by primary key.  One query."""
    theirs = Q(application__in=list(applications), user__isnull=False)
    held = [
        model.objects.filter(theirs, live).values_list("application_id", "user_id")
        for model, live in (
            (Consent, Q()),
            (AccessToken, live_access()),
            (RefreshToken, live_refresh()),
        )
    ]
    if not applications:
        return {}
    # UNION keeps each pair once; the ORM cannot count what it unites by groups.
    union, parameters = held[0].union(*held[1:]).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT held.application_id, COUNT(*) FROM ({union}) AS held "  # noqa: S608
            "GROUP BY held.application_id",
            parameters,
        )
        return dict(cursor.fetchall())


def last_used(applications):
    """Return when each of `applications` last got or used a token, by primary key.  One query."""
    rows = (
        AccessToken.objects.filter(application__in=list(applications))
        .values("application_id")
        .annotate(used=Max("last_used_at"), newest=Max("created"))
    )
    return {row["application_id"]: max(filter(None, [row["used"], row["newest"]])) for row in rows}
