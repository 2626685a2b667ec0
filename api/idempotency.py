"""A POST that is sent again is done once, and answered alike: the header Idempotency-Key.

draft-ietf-httpapi-idempotency-key-header, whose sections are cited here.
"""

import contextlib
import hashlib
import json
import re
import zlib
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import is_form_media_type

from accounts.authentication import caller
from accounts.throttling import Budget

from .errors import Problem
from .models import IdempotentAnswer
from .renderers import JSONRenderer
from .response import Response

HEADER = "Idempotency-Key"
IN_META = "HTTP_IDEMPOTENCY_KEY"
FIELD = "idempotency_key"  # the same in a form that is sent without a script
LIFETIME = timedelta(hours=24)
# For ten seconds: then a request that was killed no longer stands in the way of its retry.
ONE_AT_A_TIME = Budget("idempotency", 1, 10, strict=False)
TRIES = 3
# §2.1: a String of RFC 9651 §3.3.3; and bare, as most send it.  A comma would join two headers.
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
BARE = re.compile(r"[!#-+\--~]{1,255}")


class KeyInUse(APIException):
    """§2.7: the first request with the key is still being processed."""

    status_code = 409
    default_code = "idempotency_key_in_use"
    default_detail = (
        "The first request with this Idempotency-Key is under way; send this one again in a "
        "second, and it gets the same answer."
    )
    wait = 1


class KeyReused(APIException):
    """§2.7: the key came with another payload before."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = (
        "This Idempotency-Key came with another address, query or body before. To send that "
        "again, send it as it was; what is new needs a new key."
    )


def answer_once(view, handler, request, *args, **kwargs):
    """Answer a POST by its `handler`; one that has a key only the first time.

    The change and its answer are committed together or not at all.  A problem of the caller's is
    kept too; a failure of ours (5xx) and 429 are not: then nothing happened.  It is for views to
    call once they know that the caller may do this, also where it was done before.
    """
    key, in_form = presented_key(request)
    if key is None:
        return handler(request, *args, **kwargs)
    sent = fingerprint(request)
    # Who went back in a browser and changed what was typed sends another request, not a wrong one.
    digest = secret_digest([caller(request), key, sent if in_form else ""])
    # Nor is a person who pressed twice told to come back: the second waits for the first.
    with contextlib.nullcontext(True) if in_form else under_way(digest) as is_alone:
        if not is_alone:
            if kept := answer_of(digest):
                return again(view, kept, sent)
            raise KeyInUse
        # Durable: were it part of another transaction, what is answered might be undone.
        with transaction.atomic(durable=True):
            kept, is_new = claim(digest, sent, request.user)
            if not is_new:
                return again(view, kept, sent)
            response = attempt(view, handler, request, *args, **kwargs)
            if response.status_code >= 500 or response.status_code == 429:
                transaction.set_rollback(True)
            else:
                keep(kept, response, view.subject)
        return response


def presented_key(request):
    """Return `(key, whether a form's field holds it)`; the key is None where there is none."""
    if (value := request.META.get(IN_META)) is not None:
        return read_key(HEADER, value), False
    if request.content_type != "application/json" and is_form_media_type(request.content_type):
        raw_body(request)  # before it is parsed, which may leave nothing of it
        if (value := request.data.get(FIELD)) is not None:
            return read_key(FIELD, value), True
    return None, False


def read_key(name, value):
    if isinstance(value, str):  # in a form it may be a file
        if quoted := QUOTED.fullmatch(value):
            return re.sub(r"\\(.)", r"\1", quoted[1])
        if BARE.fullmatch(value):
            return value
    example = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'
    message = f"It takes one key of 1 to 255 visible ASCII characters, such as {example}."
    raise ValidationError({name: message})


def raw_body(request):
    """Return the body as it came, None for one in parts: Django may have read it already, and what
    stands between the parts is made up each time."""
    is_in_parts = request._request.content_type == "multipart/form-data"
    return None if is_in_parts else request._request.body


def fingerprint(request):
    """§2.4: return what tells one request from another."""
    sent, body = request._request, raw_body(request)
    if body is None:
        parts = {name: list(map(text_of, values)) for name, values in request.data.lists()}
        body = json.dumps(parts, sort_keys=True).encode()
    where = [sent.method, sent.path, sent.META.get("QUERY_STRING", ""), sent.content_type]
    return secret_digest([*where, hashlib.sha256(body).hexdigest()])


def text_of(part):
    """Return one part as text; of a file its name and a digest."""
    if isinstance(part, str):
        return part
    digest = hashlib.sha256()
    for chunk in part.chunks():
        digest.update(chunk)
    part.seek(0)
    return [part.name, digest.hexdigest()]


def secret_digest(parts):
    """Return a digest that tells nothing to who has the table: a body may hold what was leaked."""
    return salted_hmac("api.idempotency", json.dumps(parts), algorithm="sha256").hexdigest()


@contextlib.contextmanager
def under_way(digest):
    """Say within that a request is under way; give whether it is the only one.

    A word among neighbours, so that a duplicate need not wait: that there is one change is seen
    to by the database, also where the cache is down or is not shared.
    """
    charge = ONE_AT_A_TIME.charge(digest)
    try:
        yield charge is None or not charge.wait
    finally:
        if charge is not None:
            charge.refunded()


def claim(digest, sent, user):
    """Return `(row, whether it is new)`.

    A request with the same digest that is under way is waited for: it commits its row, or none.
    """
    user = user if user is not None and user.is_authenticated else None
    for _ in range(TRIES):
        row = IdempotentAnswer(digest=digest, fingerprint=sent, user=user)
        with contextlib.suppress(IntegrityError), transaction.atomic():
            row.save(force_insert=True)
            return row, True
        if kept := answer_of(digest):
            return kept, False
        lapsed().filter(digest=digest).delete()
    raise KeyInUse


def answer_of(digest):
    """Return the answer that is kept under `digest`, None where there is none any more."""
    row = IdempotentAnswer.objects.filter(digest=digest).first()
    is_kept = row and row.status and row.created_at > timezone.now() - LIFETIME
    return row if is_kept else None


def lapsed():
    return IdempotentAnswer.objects.filter(created_at__lte=timezone.now() - LIFETIME)


def attempt(view, handler, request, *args, **kwargs):
    """Return what the handler answers; of what fails nothing is left but the answer."""
    try:
        with transaction.atomic():
            response = handler(request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
    except Exception as exception:  # noqa: BLE001  (the view's own handler of all of them)
        response = view.handle_exception(exception)
    return response


def keep(row, response, subject):
    row.status = response.status_code
    row.headers = {name: value for name, value in response.items() if name != "Content-Type"}
    row.state = subject.state if subject is not None else ""
    row.body = zlib.compress(JSONRenderer().render(response.data))
    row.save(update_fields=["status", "headers", "state", "body"])


def again(view, kept, sent):
    """Return the answer that was `kept`, for who `sent` the same again."""
    if kept.fingerprint != sent:
        raise KeyReused
    if kept.state:
        view.subject = kept  # for the ETag: it shows the same, as it was
    text = zlib.decompress(kept.body)
    data = json.loads(text) if text else None
    is_problem = kept.status >= 400
    return Response(
        Problem(data) if is_problem else data,
        kept.status,
        headers=kept.headers | {"Idempotent-Replayed": "true"},
        exception=is_problem,
    )


def forget_lapsed(batch=1000, **kwargs):
    """Delete the answers whose time is over; a few at a time, so that nobody waits long."""
    while pks := list(lapsed().order_by("created_at").values_list("pk", flat=True)[:batch]):
        IdempotentAnswer.objects.filter(pk__in=pks).delete()
