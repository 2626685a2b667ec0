"""Tasks by Celery on Redis or RabbitMQ, for when one machine is not enough.

With `TASKS_URL=redis://…` or `amqp://…` the tasks that the apps declare with django-tasks travel
through that broker.  A worker is `celery --app project.celery worker`; one of them gets `--beat`,
which sends what is due every day.
"""

import os
from functools import partial

import django
from celery import Celery
from celery.schedules import crontab
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from django_tasks import TaskResult, TaskResultStatus
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.utils import get_random_id, normalize_json

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("pawprint", broker=settings.TASKS_URL)
app.conf.update(
    task_ignore_result=True,
    task_default_queue="pawprint",
    # A worker that dies hands its task to another: tasks must bear being run again.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    beat_schedule_filename=str(settings.VAR_DIR / "celerybeat"),
    beat_schedule={
        "clear-expired-credentials": {
            "task": "pawprint.run",
            "schedule": crontab(hour=3, minute=30),
            "args": ["accounts.tasks.clear_expired_credentials", [], {}],
        }
    },
)


@app.on_configure.connect
def set_up_django(**kwargs):
    """Load the apps in a worker; in the server they are loaded already."""
    if not django.apps.apps.ready:
        django.setup()


@app.task(name="pawprint.run")
def run(module_path, args, kwargs):
    """Run the task at `module_path`, such as `accounts.tasks.clear_expired_credentials`."""
    import_string(module_path).call(*args, **kwargs)


class CeleryBackend(BaseTaskBackend):
    """A django-tasks backend that sends tasks to Celery once the transaction has committed."""

    supports_defer = True

    def enqueue(self, task, args, kwargs):
        self.validate_task(task)
        result = TaskResult(
            task=task,
            id=get_random_id(),
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        message = [task.module_path, normalize_json(args), normalize_json(kwargs)]
        transaction.on_commit(
            partial(run.apply_async, message, task_id=result.id, eta=task.run_after)
        )
        return result
