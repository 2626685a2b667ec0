"""The browsable API as a person meets it: in a browser, by mouse, by keyboard, without a script."""

import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from .browser import browser_page, requires_chromium

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]

PETS = "/api/v1/pets/"


def sign_in(page, server, path=PETS, user="user1"):
    page.goto(f"{server.url}/accounts/login/?next={path}")
    page.fill("[name=login]", user)
    page.fill("[name=password]", server.password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{server.url}{path}")


@pytest.fixture
def page(server):
    """A page of user1's that remembers what its console complained of: `page.complaints`."""
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with browser_page(base_url=server.url, **options) as page:
        page.complaints = []
        page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        sign_in(page, server)
        yield page


def json_of(page):
    """Return the JSON that the page shows, which its tab need not be open for."""
    return page.locator("#json pre").text_content()


def register(page, name, **fields):
    """Register a pet by the form and return its address."""
    page.goto(PETS)
    page.get_by_role("link", name="Register a pet").click()
    form = page.locator("#create-fields")
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Species").select_option(fields.pop("species", "dog"))
    for label, value in fields.items():
        form.get_by_label(label, exact=True).fill(value)
    form.get_by_role("button", name="Create").click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    return urlsplit(page.url).path


# --- Finding -----------------------------------------------------------------------------------


def test_a_person_filters_and_takes_the_filters_away_again(page, server):
    page.locator("#filters summary").click()
    page.locator("#filters").get_by_label("Dog").check()
    page.locator("#filters").get_by_label("Lost").check()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(f"{server.url}{PETS}?species=dog&status=lost")
    chips = page.get_by_role("list", name="Active filters")
    assert chips.get_by_role("link").all_inner_texts()[-1] == "Clear all"
    assert set(page.locator(".pet-card .badge").all_inner_texts()) == {"Lost"}

    chips.get_by_role("link", name="Remove Status Lost").click()
    page.wait_for_url(f"{server.url}{PETS}?species=dog")
    assert len(set(page.locator(".pet-card .badge").all_inner_texts())) > 1
    page.get_by_role("searchbox", name="Search").fill("collie")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(f"{server.url}{PETS}?q=collie&species=dog")
    assert all("Collie" in text for text in page.locator(".pet-card").all_inner_texts())
    page.get_by_role("link", name="Clear all").click()
    page.wait_for_url(f"{server.url}{PETS}")
    assert page.complaints == []


def test_a_person_walks_the_pages_and_sees_their_ends(page, server):
    page.get_by_text("This is the first page").wait_for()
    first = page.locator(".pet-card h2 a").first.get_attribute("href")
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="Previous").wait_for()
    assert page.locator(".pet-card h2 a").first.get_attribute("href") != first
    page.get_by_role("link", name="First").click()
    page.wait_for_url(f"{server.url}{PETS}")
    page.get_by_role("link", name="100", exact=True).click()
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="Previous").wait_for()
    assert page.locator(".pet-card").count() == 100
    page.get_by_role("link", name="Next").click()
    page.get_by_text("This is the last page").wait_for()
    assert page.complaints == []


def test_the_table_is_remembered_and_so_are_the_cards(page):
    table = page.get_by_role("region", name="The results as a table")
    assert page.locator(".cards").is_visible()
    assert not table.is_visible()
    page.get_by_role("radio", name="Table").check()
    assert table.is_visible()
    assert not page.locator(".cards").is_visible()
    page.reload()
    assert table.is_visible()
    page.goto("/api/v1/users/")
    assert page.get_by_role("radio", name="Table").is_checked()
    page.get_by_role("radio", name="Table").press("ArrowLeft")
    assert page.locator(".cards").is_visible()
    page.goto(PETS)
    assert page.locator(".cards").is_visible()
    assert page.complaints == []


# --- Keeping a pet -----------------------------------------------------------------------------


def test_a_person_keeps_a_pet_with_a_browser_alone(page, server):
    page.get_by_role("link", name="Register a pet").click()
    form = page.locator("#create-fields")
    assert page.evaluate("document.activeElement.name") == "name"
    page.keyboard.type("Fen")
    form.get_by_label("Microchip").fill("12")
    form.get_by_label("Tags").fill("shy, Good with children,")
    form.get_by_role("button", name="Create").click()
    page.get_by_text("A microchip number has 15 digits").wait_for()
    assert form.get_by_label("Name", exact=True).input_value() == "Fen"
    assert form.get_by_label("Microchip").input_value() == "12"
    assert "15 digits" in page.locator("#field-microchip-problems").inner_text()
    assert "required" in page.locator("#field-species-problems").inner_text()
    assert "400" in page.complaints.pop()

    form.get_by_label("Species").select_option("goat")
    form.get_by_label("Microchip").fill("985112345678902")
    form.get_by_role("button", name="Create").click()
    page.get_by_role("heading", name="Fen").wait_for()
    assert page.get_by_text("Created.").is_visible()
    assert page.locator(".profile-head").get_by_text("good with children").is_visible()
    address = page.url

    page.get_by_role("link", name="Edit").click()
    form = page.locator("#edit-fields")
    assert form.get_by_label("Tags").input_value() == "shy, good with children"
    form.get_by_label("Name", exact=True).fill("Fenn")
    form.get_by_label("Size").select_option("small")
    form.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Fenn").wait_for()
    assert page.get_by_text("Saved.").is_visible()
    assert '"size": "small"' in json_of(page)
    assert '"birth_date": null' in json_of(page)

    # What went well is no longer said beside what went wrong.
    page.get_by_role("link", name="Edit").click()
    form.get_by_label("Microchip").fill("12")
    form.get_by_role("button", name="Save").click()
    page.get_by_text("A microchip number has 15 digits").wait_for()
    assert not page.get_by_text("Saved.", exact=True).is_visible()
    assert "400" in page.complaints.pop()

    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    assert "Delete Fenn?" in dialog.inner_text()
    dialog.get_by_role("button", name="Keep").click()
    assert dialog.is_hidden()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{server.url}{PETS}")
    assert page.get_by_text("Deleted.").is_visible()
    assert page.request.get(address).status == 404
    assert page.complaints == []


def test_a_person_edits_a_pet_as_json(page):
    page.goto(f"{PETS}1/#edit")
    page.locator("#edit").get_by_role("tab", name="JSON").click()
    raw = page.get_by_role("textbox", name="JSON")
    text = raw.input_value()
    raw.fill(re.sub(r'"color": "\w*"', '"color": "sandy"', text))
    page.get_by_role("button", name="PUT").click()
    page.get_by_text("Saved.").wait_for()
    assert '"color": "sandy"' in json_of(page)
    assert page.complaints == []


def test_sent_twice_at_once_a_form_makes_one_pet(page):
    page.get_by_role("link", name="Register a pet").click()
    page.locator("#create-fields").get_by_label("Name", exact=True).fill("Once")
    page.locator("#create-fields").get_by_label("Species").select_option("fish")
    page.evaluate(
        """() => {
            const button = document.querySelector("#create-fields .actions button");
            button.click();
            button.click();
        }"""
    )
    page.get_by_role("heading", level=1, name="Once").wait_for()
    page.goto(f"{PETS}?q=Once")
    assert page.locator(".pet-card").count() == 1


def test_sent_again_since_the_answer_was_lost_a_form_makes_one_pet(page):
    def lose_the_answer(route):
        route.fetch()
        route.abort()

    page.get_by_role("link", name="Register a pet").click()
    form = page.locator("#create-fields")
    form.get_by_label("Name", exact=True).fill("Unheard")
    form.get_by_label("Species").select_option("fish")
    page.route(f"**{PETS}", lose_the_answer, times=1)
    form.get_by_role("button", name="Create").click()
    form.get_by_text("The server cannot be reached").wait_for()
    form.get_by_role("button", name="Create").click()
    page.get_by_role("heading", level=1, name="Unheard").wait_for()
    page.goto(f"{PETS}?q=Unheard")
    assert page.locator(".pet-card").count() == 1


def focused(page):
    return page.evaluate(
        """() => {
            const e = document.activeElement;
            if (e === document.body) return "";
            const labels = [...(e.labels || [])].map((label) => label.textContent);
            return [e.ariaLabel, ...labels, e.textContent].join(" ").replace(/\\s+/g, " ").trim();
        }"""
    )


def go_to_by_keyboard(page, name, presses=90):
    for _ in range(presses):
        page.keyboard.press("Tab")
        if name in focused(page):
            return
    raise AssertionError(f"The keyboard does not reach {name!r}.")


def test_the_keyboard_alone_is_enough_to_register_edit_and_delete(page, server):
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    go_to_by_keyboard(page, "Register a pet")
    page.keyboard.press("Enter")
    page.keyboard.type("Keys")
    go_to_by_keyboard(page, "Species")
    page.keyboard.type("Goat")
    go_to_by_keyboard(page, "Create")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Keys").wait_for()

    go_to_by_keyboard(page, "Overview")
    page.keyboard.press("ArrowRight")
    assert page.url.endswith("#edit")
    go_to_by_keyboard(page, "Breed")
    page.keyboard.type("Boer")
    go_to_by_keyboard(page, "Save")
    page.keyboard.press("Enter")
    page.get_by_text("Saved.").wait_for()
    assert page.get_by_text("Boer").first.is_visible()

    go_to_by_keyboard(page, "Delete")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert focused(page) == "Keep"
    seen = set()
    for _ in range(6):  # the dialog keeps the focus, or leaves it to the browser's own controls
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.closest('dialog, main')?.tagName"))
    assert seen <= {"DIALOG", None}
    page.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert focused(page) == "Delete"
    page.keyboard.press("Enter")
    go_to_by_keyboard(page, "Delete", presses=4)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}{PETS}")
    assert page.get_by_text("Deleted.").is_visible()
    assert page.complaints == []


# --- JSON and the request ----------------------------------------------------------------------


def test_the_json_is_one_click_away_and_has_an_address(page):
    page.goto(f"{PETS}1/")
    body = page.get_by_role("region", name="Body")
    assert not body.is_visible()
    page.get_by_role("tab", name="JSON").click()
    assert '"species": "dog"' in body.inner_text()
    assert body.locator(".k").count() > 10
    assert page.url.endswith(f"{PETS}1/#json")
    page.reload()
    assert body.is_visible()
    page.get_by_role("button", name="Copy the body").click()
    page.get_by_text("Copied").wait_for()
    assert '"species": "dog"' in page.evaluate("navigator.clipboard.readText()")
    assert page.complaints == []


def test_a_call_is_copied_in_the_language_that_one_reads(page, server):
    page.goto(f"{PETS}?q=it%27s&species=dog")
    page.get_by_role("tab", name="Request").click()
    page.get_by_role("tab", name="Python").first.click()
    assert page.get_by_role("region", name="POST in Python").is_visible(), "of all at once"
    page.get_by_role("button", name="Copy GET in Python").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f'"{server.url}{PETS}?q=it%27s&species=dog"' in copied
    assert 'os.environ["KEY"]' in copied
    page.goto(f"{PETS}1/#request")
    assert page.get_by_role("region", name="DELETE in Python").is_visible(), "remembered"
    assert page.complaints == []


# --- Refused -----------------------------------------------------------------------------------


def test_a_401_leads_to_signing_in_and_back_to_what_was_asked(server):
    with browser_page(base_url=server.url) as page:
        page.goto(f"{PETS}?species=goose")
        page.locator(".explain").get_by_text("Nothing: no session, no API key").wait_for()
        page.get_by_role("main").get_by_role("link", name="Sign in").click()
        page.fill("[name=login]", "user1")
        page.fill("[name=password]", server.password)
        page.press("[name=password]", "Enter")
        page.wait_for_url(f"{server.url}{PETS}?species=goose")
        assert page.get_by_role("heading", level=1, name="Pets").is_visible()


def test_a_403_leads_to_a_key_that_would_do(page, server):
    key = server.manage("create_api_key", "user1", "--name", "reader", "--scope", "users:read")
    page.set_extra_http_headers({"X-API-Key": key.strip()})
    page.goto(PETS)
    assert page.locator(".explain").get_by_text("The scope pets:read").is_visible()
    link = page.get_by_role("link", name="Make that key")
    assert "scope=pets%3Aread%20users%3Aread" in link.get_attribute("href")
    page.set_extra_http_headers({})
    link.click()
    page.get_by_role("heading", level=1).wait_for()
    assert "/accounts/" in page.url


# --- Without a script --------------------------------------------------------------------------


def test_without_a_script_everything_but_changing_works(server):
    with browser_page(base_url=server.url, java_script_enabled=False) as page:
        sign_in(page, server)
        assert page.locator(".cards").is_visible()
        page.get_by_role("radio", name="Table").check(force=True)
        assert page.get_by_role("region", name="The results as a table").is_visible()
        assert not page.locator(".cards").is_visible()
        assert '"results"' in page.locator("#json pre").inner_text()
        assert page.get_by_role("region", name="GET in curl").is_visible()

        page.locator("#filters summary").click()
        page.locator("#filters").get_by_label("Duck").check(force=True)
        page.get_by_role("button", name="Apply").click()
        assert page.get_by_role("link", name="Remove Species Duck").is_visible()
        assert page.get_by_role("link", name=re.compile("^Remove")).count() == 1

        form = page.locator("#create-fields")
        form.get_by_label("Name", exact=True).fill("Plain")
        form.get_by_label("Species").select_option("pig")
        form.get_by_label("Microchip").fill("12")
        form.get_by_role("button", name="Create").click()
        assert "15 digits" in page.locator("#field-microchip-problems").inner_text()
        assert form.get_by_label("Name", exact=True).input_value() == "Plain"
        form.get_by_label("Microchip").fill("")
        form.get_by_role("button", name="Create").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Plain"
        address = page.url
        page.reload()
        assert page.url == address
        page.goto(f"{PETS}?q=Plain")
        assert page.locator(".as-table tbody tr").count() == 1


# --- What is long ---------------------------------------------------------------------------


def test_long_words_stay_within_a_phone(page):
    word = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch"
    path = register(page, word, Breed=word, Tags=word[:40], Description=word * 3, Color=word)
    page.set_viewport_size({"width": 375, "height": 800})
    for address in (path, f"{path}#json", f"{path}#request", f"{PETS}?q={word}&breed={word}"):
        page.goto("about:blank")
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, address
    page.goto(path)
    page.get_by_role("button", name="Delete").click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 375
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("Deleted.").wait_for()


# --- For everybody -----------------------------------------------------------------------------

EVERY_PAGE = [
    "/api/v1/", PETS, f"{PETS}?species=dog&status=lost&q=a", f"{PETS}?q=nobody-at-all",
    f"{PETS}?wings=2", f"{PETS}1/", f"{PETS}1/#edit", f"{PETS}1/#json", f"{PETS}1/#request",
    f"{PETS}#new", f"{PETS}stats/", f"{PETS}987654321/", "/api/v1/users/", "/api/v1/users/user3/",
    "/api/v1/me/", "/api/v1/me/#edit", "/api/v1/species/", "/api/v1/breeds/",
    "/api/v1/credentials/report/",
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_nobody_is_kept_out_and_nothing_is_wider_than_the_window(server, scheme, width):
    viewport = {"width": width, "height": 900}
    with browser_page(base_url=server.url, color_scheme=scheme, viewport=viewport) as page:
        page.goto(PETS)
        assert Axe().run(page).response["violations"] == [], "401"
        sign_in(page, server)
        for path in EVERY_PAGE:
            page.goto("about:blank")
            page.goto(path)
            violations = Axe().run(page).response["violations"]
            found = [(v["id"], [node["html"] for node in v["nodes"]]) for v in violations]
            assert found == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
