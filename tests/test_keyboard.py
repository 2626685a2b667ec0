"""Whole journeys by keyboard alone: Tab, Enter, Space, Escape and typing; nothing is clicked."""

import re
from urllib.parse import urlencode

import pytest

from api.scopes import SCOPES

from .browser import browser_page, requires_chromium

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]

# What a screen reader would call the element that has the focus, and whether its mark is seen.
FOCUSED = """() => {
  const e = document.activeElement;
  const said = (each) => {
    const copy = each.cloneNode(true);
    copy.querySelectorAll("[aria-hidden=true]").forEach((hidden) => hidden.remove());
    return copy.textContent;
  };
  const words = (all) => [...(all || [])].map(said).join(" ");
  const name = e.ariaLabel || words(e.ariaLabelledByElements) || words(e.labels) || said(e);
  const box = e.getBoundingClientRect();
  const isSeen = e.checkVisibility() && box.bottom > 0 && box.top < innerHeight;
  return { name: name.replace(/\\s+/g, " ").trim(), tag: e.tagName, isSeen };
}"""


class Keyboard:
    """A person who has no mouse."""

    def __init__(self, page):
        self.page = page

    def go_to(self, name):
        """Press Tab until what is called `name` has the focus."""
        met = []
        for _ in range(150):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if re.fullmatch(name, focused["name"]):
                assert focused["isSeen"], f"{name} has the focus where nobody sees it"
                return
            met.append(focused["name"][:30])
        raise AssertionError(f"The keyboard does not reach {name!r}, but {met}.")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, name, text):
        """Go to the field called `name` and type."""
        self.go_to(name)
        self.page.keyboard.type(text)

    def follow(self, name):
        """Press Enter on the link or button called `name`, and wait for where it leads."""
        self.go_to(name)
        with self.page.expect_navigation():
            self.press("Enter")

    def expect_heading(self, name):
        self.page.get_by_role("heading", level=1, name=name).wait_for()

    @property
    def where(self):
        """What has the focus is called."""
        return self.page.evaluate(FOCUSED)["name"]


@pytest.fixture
def keyboard(server):
    with browser_page(base_url=server.url) as page:
        page.set_default_timeout(15_000)
        yield Keyboard(page)


def test_from_signing_up_over_a_pet_to_signing_out(keyboard):
    page = keyboard.page
    page.goto("/")
    keyboard.press("Tab")
    assert keyboard.where == "Skip to the content"
    keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    keyboard.follow("Sign up")
    keyboard.type("Username|User name", "tabitha")
    keyboard.type("E-?mail.*", "tabitha@example.org")
    keyboard.type("Password", "correct-horse-battery")
    keyboard.type("Password.*again.*", "correct-horse-staple")
    with page.expect_navigation():
        keyboard.press("Enter")
    # What is wrong has the focus, and is not typed twice.
    assert page.evaluate("document.activeElement.ariaInvalid") == "true"
    page.goto("/accounts/signup/")
    keyboard.type("Username|User name", "tabitha")
    keyboard.type("E-?mail.*", "tabitha@example.org")
    keyboard.type("Password", "correct-horse-battery")
    keyboard.type("Password.*again.*", "correct-horse-battery")
    with page.expect_navigation():
        keyboard.press("Enter")

    keyboard.follow("API")
    keyboard.follow("pets|Pets")
    register_a_pet(keyboard, "Whiskers")
    filter_by_species(keyboard, "Cat")
    keyboard.follow("Whiskers")
    keyboard.expect_heading("Whiskers")
    delete_it(keyboard)

    keyboard.go_to("Your account, tabitha")
    keyboard.press("Enter")
    page.get_by_role("link", name="API keys").wait_for()
    keyboard.press("Escape")
    assert not page.get_by_role("link", name="API keys").is_visible()
    assert keyboard.where == "Your account, tabitha"
    keyboard.press("Enter")
    keyboard.follow("Sign out")
    page.get_by_role("link", name="Sign in").first.wait_for()
    assert page.request.get("/api/v1/me/").status == 401


def register_a_pet(keyboard, name):
    keyboard.go_to("Register a pet")
    keyboard.press("Enter")
    assert keyboard.where.startswith("Name"), "the form is where the link leads"
    keyboard.page.keyboard.type(name)
    keyboard.type("Species.*", "Cat")
    keyboard.go_to("Create|Register.*")
    keyboard.press("Enter")
    keyboard.expect_heading(name)


def filter_by_species(keyboard, species):
    keyboard.follow("pets")
    keyboard.go_to("Filters")
    keyboard.press("Enter")
    keyboard.go_to(species)
    keyboard.press("Space")
    keyboard.follow("Apply")
    assert f"species={species.lower()}" in keyboard.page.url
    keyboard.go_to(f"Remove Species {species}.*")


def delete_it(keyboard):
    keyboard.go_to("Delete")
    keyboard.press("Enter")
    dialog = keyboard.page.get_by_role("dialog")
    dialog.wait_for()
    assert keyboard.where == "Keep", "the safe answer comes first"
    keyboard.press("Escape")
    assert not dialog.is_visible()
    assert keyboard.where == "Delete", "back where it was opened"
    keyboard.press("Enter")
    keyboard.press("Shift+Tab")
    assert keyboard.where == "Delete"
    with keyboard.page.expect_navigation():
        keyboard.press("Enter")
    keyboard.page.get_by_text("Deleted.").wait_for()


def test_an_app_is_let_in_as_far_as_one_likes(server, keyboard):
    page = keyboard.page
    request = {
        "response_type": "code",
        "client_id": "pawprint-docs",
        "redirect_uri": f"{server.url}/docs/oauth2-redirect/",
        "scope": "pets:read pets:write",
        "state": "xyz",
        # RFC 7636 Appendix B
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    page.goto(f"/o/authorize/?{urlencode(request)}")
    if page.evaluate("document.activeElement.name") != "login":
        keyboard.go_to("User name or e-mail")
    page.keyboard.type("user2")
    keyboard.type("Password", server.password)
    with page.expect_navigation():
        keyboard.press("Enter")
    keyboard.go_to(".*pets:write")
    assert page.evaluate("document.activeElement.checked")
    keyboard.press("Space")
    keyboard.go_to("Allow")
    with page.expect_request(re.compile(r"/docs/oauth2-redirect/\?.*code=")):
        keyboard.press("Enter")
    page.wait_for_url("**/oauth2-redirect.html?*")  # it leads on by itself
    page.goto("/accounts/connections/")
    assert SCOPES["pets:read"] in page.inner_text("#main")
    assert SCOPES["pets:write"] not in page.inner_text("#main")
    keyboard.follow("Take everything back from .*")
    assert "holds nothing" in page.inner_text("#main")
