"""From signing up to the first call, as a developer does it in the first ten minutes."""

import json
import subprocess

import pytest

from .browser import browser_page, requires_chromium

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]


def in_a_shell(*commands):
    return subprocess.run(
        ["sh", "-ec", "\n".join(commands).replace("curl ", "curl -fsS ")],
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
    ).stdout


def sign_up(page, name):
    page.goto("/")
    page.get_by_role("link", name="Sign up").first.click()
    page.fill("[name=username]", name)
    page.fill("[name=email]", f"{name}@example.org")
    page.fill("[name=password1]", "correct-horse-battery")
    page.fill("[name=password2]", "correct-horse-battery")
    page.get_by_role("button", name="Sign up").click()
    page.get_by_text(f"Your account, {name}").wait_for()


def test_from_signing_up_to_the_first_call_by_the_home_page(server):
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with browser_page(base_url=server.url, **options) as page:
        sign_up(page, "fay")
        page.goto("/")
        page.get_by_role("button", name="Make a key for today and fill it in").click()
        commands = []
        for label in ("make a key", "list dogs", "register a pet"):
            page.get_by_role("button", name=f"Copy: {label}").click()
            commands.append(page.evaluate("navigator.clipboard.readText()"))
        set_key, list_dogs, register = commands
        assert json.loads(in_a_shell(set_key, list_dogs))["results"]
        made = json.loads(in_a_shell(set_key, register))
        assert made["owner"]["username"] == "fay"
        # And there it is, for the person as for the program.
        page.goto(f"/api/v1/pets/{made['id']}/")
        page.get_by_role("heading", level=1, name="Rex").wait_for()


def test_from_signing_up_to_the_first_call_by_a_key_of_one_s_own(server):
    with browser_page(base_url=server.url) as page:
        sign_up(page, "finn")
        page.get_by_text("Your account, finn").click()
        page.get_by_role("link", name="API keys").click()
        page.get_by_role("link", name="Make your first key").click()
        page.get_by_label("Name", exact=True).fill("First steps")
        page.locator("[name=scope][value='pets:read']").check()
        page.get_by_role("button", name="Make the key").click()
        key = page.inner_text("#secret").strip()
        assert json.loads(in_a_shell(page.inner_text("#curl")))["results"]
        me = in_a_shell(f"curl -H 'X-API-Key: {key}' {server.url}/api/v1/me/")
        assert json.loads(me)["user"]["username"] == "finn"
