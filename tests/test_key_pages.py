"""The pages of API keys: a person makes, names, replaces and ends their own, and only those."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.tasks import clear_expired_credentials, mail_of_expiring_keys

from .conftest import PASSWORD, bearer, make_key, make_token, with_key
from .test_pages import Page, open_page
from .test_portal import browser_of, everything_stored, leave_open, token_on

LIST, NEW = "/accounts/keys/", "/accounts/keys/new/"
OF_ONE_KEY = ["key", "key-rotate", "key-switch", "key-revoke"]
MARKUP = "<b onclick=alert(1)>&\"'"


@pytest.fixture
def browser(alice):
    """Alice, who has just signed in."""
    return browser_of(alice)


@pytest.fixture
def api_key(alice):
    """A key of Alice's."""
    return make_key(alice, "pets:read users:read", allowed_ips=["127.0.0.1", "10.0.0.0/8"])[0]


def paths_of(api_key):
    return [reverse(name, args=[api_key.pk]) for name in OF_ONE_KEY]


def filled(browser, path=NEW, **fields):
    """Open a form and return what a person would send."""
    page = browser.get(path)
    assert page.status_code == 200
    form = {"form": page.context["form_id"], "lifetime": "90", "until": "", "allowed_ips": ""}
    if "rotate" in path:
        form |= {"overlap": "86400", "lifetime": "same"}
    else:
        form |= {"name": "Night export", "scope": ["pets:read"]}
    return form | fields


def send(browser, path=NEW, **fields):
    """Send a form, and return the page it leads to."""
    return browser.post(path, filled(browser, path, **fields), follow=True)


def rotate(browser, api_key, **fields):
    return send(browser, reverse("key-rotate", args=[api_key.pk]), **fields)


def key_on(page):
    """Return the key that a page shows, None where it shows none."""
    found = re.search(r'id="secret">(paw_\w+)<', page.content.decode())
    return found[1] if found else None


def text_of(page):
    return Page(page.content.decode()).text


def errors_of(page):
    assert page.status_code == 200, "a form with an error is shown again"
    return page.context["form"].errors


def status(key):
    return with_key(key).get("/api/v1/me/").status_code


def about(moment, expected):
    return abs(moment - expected) < timedelta(minutes=1)


# --- Who may ----------------------------------------------------------------------------------


def test_a_visitor_is_led_to_the_sign_in_and_back(api_key):
    for path in [LIST, NEW, "/accounts/keys/shown/abc/", *paths_of(api_key)]:
        for answer in (Client().get(path), Client().post(path)):
            assert answer.status_code == 302, path
            assert answer["Location"] == f"/accounts/login/?next={path}"


def test_a_token_or_a_key_has_no_power_here(alice, app, api_key):
    key = make_key(alice)[1]
    credentials = [
        {"Authorization": f"Bearer {make_token(alice, app)}"},
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key},
    ]
    before = list(ApiKey.objects.values().order_by("pk"))
    for headers in credentials:
        for path in [LIST, NEW, *paths_of(api_key)]:
            for answer in (Client(headers=headers).get(path), Client(headers=headers).post(path)):
                assert answer.status_code == 302, path
                assert answer["Location"].startswith("/accounts/login/")
    assert list(ApiKey.objects.values().order_by("pk")) == before


def test_the_session_of_somebody_switched_off_opens_nothing(alice, api_key, browser):
    form = filled(browser)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for path in [LIST, NEW, *paths_of(api_key)]:
        for answer in (browser.get(path), browser.post(path, form)):
            assert answer["Location"].startswith("/accounts/login/"), path
    assert ApiKey.objects.count() == 1


def test_anothers_key_is_not_there_even_for_staff(api_key, bob, sam):
    for user in (bob, sam):
        stranger = browser_of(user)
        shown = reverse("key-shown", args=[api_key.key_id])
        assert stranger.get(shown).status_code == 404
        for path in paths_of(api_key):
            assert stranger.get(path).status_code in {404, 405}, path
            assert stranger.post(path, {"active": "off", "name": "Mine"}).status_code == 404, path
        page = open_page(stranger, f"{NEW}?like={api_key.pk}")
        assert page.inputs["name"][0].get("value", "") == ""
    api_key.refresh_from_db()
    assert (api_key.name, api_key.disabled_at, api_key.revoked_at) == ("test", None, None)


@pytest.mark.parametrize("number", ["0", "999999", "9" * 40])
def test_a_guess_is_not_there(browser, number):
    for page in ("", "rotate/", "revoke/"):
        assert browser.get(f"/accounts/keys/{number}/{page}").status_code == 404
    assert browser.get(f"/accounts/keys/shown/{number}/").status_code == 404
    assert browser.get(NEW, {"like": number}).status_code == 200
    assert browser.get(NEW, {"like": "٣"}).status_code == 200


def test_every_change_needs_the_token_against_forged_requests(alice, api_key):
    forger = browser_of(alice, enforce_csrf_checks=True)
    form = filled(forger)
    for path in [NEW, *paths_of(api_key)]:
        assert forger.post(path, form | {"active": "off"}).status_code == 403, path
    api_key.refresh_from_db()
    assert (api_key.name, api_key.disabled_at, api_key.revoked_at) == ("test", None, None)
    assert ApiKey.objects.count() == 1


def test_no_page_is_kept_by_a_cache(browser, api_key):
    for path in [LIST, NEW, reverse("key", args=[api_key.pk])]:
        assert "no-store" in browser.get(path)["Cache-Control"]


# --- The list ---------------------------------------------------------------------------------


def test_an_empty_list_teaches(browser):
    page = open_page(browser, LIST)
    assert "Make your first key" in page.text
    assert "X-API-Key" in page.text
    assert NEW in page.links


def test_the_list_says_what_there_is_to_know(alice, bob, browser):
    make_key(bob)
    api_key, key = make_key(alice, "pets:read")
    with_key(key).get("/api/v1/pets/")
    page = open_page(browser, LIST)
    for words in (
        *("test", f"paw_{api_key.key_id}_…", "See the pets you can see", "pets:read", "1 of 25"),
        *("Created", "just now", f"{api_key.expires_at:%B %Y}, in 90 days", "from 127.0.0.1", "On"),
    ):
        assert words in page.text, words
    assert key not in page.text
    assert page.text.count("paw_") == 1, "nobody else's"


def test_a_key_that_ends_soon_is_marked(alice, browser):
    make_key(alice, expires_in=timedelta(days=15))
    assert "Expires in" not in open_page(browser, LIST).text
    make_key(alice, expires_in=timedelta(days=13))
    assert "Expires in 13 days" in open_page(browser, LIST).text
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(hours=5))
    assert "in 5 hours" in open_page(browser, LIST).text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"disabled_at": timezone.now()}, "Off"),
        ({"revoked_at": timezone.now()}, "Revoked"),
        ({"expires_at": timezone.now()}, "Expired"),
    ],
)
def test_the_state_of_a_key_is_said(api_key, browser, fields, words):
    ApiKey.objects.update(**fields)
    assert words in open_page(browser, LIST).text
    assert words in open_page(browser, reverse("key", args=[api_key.pk])).text


def test_ended_keys_stand_apart_and_do_not_count(alice, browser):
    make_key(alice)
    make_key(alice)[0].revoke()
    page = open_page(browser, LIST)
    assert "1 of 25" in page.text
    assert "Ended keys 1" in page.text
    assert "<details" in browser.get(LIST).content.decode()


def test_an_exposed_key_says_so_and_offers_what_helps(alice, api_key, browser):
    ApiKey.objects.update(exposed_at=timezone.now(), exposed_how="plain_http")
    rotation = reverse("key-rotate", args=[api_key.pk])
    page = open_page(browser, LIST)
    assert "sent without encryption" in page.text
    assert rotation in page.links
    assert "sent without encryption" in open_page(browser, rotation).text
    ApiKey.objects.update(exposed_how="reported", revoked_at=timezone.now())
    page = open_page(browser, LIST)
    assert "Leaked and revoked" in page.text
    assert rotation not in page.links
    assert f"{NEW}?like={api_key.pk}" in page.links


def test_ten_keys_cost_as_many_queries_as_one(alice, browser):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(LIST).status_code == 200
        return len(captured)

    make_key(alice)[0].revoke()
    make_key(alice)
    queries()  # the first page of a session notes where it comes from
    one = queries()
    for _ in range(9):
        make_key(alice)[0].revoke()
        make_key(alice)
    # the session, the person, the keys that live, those that ended
    assert queries() == one == 4


# --- Making -----------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_and_kept_nowhere_in_clear(alice, browser):
    page = send(browser, scope=["pets:read", "pets:write"], allowed_ips="127.0.0.1\n10.0.0.0/8")
    key, api_key = key_on(page), ApiKey.objects.get()
    assert "no-store" in page["Cache-Control"]
    assert status(key) == 200
    assert (api_key.user, api_key.name) == (alice, "Night export")
    assert api_key.scope == "pets:read pets:write"
    assert api_key.allowed_ips == "127.0.0.1 10.0.0.0/8"
    assert about(api_key.expires_at, timezone.now() + timedelta(days=90))

    reloaded = browser.get(page.request["PATH_INFO"], follow=True)
    assert key_on(reloaded) is None
    assert "was shown once" in text_of(reloaded)
    assert reloaded.request["PATH_INFO"] == f"/accounts/keys/{api_key.pk}/"
    assert ApiKey.objects.count() == 1
    secret = key.rpartition("_")[2]
    assert secret not in everything_stored()
    for path in (LIST, f"/accounts/keys/{api_key.pk}/"):
        assert secret not in browser.get(path).content.decode()


@pytest.mark.parametrize(
    ("scopes", "path"),
    [
        (["pets:read", "pets:write"], "/api/v1/pets/"),
        (["users:read"], "/api/v1/users/"),
        (["pets:write"], "/api/v1/me/"),
    ],
)
def test_the_first_call_is_one_that_the_key_may_make(browser, settings, scopes, path):
    page = send(browser, scope=scopes)
    key, text = key_on(page), text_of(page)
    assert f'curl -H "X-API-Key: {key}" \\ {settings.PUBLIC_URL}{path}' in text
    assert f'"X-API-Key": "{key}"' in text, "and in Python"
    assert with_key(key).get(path).status_code == 200
    later = open_page(browser, reverse("key", args=[ApiKey.objects.get().pk])).text
    assert f'curl -H "X-API-Key: $KEY" \\ {settings.PUBLIC_URL}{path}' in later


def test_what_only_signs_people_in_is_not_for_keys(browser):
    offered = [name for name, _ in browser.get(NEW).context["form"].fields["scope"].choices]
    assert offered == ["email", "pets:read", "pets:write", "users:read", "users:write"]


@pytest.mark.parametrize("days", [7, 30, 90, 366])
def test_a_key_lives_as_long_as_chosen(browser, days):
    send(browser, lifetime=str(days), until="whatever")
    assert about(ApiKey.objects.get().expires_at, timezone.now() + timedelta(days=days))


@pytest.mark.parametrize("days", [0, 1, 45, 365])
def test_a_key_lives_through_a_day_of_ones_own_choice(browser, days):
    until = timezone.now().date() + timedelta(days=days)
    assert key_on(send(browser, lifetime="date", until=str(until)))
    end = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
    assert about(ApiKey.objects.get().expires_at, end)


def test_the_form_tells_the_address_one_comes_from(browser):
    assert "Your address now is 127.0.0.1" in open_page(browser, NEW).text


def test_addresses_are_kept_as_people_write_them_once_each(browser):
    send(browser, allowed_ips=" 127.0.0.1/32\r\n\r\n2001:DB8::/32 127.0.0.1\n10.0.0.0/255.0.0.0")
    assert ApiKey.objects.get().allowed_ips == "127.0.0.1 2001:db8::/32 10.0.0.0/8"


BAD_INPUT = [
    ("name", ""),
    ("name", " \t "),
    ("name", "x" * 101),
    ("name", "x" * 100_000),
    ("name", "a\x00b"),
    ("name", "\u202e\u200b"),
    ("scope", []),
    ("scope", ["pets:fly"]),
    ("scope", ["openid"]),
    ("scope", ["a\x00b"]),
    ("lifetime", ""),
    ("lifetime", "9999"),
    ("lifetime", "-1"),
    ("lifetime", "same"),
    ("allowed_ips", "300.1.1.1"),
    ("allowed_ips", "10.0.0.1/8"),
    ("allowed_ips", "0.0.0.0/0"),
    ("allowed_ips", "::/0"),
    ("allowed_ips", "::ffff:10.0.0.1"),
    ("allowed_ips", "fe80::1%eth0"),
    ("allowed_ips", "localhost"),
    ("allowed_ips", "10.0.0.1; 10.0.0.2"),
    ("allowed_ips", "10.0.0.1\x00"),
    ("allowed_ips", "\n".join(f"10.0.0.{n}" for n in range(21))),
    ("allowed_ips", "\n".join(f"10.0.{n // 250}.{n % 250}" for n in range(10_000))),
]


@pytest.mark.parametrize(("field", "value"), BAD_INPUT)
def test_what_cannot_be_is_said_beside_its_field_and_what_was_typed_is_kept(browser, field, value):
    page = send(browser, **{"name": MARKUP, field: value})
    assert list(errors_of(page)) == [field]
    form = page.context["form"]
    assert form[field].value() == value
    assert form[field].errors.as_ul() in page.content.decode()
    assert form["name"].value() == (value if field == "name" else MARKUP)
    assert MARKUP not in page.content.decode()
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    "until", ["", "soon", "2020-02-02", "9999-12-31", "0001-01-01", "2027-02-30", "a\x00"]
)
def test_a_day_that_cannot_be_is_refused(browser, until):
    page = send(browser, lifetime="date", until=until)
    assert list(errors_of(page)) == ["until"]
    assert not ApiKey.objects.exists()


def test_a_day_more_than_a_year_ahead_is_refused(browser):
    until = timezone.now().date() + timedelta(days=366)
    assert "366 days at most" in str(errors_of(send(browser, lifetime="date", until=str(until))))


def test_what_is_kept_until_the_key_is_made_is_short(browser):
    blanks = " " * 300_000
    browser.post(NEW, filled(browser, name=f"{blanks}a", allowed_ips=blanks, until="x" * 300_000))
    assert len(everything_stored()) < 100_000


def test_each_bad_address_is_named(browser):
    page = send(browser, allowed_ips="10.0.0.1\n300.1.1.1\n10.0.0.1/8\nhome")
    assert errors_of(page)["allowed_ips"] == [
        "300.1.1.1: this is neither an address nor a network such as 192.0.2.0/24.",
        "10.0.0.1/8: a network is written with its first address: 10.0.0.0/8.",
        "home: this is neither an address nor a network such as 192.0.2.0/24.",
    ]


def test_a_name_is_a_name_on_every_page(browser):
    send(browser, name=MARKUP)
    api_key = ApiKey.objects.get()
    assert api_key.name == MARKUP
    rotate(browser, api_key)
    for path in [LIST, f"{NEW}?like={api_key.pk}", reverse("key", args=[api_key.pk])]:
        source = browser.get(path).content.decode()
        assert "<b onclick" not in source
        assert "&lt;b onclick=alert(1)&gt;&amp;" in source


def test_a_new_key_begins_with_the_answers_of_an_older_one(alice, browser):
    older, _ = make_key(
        alice, "openid pets:write", expires_in=timedelta(days=30), allowed_ips=["10.0.0.0/8"]
    )
    older.revoke()
    form = browser.get(NEW, {"like": older.pk}).context["form"]
    assert form["name"].value() == "test"
    assert form["lifetime"].value() == "30"
    assert form["allowed_ips"].value() == "10.0.0.0/8"
    ticked = [o.data["value"] for o in form["scope"] if o.data["selected"]]
    assert ticked == ["pets:write"]


# --- Twice ------------------------------------------------------------------------------------


def test_a_double_submit_makes_one_key_and_shows_it(browser):
    form = filled(browser)
    first, second = browser.post(NEW, form), browser.post(NEW, form)
    assert first["Location"] == second["Location"]
    assert status(key_on(browser.get(second["Location"]))) == 200
    assert ApiKey.objects.count() == 1


def test_the_second_half_of_a_double_submit_leads_to_the_key_with_a_sentence(browser):
    form = filled(browser)
    key = key_on(browser.post(NEW, form, follow=True))
    again = browser.post(NEW, form, follow=True)
    api_key = ApiKey.objects.get()
    assert again.request["PATH_INFO"] == f"/accounts/keys/{api_key.pk}/"
    assert "was shown once" in text_of(again)
    assert key not in again.content.decode()
    assert status(key) == 200


def test_a_rotation_sent_twice_makes_one_key(alice, api_key, browser):
    path = reverse("key-rotate", args=[api_key.pk])
    form = filled(browser, path)
    key = key_on(browser.post(path, form, follow=True))
    again = browser.post(path, form, follow=True)
    newer = ApiKey.objects.get(replaces=api_key)
    assert again.request["PATH_INFO"] == f"/accounts/keys/{newer.pk}/"
    assert ApiKey.objects.count() == 2
    assert status(key) == 200


def test_a_form_that_nobody_was_shown_makes_nothing(browser, api_key):
    for form_id in ("", "of-my-own-choice", api_key.key_id, "a\x00b", "x" * 12):
        page = send(browser, form=form_id)
        assert "Send it once more" in page.content.decode()
        assert page.context["form"]["name"].value() == "Night export"
    assert ApiKey.objects.count() == 1
    again = filled(browser) | {"form": page.context["form_id"]}
    assert key_on(browser.post(NEW, again, follow=True))


def test_looking_makes_no_key(browser):
    form = filled(browser)
    assert browser.get(f"/accounts/keys/shown/{form['form']}/").status_code == 404
    path = browser.post(NEW, form)["Location"]
    assert not ApiKey.objects.exists()
    assert browser.head(path).status_code == 405
    assert not ApiKey.objects.exists()
    assert key_on(browser.get(path))


@pytest.mark.server
def test_twenty_forms_at_once_make_one_key_and_show_it_once(server):
    browser = requests.Session()
    page = browser.get(f"{server.url}/accounts/login/")
    browser.post(
        f"{server.url}/accounts/login/",
        {"login": "user4", "password": server.password, "csrfmiddlewaretoken": token_on(page)},
    )
    page = browser.get(f"{server.url}{NEW}")
    form = {
        "form": re.search(r'name="form" value="(\w+)"', page.text)[1],
        "csrfmiddlewaretoken": token_on(page),
        "name": "Twenty at once",
        "scope": "pets:read",
        "lifetime": "7",
    }

    def submit(_):
        return requests.post(page.url, form, cookies=browser.cookies, timeout=60)

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(submit, range(20)))
    assert {answer.status_code for answer in answers} == {200}
    shown = [re.search(r'id="secret">(paw_\w+)<', answer.text) for answer in answers]
    assert len([found for found in shown if found]) == 1
    assert browser.get(f"{server.url}{LIST}").text.count(">Twenty at once<") == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_threads_with_one_form_on_postgresql_one_makes_the_key(alice, browser):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite in memory has one connection; the test above races on SQLite.")
    form = filled(browser)

    def submit(_):
        twin = Client()
        twin.cookies = browser.cookies
        try:
            return key_on(twin.post(NEW, form, follow=True))
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        keys = list(filter(None, threads.map(submit, range(20))))
    assert len(keys) == ApiKey.objects.count() == 1
    assert status(keys[0]) == 200


@pytest.mark.django_db(transaction=True)
def test_thirty_threads_on_postgresql_make_twenty_five_keys(alice):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time; in memory it has one connection.")
    browsers = [browser_of(alice) for _ in range(30)]
    forms = [filled(browser) for browser in browsers]

    def submit(number):
        try:
            return browsers[number].post(NEW, forms[number], follow=True)
        finally:
            connection.close()

    with ThreadPoolExecutor(30) as threads:
        pages = list(threads.map(submit, range(30)))
    made = [page for page in pages if key_on(page)]
    assert len(made) == ApiKey.objects.live().count() == ApiKey.MOST_PER_USER
    for page in pages:
        assert key_on(page) or "25 live keys" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_of_ten_rotations_at_once_on_postgresql_one_replaces_the_key(alice):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time; in memory it has one connection.")
    api_key, _ = make_key(alice)

    def replace(_):
        try:
            return api_key.rotate()[1]
        except ValidationError:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        keys = list(filter(None, threads.map(replace, range(10))))
    assert len(keys) == 1
    assert ApiKey.objects.live().count() == 1


# --- How many ---------------------------------------------------------------------------------


@pytest.fixture
def full(alice):
    """As many keys as Alice can have, the first and the last of them."""
    made = [make_key(alice, "pets:read") for _ in range(ApiKey.MOST_PER_USER)]
    return made[0], made[-1]


def test_nobody_has_more_than_twenty_five_live_keys(alice, browser):
    form = filled(browser)
    for _ in range(ApiKey.MOST_PER_USER):
        make_key(alice)
    for answer in (browser.get(NEW), browser.post(NEW, form)):
        assert answer.status_code == 403
        assert b"You have 25 live keys already" in answer.content
    page = open_page(browser, LIST)
    assert "25 of 25" in page.text
    assert NEW not in page.links
    assert ApiKey.objects.count() == ApiKey.MOST_PER_USER


def test_the_last_key_there_is_room_for_survives_a_double_submit(alice, browser):
    for _ in range(ApiKey.MOST_PER_USER - 1):
        make_key(alice)
    form = filled(browser)
    assert key_on(browser.post(NEW, form, follow=True))
    assert "was shown once" in text_of(browser.post(NEW, form, follow=True))


def test_room_that_is_gone_meanwhile_is_said_above_the_form(alice, browser):
    path = browser.post(NEW, filled(browser))["Location"]
    for _ in range(ApiKey.MOST_PER_USER):
        make_key(alice)
    page = browser.get(path)
    assert "There are 25 live keys" in page.content.decode()
    assert page.context["form"]["name"].value() == "Night export"


def test_a_key_switched_off_takes_room_and_an_ended_one_does_not(full, browser):
    first = full[0][0]
    browser.post(reverse("key-switch", args=[first.pk]), {"active": "off"})
    assert browser.get(NEW).status_code == 403
    browser.post(reverse("key-revoke", args=[first.pk]))
    assert browser.get(NEW).status_code == 200


def test_with_twenty_five_keys_one_is_rotated_at_once_and_not_with_an_overlap(full, browser):
    (api_key, key), _ = full
    page = rotate(browser, api_key, overlap="86400")
    assert list(errors_of(page)) == ["overlap"]
    assert status(key) == 200
    page = rotate(browser, api_key, overlap="0")
    assert status(key_on(page)) == 200
    assert status(key) == 401


# --- A recent sign-in --------------------------------------------------------------------------


def test_a_session_left_open_makes_and_ends_no_key(carol):
    api_key, _ = make_key(carol)
    browser = browser_of(carol)
    form = filled(browser)
    leave_open(browser)
    for path in (NEW, *(reverse(n, args=[api_key.pk]) for n in ("key-rotate", "key-revoke"))):
        assert browser.get(path)["Location"].startswith("/accounts/reauthenticate/?"), path
    answer = browser.post(reverse("key-revoke", args=[api_key.pk]))
    assert answer["Location"].startswith("/accounts/reauthenticate/?")
    due = browser.post(NEW, form)["Location"]
    assert browser.get(due)["Location"].startswith("/accounts/reauthenticate/?")
    api_key.refresh_from_db()
    assert api_key.is_live
    assert ApiKey.objects.count() == 1
    # To pause one is always possible.
    browser.post(reverse("key-switch", args=[api_key.pk]), {"active": "off"})
    api_key.refresh_from_db()
    assert api_key.disabled_at


def test_what_was_typed_survives_being_asked_for_the_password(carol):
    browser = browser_of(carol)
    form = filled(browser, name="Slow typist")
    due = leave_open(browser).post(NEW, form)["Location"]
    asked = browser.get(due)["Location"]
    page = browser.post(asked, {"password": PASSWORD, "next": due}, follow=True)
    assert status(key_on(page)) == 200
    assert ApiKey.objects.get().name == "Slow typist"


# --- Rotating ---------------------------------------------------------------------------------


def test_a_rotated_key_has_the_same_powers_and_the_old_one_ends_later(alice, browser):
    old, old_key = make_key(
        alice, "pets:read users:read", expires_in=timedelta(days=40), allowed_ips=["127.0.0.1"]
    )
    page = rotate(browser, old, overlap="3600")
    old.refresh_from_db()
    new = old.replaced_by
    assert status(old_key) == status(key_on(page)) == 200
    assert (new.name, new.scope, new.allowed_ips) == (old.name, old.scope, old.allowed_ips)
    assert about(old.expires_at, timezone.now() + timedelta(hours=1))
    assert about(new.expires_at, timezone.now() + timedelta(days=40)), "as long as the old one"
    assert old.masked in text_of(page)
    assert "Replaced, ends in" in open_page(browser, LIST).text
    assert new.masked in open_page(browser, reverse("key", args=[old.pk])).text
    assert old.masked in open_page(browser, reverse("key", args=[new.pk])).text
    ApiKey.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    assert status(old_key) == 401
    assert "Ended keys 1" in open_page(browser, LIST).text


def test_at_once_is_at_once(alice, browser):
    old, old_key = make_key(alice)
    new_key = key_on(rotate(browser, old, overlap="0"))
    assert (status(old_key), status(new_key)) == (401, 200)


def test_an_overlap_does_not_lengthen_the_old_key(alice, browser):
    old, _ = make_key(alice, expires_in=timedelta(days=2))
    rotate(browser, old, overlap=str(7 * 86400))
    expires_at = old.expires_at
    old.refresh_from_db()
    assert old.expires_at == expires_at
    assert old.replaced_by


def test_the_new_key_lives_as_long_as_chosen(alice, browser):
    rotate(browser, make_key(alice)[0], lifetime="7")
    assert about(ApiKey.objects.first().expires_at, timezone.now() + timedelta(days=7))


def test_a_key_of_the_longest_life_can_be_rotated(alice, browser):
    assert key_on(rotate(browser, make_key(alice, expires_in=ApiKey.MAXIMUM_LIFETIME)[0]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("overlap", "999"), ("overlap", "-3600"), ("overlap", ""), ("lifetime", "")],
)
def test_a_rotation_that_cannot_be_is_refused(alice, browser, field, value):
    api_key, key = make_key(alice)
    assert list(errors_of(rotate(browser, api_key, **{field: value}))) == [field]
    assert ApiKey.objects.count() == 1
    assert status(key) == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"revoked_at": timezone.now()},
        {"expires_at": timezone.now()},
        {"revoked_at": timezone.now(), "exposed_at": timezone.now(), "exposed_how": "reported"},
    ],
)
def test_what_has_ended_is_not_rotated_but_made_anew(api_key, browser, fields):
    path = reverse("key-rotate", args=[api_key.pk])
    form = filled(browser, path)
    ApiKey.objects.update(**fields)
    for answer in (browser.get(path, follow=True), browser.post(path, form, follow=True)):
        assert "make a new one like it" in text_of(answer)
        assert f"{NEW}?like={api_key.pk}" in answer.content.decode()
    assert ApiKey.objects.count() == 1


def test_what_was_replaced_is_not_replaced_again(alice, browser):
    old, _ = make_key(alice)
    rotate(browser, old)
    path = reverse("key-rotate", args=[old.pk])
    assert "replaced already" in text_of(browser.get(path, follow=True))
    assert ApiKey.objects.count() == 2


def test_a_key_that_ended_while_the_form_was_open_is_not_replaced(alice, api_key, browser):
    path = reverse("key-rotate", args=[api_key.pk])
    due = browser.post(path, filled(browser, path))["Location"]
    api_key.revoke()
    assert "This key has ended" in text_of(browser.get(due))
    assert ApiKey.objects.count() == 1


# --- One key ----------------------------------------------------------------------------------


def test_a_key_is_renamed_and_nothing_else_changes(api_key, browser):
    path = reverse("key", args=[api_key.pk])
    browser.post(path, {"name": " Day \t export ", "scope": "pets:write", "expires_at": "2099-1-1"})
    old, api_key = api_key, ApiKey.objects.get()
    assert api_key.name == "Day export"
    for field in ApiKey.FIXED:
        assert getattr(api_key, field) == getattr(old, field)
    for name in ("", "x" * 101, "a\x00b", "\u200b"):
        page = browser.post(path, {"name": name})
        assert list(errors_of(page)) == ["name"]
    api_key.refresh_from_db()
    assert api_key.name == "Day export"


def test_a_key_is_switched_off_and_on_again(alice, browser):
    api_key, key = make_key(alice)
    path = reverse("key-switch", args=[api_key.pk])
    assert browser.get(path).status_code == 405
    browser.post(path, {"active": "off"})
    assert status(key) == 401
    assert "Off" in open_page(browser, LIST).text
    browser.post(path, {"active": "on"})
    assert status(key) == 200


def test_a_revoked_key_is_not_switched_on(alice, browser):
    api_key, key = make_key(alice)
    confirm = reverse("key-revoke", args=[api_key.pk])
    assert "no way back" in open_page(browser, confirm).text
    assert status(key) == 200, "looking is not revoking"
    assert "is revoked." in text_of(browser.post(confirm, follow=True))
    assert status(key) == 401
    ApiKey.objects.update(exposed_at=timezone.now(), exposed_how="reported")
    switch = reverse("key-switch", args=[api_key.pk])
    answer = browser.post(switch, {"active": "on"}, follow=True)
    assert "has ended" in text_of(answer)
    assert status(key) == 401
    assert switch not in answer.content.decode()


def test_revoked_twice_it_ended_the_first_time(api_key, browser):
    path = reverse("key-revoke", args=[api_key.pk])
    browser.post(path)
    ended = ApiKey.objects.get().revoked_at
    browser.post(path)
    assert ApiKey.objects.get().revoked_at == ended


# --- Told before it expires -------------------------------------------------------------------


def told(owner, lives, left, **fields):
    """Make a key with so many days of life and so many left; return what the daily work mails."""
    api_key, _ = make_key(owner)
    now = timezone.now()
    ends = now + timedelta(days=left)
    ApiKey.objects.filter(pk=api_key.pk).update(
        expires_at=ends, created_at=ends - timedelta(days=lives), **fields
    )
    mail.outbox.clear()
    clear_expired_credentials.call()
    return list(mail.outbox)


@pytest.mark.parametrize(
    ("lives", "left", "count"),
    [
        *[(90, 8, 0), (90, 6.9, 1), (90, 0.1, 1), (90, -1, 0), (15, 6, 1)],
        *[(14, 6, 0), (14, 0.9, 1), (7, 2, 0), (7, 0.9, 1), (2, 0.9, 1), (1.9, 0.9, 0)],
    ],
)
def test_a_person_is_told_in_time(alice, lives, left, count):
    assert len(told(alice, lives, left)) == count


def test_a_person_is_told_once_of_all_their_keys_in_one_mail(alice, settings):
    with_key(make_key(alice)[1]).get("/api/v1/me/")
    now = timezone.now()
    ApiKey.objects.update(
        name="Old\nBcc: mallory@example.org",
        created_at=now - timedelta(days=80),
        expires_at=now + timedelta(days=3),
    )
    (letter,) = told(alice, 90, 5)
    assert letter.recipients() == ["alice@example.org"]
    assert letter.subject == "[Pawprint] 2 of your API keys expire soon"
    for api_key in ApiKey.objects.all():
        assert api_key.expiry_told_at
        assert api_key.masked in letter.body
        path = reverse("key-rotate", args=[api_key.pk])
        assert f"{settings.PUBLIC_URL}{path}" in letter.body
    for words in ("in 5 days", "in 3 days", "from 127.0.0.1", "Never used", "“Old Bcc: mallory"):
        assert words in letter.body, words
    clear_expired_credentials.call()
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    "fields", [{"revoked_at": timezone.now()}, {"disabled_at": timezone.now()}]
)
def test_nobody_is_told_of_what_does_not_work(alice, fields):
    assert told(alice, 90, 5, **fields) == []


def test_nobody_is_told_of_what_is_replaced(alice):
    newer, _ = make_key(alice)
    assert told(alice, 90, 5, replaced_by=newer) == []


def test_nobody_without_an_address_nor_switched_off_is_told(alice, bob):
    User.objects.filter(pk=alice.pk).update(email="")
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert told(alice, 90, 5) == told(bob, 90, 5) == []
    assert not ApiKey.objects.exclude(expiry_told_at=None).exists()


def test_a_mail_that_could_not_be_sent_is_tried_again(alice, settings):
    works = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nobody listens there
    assert told(alice, 90, 5) == []
    assert ApiKey.objects.get().expiry_told_at is None
    with pytest.raises(OSError, match="refused"):
        mail_of_expiring_keys.call(alice.pk)
    assert ApiKey.objects.get().expiry_told_at is None
    settings.EMAIL_BACKEND = works
    clear_expired_credentials.call()
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_of_ten_tasks_at_once_on_postgresql_one_writes(alice):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time; in memory it has one connection.")
    make_key(alice)
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(days=5))
    ApiKey.objects.update(created_at=timezone.now() - timedelta(days=85))

    def tell(_):
        try:
            mail_of_expiring_keys.call(alice.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(tell, range(10)))
    assert len(mail.outbox) == 1


# --- Staff ------------------------------------------------------------------------------------


def test_staff_see_keys_revoke_them_and_change_nothing(api_key, django_user_model):
    staff = browser_of(django_user_model.objects.create_superuser("root", "root@example.org"))
    changelist = reverse("admin:accounts_apikey_changelist")
    change = reverse("admin:accounts_apikey_change", args=[api_key.pk])
    page = staff.get(change)
    assert api_key.digest not in page.content.decode()
    assert api_key.key_id in page.content.decode()
    assert staff.post(change, {"name": "Mine", "scope": "pets:write"}).status_code == 403
    assert staff.get(reverse("admin:accounts_apikey_add")).status_code == 403
    assert staff.get(changelist).status_code == 200
    answer = staff.post(changelist, {"action": "revoke", "_selected_action": [api_key.pk]})
    assert answer.status_code == 302
    old, api_key = api_key, ApiKey.objects.get()
    assert api_key.revoked_at
    assert (api_key.name, api_key.scope) == (old.name, old.scope)


def test_an_app_cannot_reach_the_pages_by_its_token(alice, app, api_key):
    client = bearer(make_token(alice, app))
    answer = client.post(NEW, {"name": "x", "scope": ["pets:read"], "lifetime": "90"})
    assert answer.status_code == 302
    assert ApiKey.objects.count() == 1
