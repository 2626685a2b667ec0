"""Migrations keep what people have."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone


def migrate_to(name=None):
    """Migrate accounts to the migration of that name, to the latest without one."""
    executor = MigrationExecutor(connection)
    name = name or dict(executor.loader.graph.leaf_nodes("accounts"))["accounts"]
    executor.migrate([("accounts", name)])
    return executor.loader.project_state([("accounts", name)]).apps


@pytest.mark.django_db(transaction=True)
def test_refresh_tokens_keep_their_scope_when_it_becomes_their_own():
    try:
        apps = migrate_to("0001_initial")
        model = lambda name: apps.get_model("accounts", name)  # noqa: E731
        user = model("User").objects.create(username="alice")
        app = model("Application").objects.create(client_id="vet", name="Vet")
        in_an_hour = timezone.now() + timedelta(hours=1)
        access = model("AccessToken").objects.create(
            user=user, application=app, scope="pets:read", expires=in_an_hour, token_checksum="a"
        )
        model("RefreshToken").objects.create(
            user=user, application=app, access_token=access, token_checksum="r"
        )
        model("Grant").objects.create(
            user=user, application=app, code="in clear", expires=in_an_hour, redirect_uri="x"
        )
        apps = migrate_to("0002_oauth_whole")
        assert apps.get_model("accounts", "RefreshToken").objects.get().scope == "pets:read"
        assert not apps.get_model("accounts", "Grant").objects.exists()
    finally:
        migrate_to()
