"""The project as an app: pages, static files, system checks and the run command."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "project"

    def ready(self):
        from . import checks  # noqa: F401  (registers itself when imported)
