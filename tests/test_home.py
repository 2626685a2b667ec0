"""The home page: what is said to whom, how much there is, and commands that work as copied."""

import base64
import html
import itertools
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.conf import settings
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.test import Client

from accounts.models import ApiKey, Application, User
from project.home import DEMO_KEY

from .conftest import make_key, make_pet, with_key
from .foreign_clients.person import Person
from .oauth import SECRET, consent, redirected_with
from .servers import ROOT
from .test_pages import HTML, Page, open_page

KEY = re.compile(r"paw_\w{12}_\w{49}")


def commands(source):
    """Return the text of each command on a page."""
    return [html.unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", source, re.S)]


def numbers(client):
    """Return what the page counts: `{words: number}`."""
    source = client.get("/", headers=HTML).content.decode()
    return dict(re.findall(r"<dt>(.+?)</dt><dd>(.+?)</dd>", source))


def fill_in(client):
    """Press the button that fills in a key, as a visitor who signed in just now."""
    return client.post("/demo-key/", headers=HTML)


# --- What is said ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_it_has_a_first_step_for_each_kind_of_visitor(anonymous):
    page = open_page(anonymous, "/")
    for command in [
        "manage.py createapplication",
        f"{settings.PUBLIC_URL}/o/authorize/?response_type=code",
        "create_api_key user1",
        f"curl {settings.PUBLIC_URL}/api/v1/species/",
        f"{settings.PUBLIC_URL}/api/v1/pets/",
        f"curl {settings.PUBLIC_URL}/health/ready",
    ]:
        assert command in page.text
    assert {"/accounts/signup/", "/api/v1/pets/", "/docs/", "/docs/guides/"} <= set(page.links)
    assert "fill it in" not in page.text


def test_it_counts_what_anybody_may_know(anonymous, alice, bob, rex, secret_cat):
    User.objects.create_user("shelter", is_organization=True)
    User.objects.create_user("gone", is_active=False)
    assert numbers(anonymous) == {
        "pet": "1",
        "people": "2",
        "organisation": "1",
        "species": "1",
    }


def test_it_counts_once_a_minute_and_not_for_each_visitor(
    anonymous, alice, django_assert_num_queries
):
    make_pet(alice)
    with django_assert_num_queries(2):  # pets with their species, people with organisations
        first = numbers(anonymous)
    make_pet(alice, species="cat")
    with django_assert_num_queries(0):
        assert numbers(anonymous) == first
    cache.clear()
    assert numbers(anonymous)["pets"] == "2"


def test_thousands_are_readable(anonymous, db):
    counts = {"pets": 43908, "people": 1204, "organisations": 0, "species": 14}
    cache.set("home:numbers", counts, 60)
    assert list(numbers(anonymous).values()) == ["43,908", "1,204", "0", "14"]


@pytest.mark.server
def test_its_commands_work_as_copied(server):
    found = commands(requests.get(server.url, timeout=30).text)
    authorize = next(text for text in found if text.startswith(server.url))
    # The example waits for a person at a browser: test_examples.py runs it.
    shell = [
        text for text in found if re.match(r"curl|export|\.venv", text) and "examples/" not in text
    ]
    assert len(shell) == 7
    done = run(server, "\n".join(shell))
    assert '"name":"Rex"' in done.replace(" ", "")
    assert '"results":' in done
    answer = requests.get(authorize, allow_redirects=False, timeout=30)
    assert urlsplit(answer.headers["Location"]).path == "/accounts/login/"


def run(server, script):
    script = script.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("curl ", "curl -fsS ")],
        cwd=ROOT,
        env=server.env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- Their own app -----------------------------------------------------------------------------


def authorization_request(client):
    """Return the query of the address that the page tells its visitor to open."""
    source = client.get("/", headers=HTML).content.decode()
    (address,) = [text for text in commands(source) if "/o/authorize/" in text]
    return {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}


def test_a_publisher_finds_their_newest_app_filled_in(client, bob, app):
    app.redirect_uris = "org.example.app:/callback https://vet.example/other"
    app.save()
    client.force_login(bob)
    query = authorization_request(client)
    assert query["client_id"] == app.client_id
    assert query["redirect_uri"] == "org.example.app:/callback"
    page = open_page(client, "/")
    assert "Vet on Call" in page.text
    assert f"/accounts/apps/{app.pk}/" in page.links


@pytest.mark.parametrize("secret", ["", SECRET])
def test_the_code_of_the_first_command_is_redeemed_by_the_second(client, bob, secret):
    app = Application.objects.create(
        name="Cat Map",
        user=bob,
        client_id="cat-map",
        client_type=Application.CLIENT_CONFIDENTIAL if secret else Application.CLIENT_PUBLIC,
        client_secret=secret,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://cats.example/back?to=map&now=1",
    )
    client.force_login(bob)
    query = authorization_request(client)
    code = redirected_with(consent(client, query))["code"]
    source = client.get("/", headers=HTML).content.decode()
    (command,) = [text for text in commands(source) if "/o/token/" in text]
    shell = f"CODE={code} PAWPRINT_CLIENT_SECRET={secret}; printf '%s\\n' {command}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    sent = dict(
        value.split("=", 1)
        for flag, value in itertools.pairwise(words)
        if flag in {"-d", "--data-urlencode"}
    )
    headers = {}
    if secret:
        pair = words[words.index("-u") + 1]
        assert pair == f"{app.client_id}:{secret}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    answer = Client().post("/o/token/", sent, headers=headers)
    assert answer.status_code == 200, answer.content
    assert answer.json()["access_token"]


@pytest.mark.parametrize("change", [{"is_suspended": True}, {"is_active": False}])
def test_an_app_that_cannot_work_is_not_filled_in(client, bob, app, change):
    Application.objects.filter(pk=app.pk).update(**change)
    client.force_login(bob)
    assert authorization_request(client)["client_id"] == "my-app"


def test_nobody_finds_another_s_app_nor_a_machine(client, alice_in_browser, app, machine, bob):
    assert authorization_request(alice_in_browser)["client_id"] == "my-app"
    app.delete()
    client.force_login(bob)
    assert authorization_request(client)["client_id"] == "my-app"


def test_the_name_of_an_app_cannot_become_markup(client, bob, app):
    app.name = "<b>Vet</b>"
    app.save()
    client.force_login(bob)
    assert "<b>Vet" not in client.get("/", headers=HTML).content.decode()


# --- Their own key -----------------------------------------------------------------------------


def test_a_key_of_theirs_is_filled_in_shown_once_and_kept_nowhere(alice_in_browser, alice):
    answer = fill_in(alice_in_browser)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    (key,) = set(KEY.findall(answer.content.decode()))
    made = ApiKey.objects.get(user=alice)
    assert (made.name, made.scope.split()) == (DEMO_KEY["name"], ["pets:read", "pets:write"])
    assert 0 < (made.expires_at - made.created_at).total_seconds() <= 24 * 3600
    assert with_key(key).get("/api/v1/me/").json()["user"]["username"] == "alice"
    # Nowhere else.
    assert key not in str(dict(alice_in_browser.session))
    assert not list(get_messages(answer.wsgi_request))
    assert "paw_" not in alice_in_browser.get("/", headers=HTML).content.decode()


def test_another_one_ends_the_one_before(alice_in_browser, alice):
    keys = [KEY.search(fill_in(alice_in_browser).content.decode())[0] for _ in range(2)]
    statuses = [with_key(key).get("/api/v1/me/").status_code for key in keys]
    assert statuses == [401, 200]
    assert ApiKey.objects.live().filter(user=alice).count() == 1


def test_keys_that_a_person_made_are_left_alone(alice_in_browser, alice):
    mine, _ = make_key(alice)
    fill_in(alice_in_browser)
    mine.refresh_from_db()
    assert mine.revoked_at is None


def test_who_has_as_many_keys_as_one_can_have_is_told_so(alice_in_browser, alice):
    for _ in range(ApiKey.MOST_PER_USER):
        make_key(alice)
    answer = fill_in(alice_in_browser)
    assert answer.status_code == 409
    page = Page(answer.content.decode())
    assert "revoke one first" in page.text
    assert "/accounts/keys/" in page.links
    assert not KEY.search(answer.content.decode())


def test_the_former_one_makes_room_for_the_next(alice_in_browser, alice):
    fill_in(alice_in_browser)
    for _ in range(ApiKey.MOST_PER_USER - 1):
        make_key(alice)
    assert fill_in(alice_in_browser).status_code == 200


def test_looking_makes_no_key(alice_in_browser, alice):
    assert alice_in_browser.get("/demo-key/").headers["Location"] == "/"
    assert not ApiKey.objects.exists()


def test_a_stranger_is_asked_to_sign_in(anonymous, db):
    assert fill_in(anonymous).headers["Location"].startswith("/accounts/login/?next=")
    assert not ApiKey.objects.exists()


def test_another_site_cannot_make_one(alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert fill_in(browser).status_code == 403
    assert not ApiKey.objects.exists()


def test_who_signed_in_long_ago_shows_again_who_they_are_first(alice, settings):
    alice.set_password("correct-horse-battery-staple")
    alice.save()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    browser = Client()
    browser.force_login(alice)
    answer = fill_in(browser)
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiKey.objects.exists()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    answer = browser.post(
        answer.headers["Location"], {"password": "correct-horse-battery-staple"}, headers=HTML
    )
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert KEY.search(answer.content.decode())
    # The scripts of this answer carry the nonce of this answer.
    policy = answer.headers["Content-Security-Policy"]
    assert all(nonce in policy for nonce in re.findall(r'nonce="(.+?)"', answer.content.decode()))


@pytest.mark.parametrize("credential", ["alice_with_key", "alice_with_token"])
def test_no_key_and_no_token_can_make_one(request, credential, alice):
    caller = request.getfixturevalue(credential)
    before = ApiKey.objects.count()
    assert fill_in(caller).status_code == 302
    assert ApiKey.objects.count() == before


@pytest.mark.server
def test_with_a_key_filled_in_the_commands_work_without_the_server_s_folder(server):
    person = Person(server)
    page = person.visit(f"{server.url}/accounts/login/?next=/")
    (form,) = re.findall(r'action="(/demo-key/.*?)".+?value="(.+?)"', page.text)
    answer = person.browser.post(form[0], {"csrfmiddlewaretoken": form[1]})
    assert answer.status_code == 200, answer.text[-500:]
    # A code comes from a person's consent: a test above has one redeemed.
    found = [
        text
        for text in commands(answer.text)
        if re.match(r"curl|export", text) and "/o/token/" not in text
    ]
    assert any(text.startswith("export KEY=paw_") for text in found)
    done = run(server, "\n".join(found))
    assert '"name":"Rex"' in done.replace(" ", "")


def test_it_is_there_while_redis_does_not_answer(anonymous, db, settings):
    pytest.importorskip("redis", reason="redis is in requirements/production.txt alone")
    url = "redis://127.0.0.1:1/0"
    settings.CACHES = {"default": {"BACKEND": "accounts.counting.RedisCache", "LOCATION": url}}
    assert numbers(anonymous)["pets"] == "0"
