"""API keys as a person meets them: a real browser, by mouse, by keyboard, without a script."""

import re
import subprocess

import pytest
import requests

from .browser import browser_page, requires_chromium
from .test_portal_in_browser import go_to_by_keyboard, press_enter

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]


def sign_in(page, server, user):
    page.goto(f"{server.url}/accounts/login/?next=/accounts/keys/")
    page.fill("[name=login]", user)
    page.fill("[name=password]", server.password)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/accounts/keys/")


def status(server, key):
    headers = {"X-API-Key": key}
    return requests.get(f"{server.url}/api/v1/pets/", headers=headers, timeout=30).status_code


def shown_key(page):
    page.get_by_role("heading", name="Save this key now").wait_for()
    return page.inner_text("#secret").strip()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_key_from_its_first_form_to_its_end(server, script):
    with browser_page(java_script_enabled=script) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(error))
        page.on("requestfailed", lambda request: problems.append(request.url))
        sign_in(page, server, "user2")
        page.get_by_role("link", name=re.compile("Make .*key$")).click()
        page.get_by_label("Name", exact=True).fill("Night export")
        page.get_by_label("Where it may come from").fill("300.1.1.1")
        page.get_by_label("After 30 days").check()
        page.get_by_role("button", name="Make the key").click()
        assert "300.1.1.1: this is neither an address" in page.inner_text("#main")
        assert page.get_by_label("After 30 days").is_checked()
        page.get_by_label("Where it may come from").fill("127.0.0.1")
        page.get_by_role("button", name="Make the key").click()

        key = shown_key(page)
        assert status(server, key) == 200
        copy = page.get_by_role("button", name="Copy the key")
        assert copy.is_visible() == script, "offered only where it works"
        command = page.inner_text("#curl")
        assert subprocess.check_output(["sh", "-c", f"{command} -s"]).startswith(b'{"next":')
        page.reload()
        assert key not in page.content()
        assert "was shown once" in page.inner_text("#main")
        assert "from 127.0.0.1" in page.inner_text("#main")

        page.get_by_role("link", name="Rotate").click()
        page.get_by_label("After 1 hour").check()
        page.get_by_role("button", name="Make the new key").click()
        newer = shown_key(page)
        assert (status(server, key), status(server, newer)) == (200, 200)
        page.get_by_role("link", name="I have saved it").click()

        page.get_by_role("link", name="Rotate").click()
        page.get_by_label("At once").check()
        page.get_by_role("button", name="Make the new key").click()
        newest = shown_key(page)
        assert (status(server, newer), status(server, newest)) == (401, 200)
        page.get_by_role("link", name="I have saved it").click()

        page.get_by_role("button", name="Switch off").click()
        assert status(server, newest) == 401
        page.get_by_role("button", name="Switch on").click()
        assert status(server, newest) == 200
        page.get_by_label("Name", exact=True).fill("Day export")
        page.get_by_role("button", name="Save").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Day export"

        page.get_by_role("link", name="Revoke the key").click()
        page.get_by_role("button", name="Revoke it for good").click()
        assert "Day export is revoked." in page.inner_text("#main")
        assert (status(server, newest), status(server, key)) == (401, 200)
        assert problems == []


def test_the_copy_button_copies_the_key(server):
    with browser_page(permissions=["clipboard-read", "clipboard-write"]) as page:
        sign_in(page, server, "user3")
        page.goto(f"{server.url}/accounts/keys/new/")
        page.get_by_label("Name", exact=True).fill("Copied")
        page.get_by_role("button", name="Make the key").click()
        key = shown_key(page)
        page.get_by_role("button", name="Copy the key").click()
        page.get_by_text("Copied", exact=True).first.wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == key


def test_a_double_click_makes_one_key_and_shows_it(server):
    with browser_page() as page:
        sign_in(page, server, "user3")
        page.goto(f"{server.url}/accounts/keys/new/")
        page.get_by_label("Name", exact=True).fill("Twice")
        page.get_by_role("button", name="Make the key").dblclick()
        page.wait_for_url(re.compile(r"/keys/(shown/|\d)"))
        page.goto(f"{server.url}/accounts/keys/")
        assert page.get_by_role("link", name="Twice", exact=True).count() == 1


def test_the_keyboard_alone_is_enough(server):
    with browser_page() as page:
        sign_in(page, server, "user4")
        go_to_by_keyboard(page, "Make")
        press_enter(page)
        go_to_by_keyboard(page, "Name")
        page.keyboard.type("By keyboard")
        go_to_by_keyboard(page, "pets:write")
        page.keyboard.press("Space")
        go_to_by_keyboard(page, "After 90 days")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        go_to_by_keyboard(page, "Make the key")
        press_enter(page)
        # The focus is where the problem is, and what was chosen is kept.
        page.get_by_role("alert").wait_for()
        assert page.evaluate("document.activeElement.name") == "until"
        assert page.get_by_label("pets:write").is_checked()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowLeft")
        assert page.get_by_label("After 366 days").is_checked()
        go_to_by_keyboard(page, "Make the key")
        press_enter(page)
        key = shown_key(page)
        go_to_by_keyboard(page, "I have saved it")
        press_enter(page)
        go_to_by_keyboard(page, "Revoke the key")
        press_enter(page)
        go_to_by_keyboard(page, "Revoke it for good")
        press_enter(page)
        assert status(server, key) == 401


def test_no_page_of_keys_is_wider_than_a_phone(server):
    with browser_page(viewport={"width": 360, "height": 700}) as page:

        def fits():
            page.wait_for_load_state()
            page.wait_for_function("document.documentElement.scrollWidth <= 360")
            return True

        sign_in(page, server, "user1")
        page.goto(f"{server.url}/accounts/keys/new/")
        assert fits()
        page.get_by_label("Name", exact=True).fill("x" * 100)
        page.get_by_label("On a date of your own").check()
        page.get_by_role("button", name="Make the key").click()
        assert fits()
        page.get_by_label("After 90 days").check()
        page.get_by_role("button", name="Make the key").click()
        shown_key(page)
        assert fits()
        page.get_by_role("link", name="I have saved it").click()
        key = page.url
        for url in (key, f"{key}rotate/", f"{key}revoke/", f"{server.url}/accounts/keys/"):
            page.goto(url)
            assert fits(), url
        page.goto(f"{key}revoke/")
        page.get_by_role("button", name="Revoke it for good").click()
        page.get_by_text("Ended keys").click()
        assert fits()
