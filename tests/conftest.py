"""The cast, and one client per way of calling.

Alice owns pets, Bob is another person, Carol has a password, Sam is staff.  A client is a Django
test client that sends its credential with every request; bodies are JSON.
"""

import uuid
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import set_token_value

from accounts.models import AccessToken, ApiKey, Application, User
from api.models import Pet
from api.scopes import SCOPES

from .servers import running_server

ALL_SCOPES = " ".join(SCOPES)
PASSWORD = "correct horse battery"
ORIGIN = "https://page.example"  # of a page that is an app


class ApiClient(Client):
    """Django's client with JSON bodies: `client.post(path, {...})`."""

    def generic(self, method, path, data="", content_type="application/json", **extra):
        return super().generic(method, path, data, content_type, **extra)

    def post(self, path, data=None, content_type="application/json", **extra):
        return super().post(path, data, content_type=content_type, **extra)

    def put(self, path, data=None, content_type="application/json", **extra):
        return super().put(path, data, content_type=content_type, **extra)

    def patch(self, path, data=None, content_type="application/json", **extra):
        return super().patch(path, data, content_type=content_type, **extra)


def make_pet(owner, **fields):
    return Pet.objects.create(owner=owner, **{"name": "Rex", "species": "dog", **fields})


def make_token(user, app, scope=ALL_SCOPES, expires_in=timedelta(minutes=15), resource=()):
    """Store an access token as the server does, and return it in clear."""
    token = f"test-{uuid.uuid4().hex}"
    row = AccessToken(
        user=user,
        application=app,
        scope=scope,
        expires=timezone.now() + expires_in,
        resource=list(resource),
    )
    set_token_value(row, token)
    row.save()
    return token


def make_key(user, scope=ALL_SCOPES, **options):
    """Return `(api_key, key)`."""
    return ApiKey.objects.create_key(user, "test", scope.split(), **options)


def bearer(token):
    return ApiClient(headers={"Authorization": f"Bearer {token}"})


def mistyped(key):
    """The key with another last character: its own may be any of them."""
    return key[:-1] + ("a" if key[-1] != "a" else "b")


def with_key(key):
    return ApiClient(headers={"X-API-Key": key})


@pytest.fixture(autouse=True)
def empty_cache():
    """What one test tried is not counted against the next."""
    cache.clear()


def make_person(username, **fields):
    """Store somebody who has confirmed their address."""
    user = User.objects.create_user(username, f"{username}@example.org", **fields)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.fixture
def alice(db):
    return make_person("alice", display_name="Alice A.")


@pytest.fixture
def bob(db):
    return make_person("bob")


@pytest.fixture
def carol(db):
    """Somebody with a password: who has none cannot be asked for it again."""
    return make_person("carol", password=PASSWORD)


@pytest.fixture
def sam(db):
    return make_person("sam", is_staff=True)


@pytest.fixture
def rex(alice):
    """A public pet of Alice's."""
    return make_pet(alice, name="Rex", breed="Retriever, Labrador", microchip="985112345678901")


@pytest.fixture
def secret_cat(alice):
    """A pet of Alice's that others must not know of."""
    return make_pet(alice, name="Shadow", species="cat", is_public=False)


@pytest.fixture
def page_app(bob):
    """An app in a browser, with its origin."""
    return Application.objects.create(
        name="Page",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=f"{ORIGIN}/",
        allowed_origins=f"https://other.example {ORIGIN}",
    )


@pytest.fixture
def app(bob):
    """A third-party web app that Bob publishes."""
    return Application.objects.create(
        name="Vet on Call",
        user=bob,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://vet.example/callback",
    )


@pytest.fixture
def machine(bob):
    """An app that acts for itself."""
    return Application.objects.create(
        name="Lost and Found Map",
        user=bob,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )


@pytest.fixture
def anonymous():
    return ApiClient()


@pytest.fixture
def alice_in_browser(alice):
    client = ApiClient(enforce_csrf_checks=False)
    client.force_login(alice)
    return client


@pytest.fixture
def alice_with_token(alice, app):
    return bearer(make_token(alice, app))


@pytest.fixture
def alice_with_key(alice):
    return with_key(make_key(alice)[1])


@pytest.fixture
def bob_with_token(bob, app):
    return bearer(make_token(bob, app))


@pytest.fixture
def bob_with_key(bob):
    return with_key(make_key(bob)[1])


@pytest.fixture
def sam_with_key(sam):
    return with_key(make_key(sam)[1])


@pytest.fixture
def app_with_token(machine):
    return bearer(make_token(None, machine))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running Pawprint with its demo data, started as `make run` does; yields a Server."""
    with running_server(tmp_path_factory.mktemp("server") / "var") as running:
        yield running
