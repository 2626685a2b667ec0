"""The pages people see: one frame around all, nothing from elsewhere, forms that work."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import quote, urlencode, urlsplit

import pytest
from django.conf import settings
from django.template.loader import get_template
from django.utils import timezone
from oauth2_provider.models import get_device_grant_model

from api.errors import PROBLEMS, server_error
from api.models import Pet

from .browser import browser_page, requires_chromium
from .conftest import make_pet

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FOR_ANYBODY = [
    "/",
    "/docs/",
    "/docs/redoc/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/api/v1/",
    "/api/v1/species/",
    *(f"/docs/problems/{code}/" for code in PROBLEMS),
]
FOR_MEMBERS = [
    "/accounts/email/",
    "/accounts/logout/",
    "/accounts/password/set/",
    "/api/v1/breeds/",
    "/api/v1/me/",
    "/api/v1/pets/",
    "/api/v1/pets/stats/",
    "/api/v1/users/",
    "/api/v1/users/alice/",
    "/api/v1/users/alice/pets/",
    "/o/device/",
]
# RFC 7636 Appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class Page(HTMLParser):
    """What a test asks of a page: what it loads, what is inline, its title, links and text."""

    LOADING_LINKS = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "manifest"}

    def __init__(self, source):
        super().__init__()
        self.loads, self.inline, self.links, self.inputs, self.words = [], [], [], {}, []
        self.feed(source)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "src" in attrs:
            self.loads.append(attrs["src"])
        if tag == "link" and self.LOADING_LINKS & set(attrs.get("rel", "").split()):
            self.loads.append(attrs["href"])
        is_code = tag == "script" and "src" not in attrs
        if (is_code and attrs.get("type") != "application/json") or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in attrs if name == "style" or name.startswith("on")]
        if tag == "a":
            self.links.append(attrs.get("href", ""))
        if tag in {"input", "button", "select", "textarea"} and "name" in attrs:
            self.inputs.setdefault(attrs["name"], []).append(attrs)

    def handle_data(self, data):
        self.words.append(data)


def open_page(client, path, status=200):
    """Return the Page at `path`, after checking what every page has in common."""
    response = client.get(path, headers=HTML)
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    source = response.content.decode()
    page = Page(source)
    assert "pawprint/site.css" in source, "not in our frame"
    assert 'class="skip' in source
    foreign = [url for url in page.loads if urlsplit(url).netloc]
    assert foreign == []
    assert page.inline == [], "a strict Content-Security-Policy would refuse it"
    return page


@pytest.mark.parametrize("path", FOR_ANYBODY)
@pytest.mark.django_db
def test_a_visitor_gets_a_page_of_ours_that_loads_nothing_from_elsewhere(anonymous, path):
    open_page(anonymous, path)


@pytest.mark.parametrize("path", [*FOR_ANYBODY[:3], *FOR_MEMBERS])
def test_a_member_gets_a_page_of_ours_that_loads_nothing_from_elsewhere(
    alice_in_browser, rex, path
):
    page = open_page(alice_in_browser, path)
    assert "alice" in page.text
    assert "Sign out" in page.text


def test_staff_are_led_to_the_admin_and_others_are_not(sam, alice_in_browser, client):
    client.force_login(sam)
    assert "/admin/" in open_page(client, "/").links
    assert "/admin/" not in open_page(alice_in_browser, "/").links


def test_a_page_that_is_not_there_says_so_in_our_frame_without_the_database(
    anonymous, db, django_assert_num_queries
):
    with django_assert_num_queries(0):
        page = open_page(anonymous, "/nothing/here", status=404)
    assert "There is nothing at this address." in page.text


def test_a_failure_is_a_page_with_the_id_to_ask_about(rf):
    request = rf.get("/accounts/email/")
    request.request_id = "0123456789abcdef"
    response = server_error(request)
    assert response.status_code == 500
    assert "0123456789abcdef" in response.content.decode()


# --- Problems ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", PROBLEMS)
@pytest.mark.django_db
def test_every_problem_is_explained_with_what_to_do_and_an_example(anonymous, code):
    source = get_template(f"problems/{code}.html").template.source
    for block in ("meaning", "remedy", "example"):
        text = re.search(rf"{{% block {block} %}}(.+?){{% endblock %}}", source, re.DOTALL)
        assert text, f"{code} has no {block}"
        assert len(text[1]) > 20
    page = open_page(anonymous, f"/docs/problems/{code}/")
    assert PROBLEMS[code] in page.text
    assert {f"/docs/problems/{other}/" for other in PROBLEMS} <= set(page.links)


@pytest.mark.django_db
def test_a_problem_that_does_not_exist_is_no_page(anonymous):
    open_page(anonymous, "/docs/problems/bad_luck/", status=404)


# --- The calls ---------------------------------------------------------------------------------


def test_without_a_script_the_docs_name_every_call_with_the_scopes_it_takes(anonymous):
    document = anonymous.get("/api/v1/schema/", {"format": "json"}).json()
    source = anonymous.get("/docs/", headers=HTML).content.decode()
    rows = {
        re.search(r'href="([^"]+)"', row)[1]: Page(row).text.replace(" /", "/")
        for row in re.findall(r'<li id="/.+?</li>', source, re.DOTALL)
    }
    expected = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"#/{operation['tags'][0]}/{operation['operationId']}"
            expected.add(place)
            security = operation["security"]
            scopes = next(way["oauth2"] for way in security if "oauth2" in way)
            for words in [method.upper(), path, operation["summary"], *scopes]:
                assert words in rows[place], place
            assert ("open to all" in rows[place]) == ({} in security)
    assert expected == set(rows)
    assert len(expected) > 10


# --- Signing in and consent --------------------------------------------------------------------


@pytest.mark.django_db
def test_an_api_path_in_a_browser_offers_to_sign_in_and_come_back(anonymous):
    path = "/api/v1/pets/?species=dog&q=a%26b"
    page = open_page(anonymous, path, status=401)
    assert f"/accounts/login/?next={quote(path)}" in page.links


@pytest.mark.django_db
def test_the_sign_in_page_keeps_where_the_visitor_wanted_to_go(anonymous):
    page = open_page(anonymous, "/accounts/login/?next=/api/v1/pets/%3Fspecies%3Ddog")
    (field,) = page.inputs["next"]
    assert field["value"] == "/api/v1/pets/?species=dog"
    assert any(
        link.startswith("/accounts/signup/") and "next=" in link and "species" in link
        for link in page.links
    )


def authorize(app, **changes):
    parameters = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": "https://vet.example/callback",
        "scope": "pets:read pets:write",
        "state": "xyz",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes
    return f"/o/authorize/?{urlencode(parameters)}"


def test_the_consent_page_names_the_app_its_publisher_what_it_wants_and_where_it_leads(
    alice_in_browser, app
):
    page = open_page(alice_in_browser, authorize(app))
    for words in [
        "Vet on Call",
        "Published by bob",
        "vet.example",
        "signed in as alice",
        settings.OAUTH2_PROVIDER["SCOPES"]["pets:read"],
        settings.OAUTH2_PROVIDER["SCOPES"]["pets:write"],
        "Allow",
        "Deny",
    ]:
        assert words in page.text
    assert settings.OAUTH2_PROVIDER["SCOPES"]["users:write"] not in page.text
    assert page.inputs["state"][0]["value"] == "xyz"


@pytest.mark.parametrize(
    ("pressed", "expected"), [({"allow": "Allow"}, "code="), ({}, "error=access_denied")]
)
def test_allow_gives_the_app_a_code_and_deny_gives_it_none(
    alice_in_browser, app, pressed, expected
):
    page = open_page(alice_in_browser, authorize(app))
    fields = {
        name: attrs[0].get("value", "")
        for name, attrs in page.inputs.items()
        if name != "allow" and attrs[0].get("type") == "hidden"
    }
    response = alice_in_browser.post(
        authorize(app),
        urlencode(fields | pressed),
        content_type="application/x-www-form-urlencoded",
    )
    assert response.status_code == 302
    assert response.headers["Location"].startswith("https://vet.example/callback?")
    assert expected in response.headers["Location"]
    assert "state=xyz" in response.headers["Location"]


def test_a_bad_authorization_request_is_told_to_the_person(alice_in_browser, app):
    page = open_page(alice_in_browser, authorize(app, client_id="nobody"), status=400)
    assert "Invalid client_id parameter value." in page.text


def test_a_person_lets_a_device_in_by_its_code(alice, alice_in_browser, app):
    grant = get_device_grant_model().objects.create(
        user=alice,
        device_code="d" * 30,
        user_code="BCDFGHJK",
        client_id=app.client_id,
        scope="pets:read",
        expires=timezone.now() + timedelta(minutes=5),
    )
    page = open_page(alice_in_browser, "/o/device/?user_code=BCDFGHJK")
    assert page.inputs["user_code"][0]["value"] == "BCDFGHJK"
    path = f"/o/device-confirm/{app.client_id}/BCDFGHJK"
    page = open_page(alice_in_browser, path)
    assert "Vet on Call" in page.text
    assert settings.OAUTH2_PROVIDER["SCOPES"]["pets:read"] in page.text
    response = alice_in_browser.post(
        path, "action=accept", content_type="application/x-www-form-urlencoded"
    )
    page = open_page(alice_in_browser, response.headers["Location"])
    assert "The device is connected" in page.text
    grant.refresh_from_db()
    assert grant.status == grant.AUTHORIZED


# --- The browsable API -------------------------------------------------------------------------


def test_what_owners_wrote_cannot_become_markup(alice_in_browser, alice):
    make_pet(alice, name="<b>Rex</b>", description='http://x"onclick="y <script>alert(1)</script>')
    source = alice_in_browser.get("/api/v1/pets/", headers=HTML).content.decode()
    assert "<b>Rex" not in source
    assert "<script>alert" not in source
    assert '"onclick="' not in source
    assert "&lt;b&gt;Rex" in source


def test_addresses_in_the_answer_are_links(alice_in_browser, rex):
    page = open_page(alice_in_browser, f"/api/v1/pets/{rex.pk}/")
    assert f"http://testserver/api/v1/pets/{rex.pk}/" in page.links


def test_a_page_leads_to_the_next_and_back(alice_in_browser, alice):
    for number in range(3):
        make_pet(alice, name=f"Pet {number}")
    first = alice_in_browser.get("/api/v1/pets/?page_size=2").json()
    page = open_page(alice_in_browser, "/api/v1/pets/?page_size=2")
    assert first["next"] in page.links
    assert "Previous" not in page.text
    second = open_page(alice_in_browser, first["next"])
    assert "Previous" in second.text
    assert "Next" not in second.text


def test_a_refused_filter_stays_in_the_form(alice_in_browser):
    page = open_page(alice_in_browser, "/api/v1/pets/?born_before=soon", status=400)
    assert page.inputs["born_before"][0]["value"] == "soon"
    assert "born_before" in page.text
    assert "/api/v1/pets/" in page.links


def test_the_form_for_a_new_pet_begins_with_what_the_model_says(alice_in_browser):
    page = open_page(alice_in_browser, "/api/v1/pets/")
    assert any("checked" in attrs for attrs in page.inputs["is_public"])
    source = alice_in_browser.get("/api/v1/pets/", headers=HTML).content.decode()
    assert '<option value="unknown" selected>' in source


def test_a_stranger_s_pet_has_no_form_to_change_or_remove_it(client, bob, rex):
    client.force_login(bob)
    page = open_page(client, f"/api/v1/pets/{rex.pk}/")
    assert "is_public" not in page.inputs
    assert "Delete" not in page.text


def test_without_a_script_a_refused_form_keeps_what_was_typed(alice_in_browser):
    form = {"name": "Rex", "species": "dog", "sex": "male", "status": "home", "microchip": "12"}
    response = alice_in_browser.post(
        "/api/v1/pets/",
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers=HTML,
    )
    assert response.status_code == 400
    page = Page(response.content.decode())
    assert page.inputs["name"][0]["value"] == "Rex"
    assert page.inputs["microchip"][0]["value"] == "12"
    assert page.inputs["microchip"][0]["aria-invalid"] == "true"
    assert "A microchip number has 15 digits" in page.text
    assert not Pet.objects.exists()


# --- In a browser ------------------------------------------------------------------------------


@pytest.fixture
def page(server):
    """A page that remembers what its console complained of: `page.complaints`."""
    with browser_page(base_url=server.url) as page:
        page.complaints = []
        page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page


def sign_in(page, server, path="/api/v1/pets/"):
    page.goto(path)
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.fill("[name=login]", "user1")
    page.fill("[name=password]", server.password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{server.url}{path}")


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_a_person_signs_out(server, page):
    sign_in(page, server)
    page.get_by_text("Your account, user1").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").first.wait_for()
    assert page.request.get("/api/v1/me/").status == 401


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
@pytest.mark.parametrize(
    ("path", "landmark"),
    [("/docs/", "#operations-pets-pets_list"), ("/docs/redoc/", "#tag\\/pets")],
)
def test_the_documentation_stands_on_its_own_files(server, page, path, landmark):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path)
    page.mouse.move(10, 10)
    page.locator(landmark).first.wait_for()
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert page.complaints == []


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_a_reader_of_the_docs_signs_in_and_calls_the_api_and_can_do_so_again(server, page):
    def sign_in_there(window):
        window.get_by_label("User name or e-mail").fill("user1")
        window.get_by_label("Password").fill(server.password)
        window.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()

    def find_oneself_known(window):
        window.get_by_text("You are signed in as user1").wait_for()

    page.goto("/docs/")
    page.mouse.move(10, 10)
    page.locator(".auth-wrapper > .authorize").click()
    oauth = page.locator(".auth-container").filter(has_text="authorizationCode with PKCE")
    for arrive in [sign_in_there, find_oneself_known]:
        with page.expect_popup() as opened:
            oauth.locator("button", has_text="Authorize").click()
        arrive(opened.value)
        opened.value.get_by_role("button", name="Allow").click()
        oauth.locator("button", has_text="Logout").wait_for()
        if arrive is sign_in_there:
            oauth.locator("button", has_text="Logout").click()
    page.locator(".modal-ux .close-modal").click()
    page.locator("#operations-me-me_retrieve .opblock-summary-control").click()
    page.get_by_role("button", name="Execute").click()
    body = page.locator(".live-responses-table .microlight").first
    body.wait_for()
    assert '"kind": "token"' in body.inner_text()
    assert page.complaints == []


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
@pytest.mark.parametrize(
    "path", ["/", "/accounts/login/", "/api/v1/pets/", "/docs/problems/invalid/"]
)
def test_no_page_is_wider_than_a_phone(server, path):
    with browser_page(base_url=server.url, viewport={"width": 360, "height": 700}) as page:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
