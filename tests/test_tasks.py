"""Background work: what is expired goes, what is live stays, and it comes again tomorrow."""

import os
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.core.management import call_command
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts.models import AccessToken
from accounts.tasks import CLEAN_UP_EVERY, clear_expired_credentials, schedule_clean_up

from .conftest import bearer, make_token
from .servers import ROOT

BROKERS = {
    "redis": (6379, "redis://127.0.0.1:6379/9"),
    "rabbitmq": (5672, "amqp://guest:guest@127.0.0.1:5672//"),
}
PROGRAM = """
import django
django.setup()
from datetime import timedelta
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone
from accounts.tasks import clear_expired_credentials
Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
with transaction.atomic():
    clear_expired_credentials.enqueue()
"""
COUNT = "from django.contrib.sessions.models import Session as S; print(S.objects.count())"


@pytest.fixture
def queue(settings):
    """The task queue in the database, as it ships."""
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def test_expired_tokens_and_sessions_go_and_live_ones_stay(alice, app, alice_in_browser):
    from django.contrib.sessions.models import Session

    live = make_token(alice, app)
    make_token(alice, app, expires_in=timedelta(seconds=-1))
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
    UserSession.objects.create(user=alice, session_key="old", ip="192.0.2.1", user_agent="")
    clear_expired_credentials.call()
    assert not UserSession.objects.filter(session_key="old").exists()
    assert AccessToken.objects.count() == 1
    assert bearer(live).get("/api/v1/me/").status_code == 200
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


@pytest.mark.server
@pytest.mark.parametrize("broker", BROKERS)
def test_celery_runs_it_by_way_of_a_broker(broker, tmp_path):
    port, url = BROKERS[broker]
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)):
            pytest.skip(f"no {broker} answers on port {port}")
    env = os.environ | {
        "VAR_DIR": str(tmp_path / "var"),
        "TASKS_URL": url,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "LOG_LEVEL": "INFO",
    }
    env.pop("DATABASE_URL", None)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env=env, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    run("manage.py", "migrate", "--verbosity", "0")
    run("-c", PROGRAM)
    assert run("manage.py", "shell", "--no-imports", "-c", COUNT) == "1"
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            [*(sys.executable, "-m", "celery", "--app", "project.celery", "worker"),
             *("--pool", "solo", "--without-gossip", "--without-mingle")],
            cwd=ROOT, env=env, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            for _ in range(40):
                if run("manage.py", "shell", "--no-imports", "-c", COUNT) == "0":
                    break
                time.sleep(0.5)
            else:
                pytest.fail((tmp_path / "log").read_text())
        finally:
            worker.terminate()
            worker.wait(timeout=20)
