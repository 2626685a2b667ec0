"""The accounts app: who is calling."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self):
        from . import checks, cors, schema  # noqa: F401  (each registers itself when imported)
        from .oauth.docs_app import ensure_docs_application
        from .tasks import schedule_clean_up

        post_migrate.connect(ensure_docs_application, sender=self)
        post_migrate.connect(schedule_clean_up, sender=self)
