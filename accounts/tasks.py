"""Background work about credentials."""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone
from django_tasks import TaskResultStatus, task
from django_tasks_db import DatabaseBackend
from django_tasks_db.models import DBTaskResult
from oauth2_provider.models import clear_expired

from .models import DeviceGrant

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
