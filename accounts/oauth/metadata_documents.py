"""Apps that are named by the https URL of their metadata
(draft-ietf-oauth-client-id-metadata-document-02)."""

import hashlib
import json
import logging
import re
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.utils import timezone

from .. import fetching
from ..models import Application
from ..throttling import Budget, neighbourhood
from . import client_metadata
from .client_metadata import InvalidMetadataError

log = logging.getLogger(__name__)

KINDS = ("application/json", "application/*+json")
LARGEST = 16 * 1024  # §8.7 recommends 5 kB
# How long a copy is good for, where the document does not say, and whatever it says (§5.2).
USUAL_AGE, LEAST_AGE, GREATEST_AGE = 3600, 300, 24 * 3600
# A document that will not do is not asked for again before these seconds are over.
BACK_OFF = 60
BY_ADDRESS = Budget("metadata-document", 30, 600)
CIMD = Application.RegistrationSource.CIMD


class InvalidDocumentError(Exception):
    """What makes a document no metadata of its client_id."""


def refresh(client_id, address):
    """Have the app that `client_id` names as its document says, where it is the URL of one.

    Call it where a flow begins, on behalf of the caller at `address`, before the app is looked up,
    and outside of transactions: it may wait for another host for some seconds.  Where there is no
    document that will do, an app that is known stays as it was (§5.2), and one that is not known
    stays unknown; `problem_with` says why.
    """
    if not settings.OPEN_REGISTRATION or not client_id.startswith("https://"):
        return
    known = Application.objects.filter(client_id=client_id)
    if known.exclude(registration_source=CIMD, cimd_expires_at__lt=timezone.now()).exists():
        return
    if len(client_id) > Application._meta.get_field("client_id").max_length:
        return
    if problem_with(client_id):
        return
    try:
        if BY_ADDRESS.spend(neighbourhood(address)):
            raise fetching.TooBusyError("Too many metadata documents were asked for from here.")
        upsert(client_id, *fetch(client_id))
    except fetching.TooBusyError as error:
        log.warning("Metadata document %r not fetched: %s", client_id, error)
    except (fetching.FetchError, InvalidDocumentError, InvalidMetadataError) as error:
        log.info("Metadata document %r will not do: %s", client_id, error)
        cache.set(cache_key(client_id), str(error), BACK_OFF)


def problem_with(client_id):
    """Return why the document at `client_id` would not do a moment ago, else None.

    For the app's developer, and safe to show: of the document or its host it holds no more than
    the URIs in it.
    """
    return cache.get(cache_key(client_id))


def cache_key(client_id):
    return "metadata-document:" + hashlib.sha256(client_id.encode()).hexdigest()


def fetch(client_id):
    """Return `(document, seconds)`: what is there (§4, §5), and how long it is good for (§5.2)."""
    body, headers = fetching.fetch(client_id, KINDS, LARGEST)
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise InvalidDocumentError("The document is no JSON that can be read.") from None
    if not isinstance(document, dict):
        raise InvalidDocumentError("The document is not a JSON object.")
    if document.get("client_id") != client_id:
        raise InvalidDocumentError("The document's client_id is not its URL.")
    if {"client_secret", "client_secret_expires_at"} & document.keys():
        raise InvalidDocumentError("The document holds a client_secret.")
    # There is nobody to tell a secret to, and of what goes without one this server knows "none".
    if document.setdefault("token_endpoint_auth_method", "none") != "none":
        raise InvalidDocumentError("The document's token_endpoint_auth_method must be none.")
    return document, max_age(headers.get("Cache-Control", ""))


def max_age(cache_control):
    """Return for how many seconds a Cache-Control header lets us keep a copy (RFC 9111 §5.2.2)."""
    given = re.search(r"\bmax-age=\"?(\d{1,9})", cache_control, re.IGNORECASE)
    seconds = int(given[1]) if given else USUAL_AGE
    if re.search(r"\bno-(store|cache)\b", cache_control, re.IGNORECASE):
        seconds = 0
    return min(max(seconds, LEAST_AGE), GREATEST_AGE)


def upsert(client_id, document, seconds):
    """Store the app as `document` has it; what staff decided about it stays."""
    try:
        with transaction.atomic():
            application = (
                Application.objects.select_for_update(of=("self",))
                .filter(client_id=client_id, registration_source=CIMD)
                .first()
            ) or Application(client_id=client_id, registration_source=CIMD)
            client_metadata.fill(application, document)
            application.cimd_expires_at = timezone.now() + timedelta(seconds=seconds)
            client_metadata.store(application, document)
    except IntegrityError:
        # What another request stored meanwhile stays.
        log.info("Metadata document %r is there already.", client_id)
