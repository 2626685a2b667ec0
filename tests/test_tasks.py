"""Background work: what is expired goes, what is live stays, and it comes again tomorrow."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts.models import AccessToken
from accounts.tasks import CLEAN_UP_EVERY, clear_expired_credentials, schedule_clean_up

from .conftest import make_token


@pytest.fixture
def queue(settings):
    """The task queue in the database, as it ships."""
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def test_expired_tokens_and_sessions_go_and_live_ones_stay(alice, app, alice_in_browser):
    from django.contrib.sessions.models import Session

    live = make_token(alice, app)
    make_token(alice, app, expires_in=timedelta(seconds=-1))
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
    assert clear_expired_credentials.call() == 1
    assert AccessToken.objects.count() == 1
    assert live
    assert Session.objects.count() == 1


def test_the_clean_up_is_queued_once_for_tomorrow(db, queue):
    DBTaskResult.objects.all().delete()
    schedule_clean_up()
    schedule_clean_up()
    (waiting,) = DBTaskResult.objects.all()
    assert abs(waiting.run_after - timezone.now() - CLEAN_UP_EVERY) < timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_it_and_queues_the_next_one(queue):
    DBTaskResult.objects.all().delete()
    clear_expired_credentials.enqueue()
    call_command("db_worker", batch=True, interval=1, startup_delay=False, verbosity=0)
    done, waiting = DBTaskResult.objects.order_by("run_after", "enqueued_at").all()[::-1]
    assert done.status == "SUCCESSFUL", done.traceback
    assert waiting.status == "READY"
