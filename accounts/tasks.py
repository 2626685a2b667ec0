"""Background work about credentials."""

from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django_tasks import TaskResultStatus, task
from django_tasks_db import DatabaseBackend
from django_tasks_db.models import DBTaskResult
from oauth2_provider.models import clear_expired

from .connections import sentences
from .models import Application, DeviceGrant, User

CLEAN_UP_EVERY = timedelta(days=1)


@task()
def clear_expired_credentials():
    """Delete expired sessions, tokens and codes, and come again tomorrow."""
    schedule_clean_up()  # first, so that a failure today does not cancel tomorrow
    clear_expired()
    now = timezone.now()
    DeviceGrant.objects.filter(expires__lt=now).delete()
    Session.objects.filter(expire_date__lt=now).delete()


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
    """Placeholder until the mail is there."""


def tell_of_connection(user, application, scope, before=None):
    """Tell the person by mail, after the commit, that they let an app in, or let it do more.

    `scope` is what it may do now, `before` what it could do until now (None: it was not let in).
    Nothing is sent where it may do nothing new, or to somebody without an address.
    """
    may_do_more = before is None or not set(scope.split()) <= set(before.split())
    if may_do_more and user.email:
        queue = partial(
            mail_of_connection.enqueue,
            user.pk,
            application.pk,
            scope,
            timezone.now().isoformat(timespec="minutes"),
        )
        transaction.on_commit(queue)


@task()
def mail_of_connection(user_id, application_id, scope, when):
    """Write to the person about the app; nothing where one of them is gone meanwhile."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    application = Application.objects.select_related("user").filter(pk=application_id).first()
    if user is None or application is None or not user.email:
        return
    context = {
        "user": user,
        "application": application,
        "sentences": sentences(scope.split()),
        "when": datetime.fromisoformat(when),
        "connections_url": f"{settings.PUBLIC_URL}{reverse('connections')}",
        "host": settings.PUBLIC_URL,
    }
    # A name is a publisher's words: on one line, so that it cannot begin a header.
    name = " ".join(str(application).split())
    send_mail(
        f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}You let “{name}” in",
        render_to_string("accounts/mail/connection.txt", context),
        settings.DEFAULT_FROM_EMAIL,
        [user.email],
    )
