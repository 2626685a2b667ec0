"""What happens to a credential that somebody else may know: it ends, and its owner is told.

Whoever reports one shows that they have it, and so could use it: nothing they say is checked but
the credential itself.
"""

import hashlib
import re
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.http.request import split_domain_port
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import iri_to_uri

from . import keys, tasks
from .hashers import ClientSecretHasher
from .models import LOOPBACK_HOSTS, AccessToken, ApiKey, Application, RefreshToken
from .throttling import Budget, neighbourhood

log = structlog.get_logger(__name__)
SHOWN = 200  # of an address that somebody else gave, in a mail

# Without Redis nothing is counted, and what leaked is ended and told all the same.
REPORTS_BY_ADDRESS = Budget("credential-report", 60, 600, strict=False)
# What is looked for by going through all apps; the rest costs a look into an index, and nobody can
# use up everybody's reports.
SEARCHES_IN_ALL = Budget("credential-report-search", 600, 600)
MAILS_ABOUT_TOKENS = Budget("leaked-token-mail", 1, 24 * 3600, strict=False)


def wait_for_report(address):
    """Count one report from `address`; return the seconds to wait where there were too many."""
    return REPORTS_BY_ADDRESS.spend(neighbourhood(address))


def wait_for_search(credential):
    """The same for what takes a search, whoever reports it."""
    return SEARCHES_IN_ALL.spend("") if may_be_client_secret(credential) else 0


def report(credential, url=""):
    """End `credential` at once if it is one that works here, and tell its owner by mail.

    `url` is where it was found, as the reporter says.  Returns nothing, and looks for every kind
    whatever it got: who reports learns nothing by it.
    """
    for kind, end in ENDS.items():
        if ended := end(credential):
            tell(kind, ended, credential, ApiKey.Exposure.REPORTED, url)


def end_key(credential):
    """Revoke a key: it must not be switched on again."""
    api_key = live_key(credential)
    if api_key is None:
        return None
    now, how = timezone.now(), ApiKey.Exposure.REPORTED
    # Of two reports at once, one finds it live.
    live = ApiKey.objects.live().filter(pk=api_key.pk)
    return api_key if live.update(revoked_at=now, exposed_at=now, exposed_how=how) else None


def end_access_token(credential):
    """End an access token, and not the refresh token beside it: its app gets another by that."""
    tokens = AccessToken.objects.select_related("user", "application__user")
    access_token = tokens.filter(token_checksum=digest(credential)).first()
    if access_token is None or access_token.is_expired():
        return None
    # Of two at once, one finds the expiry as it read it.
    as_read = AccessToken.objects.filter(pk=access_token.pk, expires=access_token.expires)
    return access_token if as_read.update(expires=timezone.now()) else None


@transaction.atomic
def end_refresh_token(credential):
    """End a refresh token with all that came of the same consent."""
    # Locked, as where it is rotated: what took its place by then was not reported.
    tokens = RefreshToken.objects.select_for_update(of=("self",)).select_related("user")
    refresh_token = tokens.filter(token_checksum=digest(credential), revoked=None).first()
    if refresh_token:
        RefreshToken.revoke_family(refresh_token.token_family)
    return refresh_token


def end_registration_token(credential):
    """End what manages an app that registered itself; the app goes on."""
    held = Application.objects.filter(registration_token=credential)
    application = held.select_related("user").first()
    return application if application and held.update(registration_token=None) else None


@transaction.atomic
def end_client_secret(credential):
    """End one of an app's two secrets.

    Secrets are salted, each by itself, so every app is asked whether it is its own: the hash is a
    fast one, and what lacks their form and checksum is nobody's.
    """
    if not may_be_client_secret(credential):
        return None
    confidential = Application.objects.filter(client_type=Application.CLIENT_CONFIDENTIAL)
    rows = confidential.values_list("pk", "client_secret", "old_client_secret").iterator()
    pk = next((pk for pk, *own in rows if any(is_secret(credential, one) for one in own)), None)
    # Asked again when it is locked: it may have been rotated, or ended by another report.
    application = Application.objects.select_for_update().filter(pk=pk).first()
    if application and is_secret(credential, application.client_secret):
        # One that nobody knows, until its publisher rotates it.
        application.client_secret = keys.generate_client_secret()
        application.secret_created_at, application.secret_used_at = timezone.now(), None
        application.save(update_fields=[*Application.SECRET_FIELDS, "updated"])
    elif application and is_secret(credential, application.old_client_secret):
        application.drop_old_secret()
    else:
        return None
    return application


def may_be_client_secret(credential):
    return re.fullmatch(keys.PATTERNS["client secret"], credential) and keys.adds_up(credential)


def is_secret(credential, stored):
    hasher = ClientSecretHasher()
    return stored.startswith(f"{hasher.algorithm}$") and hasher.verify(credential, stored)


def digest(token):
    """Return what tokens are looked up by."""
    return hashlib.sha256(token.encode()).hexdigest()


def live_key(credential):
    """Return the key that `credential` is, if it works or would when switched on; else None."""
    live = ApiKey.objects.live().select_related("user")
    api_key = live.filter(key_id=keys.parse(credential) or "").first()
    return api_key if api_key and api_key.matches(credential) else None


ENDS = {
    "API key": end_key,
    "access token": end_access_token,
    "refresh token": end_refresh_token,
    "registration access token": end_registration_token,
    "client secret": end_client_secret,
}

# --- Sent without encryption -------------------------------------------------------------------


def came_in_clear(request):
    """Return whether `request` came by plain HTTP to a site that is there by https.

    Loopback is nobody's network: health is asked for there.  Both have to say so, the caller's
    address and the Host header, which anybody can write.
    """
    if not settings.PUBLIC_URL.startswith("https:") or request.is_secure():
        return False
    host = split_domain_port(request.get_host())[0].strip("[]")
    # "" where proxies are trusted and none passed it on: then it came from beside us.
    caller = request.META.get("REMOTE_ADDR") or host
    return not {host, caller} <= LOOPBACK_HOSTS


def note_plain_http(credential):
    """Mark a key that travelled in clear, and tell its owner once; end an access token, of which
    its app gets a new one by itself.  What does not work here changes nothing."""
    how = ApiKey.Exposure.PLAIN_HTTP
    if api_key := live_key(credential):
        unmarked = ApiKey.objects.filter(pk=api_key.pk, exposed_at=None)
        if unmarked.update(exposed_at=timezone.now(), exposed_how=how):
            tell("API key", api_key, credential, how)
    elif access_token := end_access_token(credential):
        log.warning("credential exposed", kind="access token", id=access_token.pk, how=how)


# --- Telling -----------------------------------------------------------------------------------


def tell(kind, thing, credential, how, url=""):
    """Log that `thing` was exposed, and write to its owner once the transaction is through.

    Its owner is the person it acts for; of what acts for an app alone, the app's publisher.
    """
    log.warning("credential exposed", kind=kind, id=thing.pk, how=how)
    if isinstance(thing, ApiKey):
        owner, name, page = thing.user, thing.name, reverse("keys")
    else:
        application = thing if isinstance(thing, Application) else thing.application
        name, page = str(application), reverse("connections")
        owner = None if thing is application else thing.user
        if owner is None:
            owner, page = application.user, reverse("app", args=[application.pk])
        # An app that reports its own tokens one after the other would write to its people.
        if owner and "token" in kind and MAILS_ABOUT_TOKENS.spend((owner.pk, application.pk)):
            return
    if owner and owner.email:
        transaction.on_commit(
            partial(
                tasks.mail_of_leak.enqueue,
                owner.pk,
                kind,
                name,
                keys.mask(credential),
                how=str(how),
                url=inert(url),
                page=page,
                when=timezone.now().isoformat(timespec="minutes"),
            )
        )


def inert(url):
    """Return an address that nobody can click on, on one line and not for long.

    It is a stranger's: a mail of ours must lead to no page of theirs, and repeats no credential.
    """
    text = iri_to_uri(keys.hide(url))
    text = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return text.replace(":", "[:]").replace(".", "[.]").replace("@", "[at]")
