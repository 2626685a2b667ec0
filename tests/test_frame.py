"""What surrounds every page, in a real browser: the theme, the menu of an account, how forms are
sent."""

import pytest
from playwright.sync_api import expect

from .browser import browser_page, requires_chromium

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]


def sign_in(page, server, path, user="user2"):
    page.goto(f"/accounts/login/?next={path}")
    page.fill("[name=login]", user)
    page.fill("[name=password]", server.password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{server.url}{path}")


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_the_system_s_until_it_is_switched_and_then_stays(server):
    with browser_page(base_url=server.url, color_scheme="dark") as page:
        page.goto("/")
        dark = background(page)
        page.get_by_role("button", name="Theme: as your system. Switch to light").click()
        light = background(page)
        assert light != dark
        page.goto("/accounts/login/")
        assert background(page) == light
        page.get_by_role("button", name="Theme: light. Switch to dark").click()
        page.emulate_media(color_scheme="light")
        assert background(page) == dark, "chosen, whatever the system changes to"
        page.get_by_role("button", name="Theme: dark. Switch to light").click()
        page.get_by_role("button", name="Theme: light. Switch to as your system").click()
        page.emulate_media(color_scheme="dark")
        assert background(page) == dark


def test_tabs_that_are_open_beside_follow_the_switch(server):
    with browser_page(base_url=server.url, color_scheme="light") as page:
        beside = page.context.new_page()
        for tab in (page, beside):
            tab.goto("/")
        page.get_by_role("button", name="Theme: as your system").click()
        expect(beside.get_by_role("button", name="Theme: dark")).to_be_visible()
        assert background(beside) == background(page)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_menu_leads_to_all_of_an_account_and_out(server, script):
    with browser_page(base_url=server.url, java_script_enabled=script) as page:
        sign_in(page, server, "/")
        for name, path in [
            ("Your pets", "/api/v1/pets/?owner=user2"),
            ("API keys", "/accounts/keys/"),
            ("Apps you publish", "/accounts/apps/"),
            ("Apps you let in", "/accounts/connections/"),
        ]:
            page.get_by_text("Your account, user2").click()
            page.locator(".menu").get_by_role("link", name=name).click()
            page.wait_for_url(f"{server.url}{path}")
        page.get_by_text("Your account, user2").click()
        expect(page.get_by_role("link", name="Admin")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("link", name="Sign in").first.wait_for()


def test_the_menu_closes_behind_whoever_leaves_it(server):
    with browser_page(base_url=server.url) as page:
        sign_in(page, server, "/")
        menu = page.locator(".menu-list")
        for leave in (
            lambda: page.keyboard.press("Escape"),
            lambda: page.get_by_role("heading", level=1).click(),
            lambda: page.get_by_role("link", name="Docs").focus(),
        ):
            page.get_by_text("Your account, user2").click()
            expect(menu).to_be_visible()
            leave()
            expect(menu).not_to_be_visible()


def test_a_form_that_is_clicked_twice_is_sent_once(server):
    with browser_page(base_url=server.url) as page:
        sent = []
        page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
        page.goto("/accounts/login/")
        page.fill("[name=login]", "user2")
        page.fill("[name=password]", server.password)
        page.get_by_role("button", name="Sign in", exact=True).dblclick(no_wait_after=True)
        page.get_by_text("Your account, user2").wait_for()
        assert len(sent) == 1


def test_a_form_that_was_refused_has_the_focus_where_the_problem_is(server):
    with browser_page(base_url=server.url) as page:
        page.goto("/accounts/login/")
        page.fill("[name=login]", "nobody")
        page.fill("[name=password]", "wrong")
        page.press("[name=password]", "Enter")
        expect(page.locator(".errorlist.nonfield")).to_be_focused()
        page.goto("/accounts/signup/")
        page.fill("[name=username]", "somebody.new")
        page.fill("[name=email]", "somebody@example.org")
        page.fill("[name=password1]", "short")
        page.fill("[name=password2]", "short")
        page.press("[name=password2]", "Enter")
        expect(page.locator("[name=password1]")).to_be_focused()
        assert page.input_value("[name=username]") == "somebody.new"


def test_who_needs_their_own_colours_sees_what_is_chosen(server):
    def colour(locator):
        return locator.evaluate("e => getComputedStyle(e).backgroundColor")

    with browser_page(base_url=server.url, forced_colors="active") as page:
        sign_in(page, server, "/api/v1/pets/")
        page.locator("#filters summary").click()
        page.locator("#filters").get_by_label("Dog").check()
        chips = page.locator("#filters .chips span")
        assert colour(chips.nth(0)) != colour(chips.nth(1))
        edges = page.get_by_role("tab").evaluate_all(
            "all => all.map((e) => getComputedStyle(e).borderBottomColor)"
        )
        assert edges[0] not in edges[1:]
