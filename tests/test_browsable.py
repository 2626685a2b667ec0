"""The browsable API over HTTP: what its pages show, lead to, explain and never let out."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.snippets import snippets
from api.models import Pet

from .conftest import bearer, make_key, make_pet, make_token, with_key

PETS = "/api/v1/pets/"
ME = "/api/v1/me/"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NASTY = """<b>"'`$(id)</b>\\ &amp; ‮"""


class Reader(HTMLParser):
    """A page as text, its links by their words, its controls by name, its <pre> by label."""

    def __init__(self, source):
        super().__init__()
        self.source, self.words, self.links, self.controls, self.code = source, [], {}, {}, {}
        self.ids, self.href, self.label = set(), None, None
        self.feed(source)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a":
            self.href, self.href_words = attrs.get("href", ""), []
        if tag in {"input", "select", "textarea", "button"} and "name" in attrs:
            self.controls.setdefault(attrs["name"], []).append(attrs)
        if tag == "pre":
            self.label = attrs.get("aria-label")
            self.code.setdefault(self.label, "")

    def handle_endtag(self, tag):
        if tag == "a" and self.href is not None:
            self.links[re.sub(r"\s+", " ", "".join(self.href_words)).strip()] = self.href
            self.href = None
        if tag == "pre":
            self.label = None

    def handle_data(self, data):
        self.words.append(data)
        if self.href is not None:
            self.href_words.append(data)
        if self.label is not None:
            self.code[self.label] += data


def look(client, path, status=200, method="get", **options):
    answer = getattr(client, method)(path, headers=HTML, **options)
    assert answer.status_code == status, answer.content.decode()[:300]
    assert answer["Content-Type"].startswith("text/html")
    return Reader(answer.content.decode())


# --- Lists -------------------------------------------------------------------------------------


def test_a_list_shows_its_pets_as_cards_and_as_a_table_in_words(alice_in_browser, alice):
    pet = make_pet(
        alice, name="Gerda", species="guinea_pig", status="pending", birth_date="2024-05-04"
    )
    page = look(alice_in_browser, PETS)
    assert page.text.count("Gerda") >= 2
    for words in ["Guinea pig", "Adoption pending", "4 May 2024", "1 pet, all there is"]:
        assert words in page.text
    assert page.links["Gerda"] == f"http://testserver{PETS}{pet.pk}/"
    assert page.links["alice"] == "/api/v1/users/alice/"
    assert [choice["value"] for choice in page.controls["list-view"]] == ["cards", "table"]


def test_a_list_without_cards_of_its_own_is_a_table(alice_in_browser, alice):
    make_pet(alice, breed="Beagle")
    page = look(alice_in_browser, "/api/v1/breeds/")
    assert "list-view" not in page.controls
    assert page.links["Beagle"] == f"{PETS}?species=dog&breed=Beagle"
    assert look(alice_in_browser, "/api/v1/species/").links["Guinea pig"] == (
        f"{PETS}?species=guinea_pig"
    )


def test_a_list_says_how_much_it_shows_and_where_it_ends(alice_in_browser, alice):
    for number in range(3):
        make_pet(alice, name=f"Pet {number}")
    first = look(alice_in_browser, f"{PETS}?page_size=2")
    assert "2 pets on this page" in first.text
    assert "This is the first page" in first.text
    last = look(alice_in_browser, first.links["Next →"])
    assert "This is the last page" in last.text
    assert last.links["First"] == f"{PETS}?page_size=2"
    assert "← Previous" in last.links
    assert last.links["100"] == f"{PETS}?page_size=100"


def test_an_empty_list_says_so_and_leads_on(alice_in_browser):
    assert "There is nothing here yet" in look(alice_in_browser, PETS).text
    page = look(alice_in_browser, f"{PETS}?q=nobody")
    assert "Nothing fits these filters" in page.text
    assert page.links["Clear all filters"] == PETS


def test_ones_own_pets_are_one_click_away_with_the_other_filters_kept(alice_in_browser, rex):
    page = look(alice_in_browser, f"{PETS}?species=dog")
    assert page.links["Only my pets"] == f"{PETS}?species=dog&owner=alice"
    assert "Only my pets" not in look(alice_in_browser, page.links["Only my pets"]).links


def test_an_order_is_chosen_in_words(alice_in_browser, rex):
    page = look(alice_in_browser, f"{PETS}?ordering=-name")
    assert "Newest first" in page.text
    assert '<option value="-name" selected>Name, Z to A</option>' in page.source


# --- Filters -----------------------------------------------------------------------------------


def test_each_active_filter_is_a_link_that_drops_just_this_one(alice_in_browser, rex):
    query = "species=dog&species=cat&status=home&q=a+b&ordering=name&page_size=50"
    page = look(alice_in_browser, f"{PETS}?{query}")
    removed = {
        "Remove Species Dog": "species=cat&status=home&q=a+b&ordering=name&page_size=50",
        "Remove Species Cat": "species=dog&status=home&q=a+b&ordering=name&page_size=50",
        "Remove Status At home": "species=dog&species=cat&q=a+b&ordering=name&page_size=50",
        "Remove Search a b": "species=dog&species=cat&status=home&ordering=name&page_size=50",
    }
    found = {
        words.replace("×", "").strip(): url
        for words, url in page.links.items()
        if words.startswith("Remove")
    }
    assert found == {words: f"{PETS}?{rest}" for words, rest in removed.items()}
    assert page.links["Clear all"] == PETS


def test_a_filter_leaves_the_page_it_was_dropped_on(alice_in_browser, alice):
    for _ in range(3):
        make_pet(alice)
    page = look(alice_in_browser, f"{PETS}?species=dog&q=r&page_size=1")
    page = look(alice_in_browser, page.links["Next →"])
    urls = [url for words, url in page.links.items() if words.startswith("Remove")]
    assert len(urls) == 2
    for url in urls:
        assert "cursor" not in url
        look(alice_in_browser, url)


def test_without_a_script_the_fields_left_empty_are_no_filters(alice_in_browser, rex):
    empty = {"q": "", "ordering": "", "breed": "", "born_after": "", "species": "dog"}
    page = look(alice_in_browser, f"{PETS}?{urlencode(empty)}")
    assert [words for words in page.links if words.startswith("Remove")] == ["Remove Species Dog×"]
    assert f"{PETS}?species=dog'" in page.code["GET in curl"]


def test_what_was_refused_can_be_taken_away(alice_in_browser):
    page = look(alice_in_browser, f"{PETS}?wings=2&species=dog&born_after=soon", status=400)
    assert page.links["Remove Wings 2×"] == f"{PETS}?species=dog&born_after=soon"
    assert page.controls["born_after"][0]["value"] == "soon"
    assert page.controls["q"], "the search is at hand"


def test_the_numbers_take_the_filters_of_the_list_and_lead_back_to_it(alice_in_browser, rex):
    page = look(alice_in_browser, f"{PETS}?species=dog&ordering=name")
    assert page.links["Stats"].endswith(f"{PETS}stats/?species=dog")
    page = look(alice_in_browser, page.links["Stats"])
    assert "1 pet that you can see, with these filters" in page.text
    assert page.links["At home"] == f"{PETS}?species=dog&status=home"
    assert "Stats" not in page.links


# --- One thing ---------------------------------------------------------------------------------


def test_a_pets_page_says_what_is_known_in_words_and_groups(alice_in_browser, alice):
    pet = make_pet(
        alice,
        name="Fen",
        species="goat",
        birth_date="2020-02-29",
        size="xlarge",
        tags=["shy", "old"],
        description="Eats\nhats.",
        is_public=False,
    )
    page = look(alice_in_browser, f"{PETS}{pet.pk}/")
    for words in ["Goat", "29 February 2020, ", "years old", "Extra large", "shy", "Private"]:
        assert words in page.text
    assert "Eats<br>hats." in page.source
    assert "only its owner and staff know that it exists" in page.text
    assert "Not known: breed" in page.text
    assert "(you)" in page.text
    assert {"edit", "delete", "json", "request"} <= page.ids


def test_a_strangers_pet_leads_to_its_owner_and_offers_no_change(client, bob, rex):
    client.force_login(bob)
    page = look(client, f"{PETS}{rex.pk}/")
    assert page.links["alice"] == "/api/v1/users/alice/"
    assert not {"edit", "delete"} & page.ids
    assert "DELETE pets:write Its owner only" in page.text
    assert "985112345678901" not in page.source


def test_a_pet_without_a_name_is_called_by_its_species(alice_in_browser, alice):
    pet = make_pet(alice, name="", species="guinea_pig")
    assert "Guinea pig without a name" in look(alice_in_browser, f"{PETS}{pet.pk}/").text


def test_the_root_has_a_sentence_and_a_call_for_each_collection(anonymous, db):
    page = look(anonymous, "/api/v1/")
    assert page.links["Pets"] == f"http://testserver{PETS}"
    assert page.code["A call of Pets"] == (
        f'curl -H "X-API-Key: $KEY" \\\n  http://testserver{PETS}'
    )
    assert page.code["A call of Species"] == "curl http://testserver/api/v1/species/"


def test_my_page_says_who_i_am_and_with_what(alice, alice_in_browser):
    page = look(alice_in_browser, ME)
    assert "Alice A." in page.text
    assert "alice@example.org" in page.text
    assert "signed in as alice" in page.text
    assert page.links["Your pets"] == "http://testserver/api/v1/users/alice/pets/"
    assert page.controls["display_name"][0]["value"] == "Alice A."


def test_an_app_without_a_user_has_a_page_too(app_with_token, rex):
    assert "It has no user" in look(app_with_token, ME).text
    assert "Rex" in look(app_with_token, PETS).text


@pytest.mark.parametrize("method", ["options", "head"])
def test_other_methods_have_pages_too(alice_in_browser, rex, method):
    answer = getattr(alice_in_browser, method)(PETS, headers=HTML)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")


def test_what_takes_only_a_form_shows_it(anonymous, db):
    page = look(anonymous, "/api/v1/credentials/report/", status=405)
    assert page.controls["credential"][0]["type"] == "password"
    assert page.controls["credential"][0]["autocomplete"] == "off"


def test_a_credential_that_was_typed_is_not_shown_again(anonymous, db):
    form = urlencode({"credential": "paw_typed_by_somebody", "url": "nonsense"})
    page = look(
        anonymous,
        "/api/v1/credentials/report/",
        status=400,
        method="post",
        data=form,
        content_type="application/x-www-form-urlencoded",
    )
    assert page.controls["url"][0]["value"] == "nonsense"
    assert "paw_typed_by_somebody" not in page.source


# --- Forms without a script --------------------------------------------------------------------


def test_a_form_that_made_a_pet_leads_to_it_so_that_reloading_makes_no_second(alice_in_browser):
    form = {"name": "Rex", "species": "dog", "sex": "male", "status": "home"}
    answer = alice_in_browser.post(
        PETS, urlencode(form), content_type="application/x-www-form-urlencoded", headers=HTML
    )
    assert answer.status_code == 303
    pet = Pet.objects.get()
    assert answer["Location"] == f"http://testserver{PETS}{pet.pk}/"


def test_a_program_that_prefers_html_still_gets_its_201(alice_with_key):
    answer = alice_with_key.post(PETS, {"name": "Rex", "species": "dog"}, headers=HTML)
    assert answer.status_code == 201


def test_a_form_marks_what_is_required_and_groups_the_rest(alice_in_browser):
    page = look(alice_in_browser, PETS)
    assert re.search(r'<label for="field-species" class="required">', page.source)
    assert re.search(r'<label for="field-breed">', page.source)
    for legend in ["Who it is", "What it is like", "Where it is", "Registration"]:
        assert f"<legend>{legend}</legend>" in page.source
    assert page.controls["birth_date"][0]["type"] == "date"


# --- The request -------------------------------------------------------------------------------


def test_the_request_tab_tells_status_time_headers_and_the_credential(alice_with_key, rex):
    page = look(alice_with_key, PETS)
    assert "HTTP 200 OK" in page.text
    assert re.search(r"\d+\.\d ms on the server", page.text)
    assert "X-Request-ID" in page.text
    assert re.search(r"paw_\w{12}_…", page.text)
    assert "Acts for alice" in page.text


def test_each_method_says_which_scope_it_needs_and_whether_one_has_it(alice, rex):
    page = look(with_key(make_key(alice, "pets:read")[1]), f"{PETS}{rex.pk}/")
    assert "GET pets:read Enough" in page.text
    assert "DELETE pets:write Missing" in page.text
    page = look(with_key(make_key(alice, "pets:read")[1]), ME)
    assert "GET any credential Enough" in page.text
    assert "DELETE a signed-in person Missing" in page.text


def test_the_calls_are_of_this_very_address_and_carry_no_credential(alice, alice_in_browser, rex):
    query = "species=dog&q=a+b%27%24HOME&ordering=name"
    page = look(alice_in_browser, f"{PETS}?{query}")
    url = f"http://testserver{PETS}"
    assert page.code["GET in curl"] == f"curl -H \"X-API-Key: $KEY\" \\\n  '{url}?{query}'"
    assert f'"{url}?{query}"' in page.code["GET in Python"]
    assert f'"{url}?{query}"' in page.code["GET in JavaScript"]
    assert '"species": "dog"' in page.code["POST in curl"]
    assert query not in page.code["POST in curl"]
    session = alice_in_browser.cookies["sessionid"].value
    assert session not in page.source


def test_a_call_that_only_a_person_can_make_is_not_offered_to_programs(alice_in_browser):
    page = look(alice_in_browser, ME)
    assert "PATCH in curl" in page.code
    assert "DELETE in curl" not in page.code


def test_what_is_public_is_called_without_a_key(anonymous, db):
    assert "KEY" not in look(anonymous, "/api/v1/species/").code["GET in curl"]


def test_the_key_that_was_sent_is_nowhere_on_the_page(alice, rex):
    key = make_key(alice, "users:read")[1]
    for path, status in ((PETS, 403), (ME, 200), ("/api/v1/nothing/", 404)):
        assert key not in look(with_key(key), path, status=status).source


TRICKY = [
    {"name": "Rex", "mixed_breed": True, "birth_date": None, "tags": ["a'b", 'c"d']},
    {"name": "'; touch /tmp/broken; echo '"},
    {"name": "$(id) `id` ${HOME} \\ \" ' \n two \t lines %s {} é 🐕 ‮ \u2028 \x00"},
    {"a": {"b": [1, 2.5, False, None, {"c": "'''"}]}, "-d": "@/etc/passwd"},
]


@pytest.mark.server
@pytest.mark.parametrize("body", TRICKY, ids=["plain", "quotes", "everything", "nested"])
@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_a_call_sends_exactly_what_it_shows(echo, language, body, tmp_path):
    query = urlencode({"q": 'it\'s $HOME "x" `id` \n & é', "tag": "a;b|c"})
    code = dict(snippets("PATCH", f"{echo.url}/api/v1/users/o'hara$x/?{query}", body))[language]
    done = run(language, code, tmp_path, KEY="paw_'$x")
    assert done.returncode == 0, done.stderr
    (sent,) = echo.requests
    assert sent["method"] == "PATCH"
    assert sent["path"] == f"/api/v1/users/o'hara$x/?{query}"
    assert sent["key"] == "paw_'$x"
    assert json.loads(sent["body"]) == body


def run(language, code, folder, **environment):
    if language == "curl":
        command = ["sh", "-c", code]
    elif language == "Python":
        command = [sys.executable, "-c", code]
    else:
        (folder / "call.mjs").write_text(code)
        command = ["node", str(folder / "call.mjs")]
    if shutil.which(command[0]) is None:
        pytest.skip(f"There is no {command[0]} here.")
    environment = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture
def echo():
    """A server that takes anything and remembers it."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            seen.append(
                {
                    "method": self.command,
                    "path": self.path,
                    "key": self.headers.get("X-API-Key"),
                    "body": self.rfile.read(length).decode(),
                }
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_PATCH = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{listening.server_port}", requests=seen)
        listening.shutdown()
        thread.join()


@pytest.mark.server
def test_the_calls_of_a_page_work_as_copied(server, tmp_path):
    session = {"X-API-Key": server.key} | HTML

    def read(path):
        answer = requests.get(f"{server.url}{path}", headers=session, timeout=30)
        return Reader(answer.text)

    for language in ("curl", "Python", "JavaScript"):
        page = read(f"{PETS}?species=dog&q=it%27s+%24HOME")
        listed = run(language, page.code[f"GET in {language}"], tmp_path, KEY=server.key)
        assert listed.returncode == 0, listed.stderr
        assert "results" in listed.stdout
        made = run(language, page.code[f"POST in {language}"], tmp_path, KEY=server.key)
        number = re.search(r"""\bid['"]?: ?(\d+)""", made.stdout)
        assert number, made.stdout + made.stderr
        page = read(f"{PETS}{number[1]}/")
        changed = run(language, page.code[f"PATCH in {language}"], tmp_path, KEY=server.key)
        assert changed.returncode == 0, changed.stderr
        removed = run(language, page.code[f"DELETE in {language}"], tmp_path, KEY=server.key)
        assert removed.returncode == 0, removed.stderr
        answer = requests.get(
            f"{server.url}{PETS}{number[1]}/", headers={"X-API-Key": server.key}, timeout=30
        )
        assert answer.status_code == 404


# --- Explained refusals ------------------------------------------------------------------------


def test_a_401_says_that_nothing_came_and_leads_to_signing_in_and_back(anonymous, db):
    path = f"{PETS}?species=dog"
    page = look(anonymous, path, status=401)
    assert "Nothing: no session, no API key, no access token." in page.text
    assert "pets:read" in page.text
    assert page.links["Sign in"] == f"/accounts/login/?next={quote(path)}"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "paw_nonsense"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic nonsense"},
    ],
    ids=["key", "bearer", "basic"],
)
def test_a_401_tells_nothing_of_a_credential_that_does_not_hold(client, alice, rex, headers):
    answer = client.get(PETS, headers=HTML | headers)
    page = Reader(answer.content.decode())
    assert answer.status_code == 401
    assert f"A credential in the header {next(iter(headers))} , which did not hold" in page.text
    assert "nonsense" not in page.source
    assert "alice" not in page.source


def test_a_revoked_key_is_told_no_more_of_than_an_unknown_one(client, alice):
    row, key = make_key(alice, "pets:read")
    row.revoke()
    source = client.get(PETS, headers=HTML | {"X-API-Key": key}).content.decode()
    assert row.key_id not in source
    assert "alice" not in source
    assert key not in source


def test_a_key_without_the_scope_is_told_which_key_would_do(alice, rex):
    page = look(with_key(make_key(alice, "users:read")[1]), PETS, status=403)
    assert re.search(r"paw_\w{12}_…", page.text)
    assert "The scope pets:read" in page.text
    link = urlsplit(page.links["Make that key"])
    assert link.path == "/accounts/keys/new/"
    assert parse_qs(link.query) == {"scope": ["pets:read users:read"]}


def test_an_app_without_the_scope_is_told_to_ask_for_more(alice, app, rex):
    token = make_token(alice, app, "users:read")
    page = look(bearer(token), PETS, status=403)
    assert "of the app Vet on Call" in page.text
    assert "scope=pets:read users:read" in page.text
    assert token not in page.source
    assert "What you let apps do" in page.links


def test_whoever_is_not_the_owner_is_told_whose_word_counts(client, bob, rex):
    client.force_login(bob)
    page = look(client, f"{PETS}{rex.pk}/", status=403, method="delete")
    assert "signed in as bob" in page.text
    assert "Ownership." in page.text
    assert page.links["See whose it is"] == f"{PETS}{rex.pk}/"
    assert Pet.objects.filter(pk=rex.pk).exists()


def test_an_app_for_itself_is_told_that_it_needs_a_user(app_with_token):
    page = look(app_with_token, PETS, status=403, method="post", data={"species": "dog"})
    assert "the app itself, without a user" in page.text
    assert "A token that a person consented to" in page.text


def test_a_key_that_would_delete_an_account_is_told_to_sign_in(alice_with_key):
    page = look(alice_with_key, ME, status=403, method="delete")
    assert "No key and no token can do this" in page.text
    assert page.links["Sign in"].startswith("/accounts/login/")


def test_a_form_from_elsewhere_is_told_to_be_loaded_again(alice, rex):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post(PETS, {"species": "dog"}, headers=HTML)
    assert answer.status_code == 403
    assert "Load it again" in answer.content.decode()


def test_what_one_may_not_see_stays_unexplained(client, bob, secret_cat):
    client.force_login(bob)
    hidden = look(client, f"{PETS}{secret_cat.pk}/", status=404)
    missing = look(client, f"{PETS}987654321/", status=404)
    assert "Shadow" not in hidden.source
    assert "alice" not in hidden.source
    assert "What was presented" not in hidden.text
    strip = re.compile(r"[0-9a-f]{32}|[\d.]+")
    assert strip.sub("", hidden.text) == strip.sub("", missing.text)


# --- What people type --------------------------------------------------------------------------


def test_nothing_that_people_type_becomes_markup_anywhere(client, db):
    mallory = User.objects.create_user("mallory", display_name=NASTY, bio=NASTY + "javascript:x")
    pet = make_pet(
        mallory,
        name=NASTY,
        breed=NASTY,
        description="javascript:alert(1) http://x\"onclick='y " + NASTY,
        tags=[NASTY.lower(), "javascript:alert(1)"],
        postal_code="<i>9</i>",
    )
    client.force_login(mallory)
    query = urlencode({"q": NASTY, "breed": NASTY})
    pages = [
        f"{PETS}?{query}", f"{PETS}{pet.pk}/", PETS, "/api/v1/users/", "/api/v1/users/mallory/",
        "/api/v1/users/mallory/pets/", ME, "/api/v1/breeds/", f"{PETS}stats/?{query}",
    ]  # fmt: skip
    for path in pages:
        page = look(client, path)
        assert "<b>" not in page.source.lower(), path
        assert "<i>9" not in page.source
        assert not [url for url in page.links.values() if url.lower().startswith("javascript")]
        assert 'onclick="' not in page.source
        assert "onclick='" not in page.source
        code = page.code.get("PATCH in curl", "") + page.code.get("PATCH in Python", "")
        assert "‮" not in code, "what turns the writing round is escaped in code"


@pytest.mark.django_db
def test_a_name_in_an_address_stays_a_name(alice_in_browser):
    path = "/api/v1/users/" + quote("<b>x?'\"#$(id)%", safe="") + "/"
    page = look(alice_in_browser, path, status=404)
    assert "<b>x" not in page.source
    assert "%3Cb%3Ex%3F'" in page.code["GET in JavaScript"]


def test_a_thousand_filters_do_not_take_a_thousand_addresses(alice_in_browser, rex):
    query = "&".join(["species=dog"] * 900)
    page = look(alice_in_browser, f"{PETS}?{query}")
    assert page.source.count("chip-name") == 20


# --- Costs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [PETS, "/api/v1/users/", "/api/v1/users/alice/", "/api/v1/breeds/", f"{PETS}stats/"]
)
def test_a_page_costs_the_same_for_one_row_and_for_ten(alice, alice_in_browser, path):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            look(alice_in_browser, path)
        return len(captured)

    make_pet(alice, name="One", tags=["calm"])
    queries()
    few = queries()
    for number in range(9):
        owner = User.objects.create_user(f"person{number}")
        make_pet(alice, name=f"Pet {number}", breed=f"Breed {number}", tags=["calm", "shy"])
        make_pet(owner, name=f"Other {number}")
    assert queries() == few


def test_the_snippets_are_escaped_in_the_page(alice_in_browser, alice):
    pet = make_pet(alice, name="</pre><script>alert(1)</script>")
    page = look(alice_in_browser, f"{PETS}{pet.pk}/")
    assert "<script>alert" not in page.source
    assert html.escape("</pre><script>") in page.source
    assert "</pre><script>alert(1)</script>" in page.code["PATCH in Python"]


# --- Writing with a key and a browser's Accept -------------------------------------------------


def test_a_program_that_prefers_html_may_write_too(alice_with_key, rex):
    path = f"{PETS}{rex.pk}/"
    page = look(alice_with_key, path, method="patch", data={"name": "Max"})
    assert "Max" in page.text
    assert "name: " not in page.text
    look(alice_with_key, path, method="patch", data={"microchip": "1"}, status=400)
    page = look(alice_with_key, path, method="delete")
    assert "HTTP 204" in page.text
    assert "The answer has no body." in page.text


def test_somebody_who_deletes_their_account_gets_a_page(alice_in_browser):
    look(alice_in_browser, ME, method="delete")
    assert not User.objects.exists()
