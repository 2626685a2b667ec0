"""Background work about credentials."""

import re
from datetime import datetime, timedelta
from functools import partial

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.dispatch import Signal
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django_tasks import TaskResultStatus, task
from django_tasks_db import DatabaseBackend
from django_tasks_db.models import DBTaskResult
from oauth2_provider.models import clear_expired

from . import fetching, logos, names
from .connections import sentences
from .models import (
    AccessToken,
    ApiKey,
    Application,
    ApplicationLogo,
    Consent,
    DeviceGrant,
    Grant,
    IDToken,
    RefreshToken,
    User,
)

CLEAN_UP_EVERY = timedelta(days=1)
# How long an app that registered itself may wait for somebody who uses it.
UNUSED_FOR = timedelta(days=7)
# Sent with every clean-up: apps that this one does not know of clean up what is theirs.
cleaning_up = Signal()


@task()
def clear_expired_credentials():
    """Delete expired sessions, tokens and codes, and come again tomorrow."""
    schedule_clean_up()  # first, so that a failure today does not cancel tomorrow
    clear_expired()
    now = timezone.now()
    DeviceGrant.objects.filter(expires__lt=now).delete()
    Session.objects.filter(expire_date__lt=now).delete()
    live = Session.objects.values("session_key")
    UserSession.objects.exclude(session_key__in=live).delete()
    delete_unused_apps()
    for user_id in set(expiring_keys().values_list("user_id", flat=True)):
        mail_of_expiring_keys.enqueue(user_id)
    cleaning_up.send(None)


def delete_unused_apps(batch=500):
    """Delete apps that registered themselves and that nobody uses.

    Of those that are registered dynamically (RFC 7591) the ones older than UNUSED_FOR whose secret
    was never used; of those that have a metadata document the ones whose copy is stale: it is
    fetched again when somebody comes.  None that holds a token, a code, a device code or a
    person's consent.  Staff's word stays: what they verified or switched off is kept.
    """
    now, source = timezone.now(), Application.RegistrationSource
    idle = Q(registration_source=source.DCR, created__lt=now - UNUSED_FOR, secret_used_at=None) | Q(
        registration_source=source.CIMD, cimd_expires_at__lt=now
    )
    idle &= Q(is_verified=False, is_active=True)
    last = 0
    while True:
        found = Application.objects.filter(idle, pk__gt=last).order_by("pk")[:batch]
        pks = list(found.values_list("pk", flat=True))
        if not pks:
            return
        last = pks[-1]
        with transaction.atomic():
            # Locked before it is asked what they hold: a code that is just being issued is either
            # seen, or waits and fails.
            locked = Application.objects.select_for_update().filter(idle, pk__in=pks)
            apps = Application.objects.filter(pk__in=[app.pk for app in locked])
            for model in (AccessToken, RefreshToken, IDToken, Grant, Consent):
                apps = apps.exclude(Exists(model.objects.filter(application=OuterRef("pk"))))
            devices = DeviceGrant.objects.filter(client_id=OuterRef("client_id"))
            apps.exclude(Exists(devices)).delete()


@task()
def fetch_logo(application_id, url):
    """Draw the app's logo from the image at `url`; where that cannot be, it has none."""
    try:
        png = logos.draw(logos.fetch(url))
    except (fetching.FetchError, ValidationError):
        ApplicationLogo.objects.filter(application=application_id).delete()
        return
    with transaction.atomic():
        # It may have been deleted meanwhile.
        if Application.objects.select_for_update().filter(pk=application_id).exists():
            ApplicationLogo.objects.update_or_create(
                application_id=application_id, defaults={"png": png}
            )


def schedule_clean_up(**kwargs):
    """Queue the next clean-up unless one is queued; runs after each `migrate` too.

    Only the queue in the database needs it: Celery has a clock of its own, and what is done at
    once (immediate://) cannot wait.
    """
    if not isinstance(clear_expired_credentials.get_backend(), DatabaseBackend):
        return
    waiting = DBTaskResult.objects.filter(
        task_path=clear_expired_credentials.module_path, status=TaskResultStatus.READY
    )
    if waiting.exists():
        return
    clear_expired_credentials.using(run_after=timezone.now() + CLEAN_UP_EVERY).enqueue()


def tell_of_connection(user, application, scopes):
    """Tell a person by mail, once the transaction is through, what an app may do from now on.

    For the first time an app is let in, and for each time it may do more.  Nobody without an
    address is told.
    """
    if user.email:
        now = timezone.now().isoformat(timespec="minutes")
        arguments = (user.pk, application.pk, sorted(scopes), now)
        transaction.on_commit(partial(mail_of_connection.enqueue, *arguments))


def told(user, name):
    """Return a `name` that somebody chose as a mail to `user` tells it: on one line, and no link.

    "" where nobody has shown that the address is theirs: whoever gave the address of somebody else
    could write to them by what they call a key.
    """
    addresses = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True)
    if not addresses.exists():
        return ""
    name = " ".join(names.without_hidden(name).split())
    return re.sub(r"(?<=\w)[.:](?=[\w/])", r"[\g<0>]", name)


def write(user, subject, template, **context):
    """Send `user` a mail."""
    context |= {
        "hello": told(user, user.get_full_name()) or user.get_username(),
        "host": settings.PUBLIC_URL,
    }
    send_mail(
        f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{subject}",
        render_to_string(f"accounts/mail/{template}.txt", context),
        settings.DEFAULT_FROM_EMAIL,
        [user.email],
    )


@task()
def mail_of_connection(user_id, application_id, scopes, when):
    """Write to the person about the app; nothing where one of them is gone meanwhile."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    application = Application.objects.select_related("user").filter(pk=application_id).first()
    if user is None or application is None or not user.email:
        return
    name = told(user, str(application))
    write(
        user,
        f"You let “{name}” in" if name else "You let an app in",
        "connection",
        application=application,
        name=name,
        sentences=sentences(scopes),
        when=datetime.fromisoformat(when),
        connections_url=f"{settings.PUBLIC_URL}{reverse('connections')}",
    )


@task()
def mail_of_leak(user_id, kind, name, masked, how, url, page, when):
    """Write to the owner of a credential that somebody else may know; `masked` is all of it that
    is ever queued."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not user.email:
        return
    name = told(user, name)
    what = "was reported as leaked" if how == "reported" else "was sent without encryption"
    write(
        user,
        f"The {kind} “{name}” {what}" if name else f"Your {kind} {what}",
        "leak",
        kind=kind,
        name=name,
        masked=masked,
        how=how,
        # Where it was found is a stranger's word too.
        url=url if name else "",
        page=f"{settings.PUBLIC_URL}{page}",
        is_publisher=page.startswith("/accounts/apps/"),
        when=datetime.fromisoformat(when),
    )


def expiring_keys():
    """Keys that work, expire soon, were not replaced, and whose owner was not told and can be.

    Told is a week before, of keys that live two weeks at most a day before, and of those that do
    not live two days not at all.
    """
    now = timezone.now()
    lifetime = ExpressionWrapper(F("expires_at") - F("created_at"), output_field=DurationField())
    # The moment between the reckoning of its expiry and its making does not count.
    two_days = timedelta(days=2) - timedelta(minutes=1)
    is_soon = Q(lifetime__gt=timedelta(days=14), expires_at__lte=now + timedelta(days=7)) | Q(
        lifetime__gte=two_days, expires_at__lte=now + timedelta(days=1)
    )
    return (
        ApiKey.objects.live()
        .alias(lifetime=lifetime)
        .filter(is_soon, disabled_at=None, replaced_by=None, expiry_told_at=None)
        .filter(user__is_active=True)
        .exclude(user__email="")
    )


@task()
def mail_of_expiring_keys(user_id):
    """Write to the person about their keys that expire soon, once of each."""
    with transaction.atomic():
        # Noted before it is sent, so that of two tasks at once one writes.
        found = expiring_keys().filter(user=user_id).select_related("user")
        expiring = list(found.select_for_update(of=("self",)).order_by("expires_at"))
        noted = ApiKey.objects.filter(pk__in=[api_key.pk for api_key in expiring])
        noted.update(expiry_told_at=timezone.now())
    if not expiring:
        return
    user, first = expiring[0].user, expiring[0]
    for api_key in expiring:
        api_key.name = told(user, api_key.name)
    what = f"{len(expiring)} of your API keys expire"
    if len(expiring) == 1:
        what = f"Your API key “{first.name}” expires" if first.name else "Your API key expires"
    try:
        write(user, f"{what} soon", "key_expiry", api_keys=expiring)
    except Exception:
        noted.update(expiry_told_at=None)  # tomorrow it is tried again
        raise
