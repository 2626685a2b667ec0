"""The api app: what callers may do."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "API"

    def ready(self):
        from accounts.tasks import cleaning_up

        from . import counts, search, steering
        from .idempotency import forget_lapsed

        cleaning_up.connect(forget_lapsed)
        for kept in (counts, search):
            pre_migrate.connect(kept.remove, sender=self)
            post_migrate.connect(kept.ensure, sender=self)
        post_migrate.connect(steering.know_anew, sender=self)
