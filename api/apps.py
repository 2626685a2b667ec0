"""The api app: what callers may do."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "API"

    def ready(self):
        from accounts.tasks import cleaning_up

        from .idempotency import forget_lapsed

        cleaning_up.connect(forget_lapsed)
