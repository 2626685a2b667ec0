"""Passkeys and codes in a real browser; Chromium's virtual authenticator is the fingerprint."""

import re

import pytest
from playwright.sync_api import expect

from .browser import browser_page, requires_chromium
from .test_mfa import totp

pytestmark = [pytest.mark.server, pytest.mark.browser, requires_chromium]
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(server):
    """A page on a site with a name, since an IP address can have no passkeys, in a browser that
    can make them; whatever the policy refuses or a script complains of fails the test."""
    url = server.url.replace("127.0.0.1", "localhost")
    with browser_page(base_url=url) as page:
        complaints = []
        page.on("console", lambda message: message.type == "error" and complaints.append(message))
        page.on("pageerror", lambda error: complaints.append(error))
        session = page.context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        page.authenticator = session.send(
            "WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR}
        )["authenticatorId"]
        page.cdp = session
        yield page
        assert not [str(complaint) for complaint in complaints]


def sign_in(page, server, user):
    page.goto("/accounts/login/")
    page.get_by_label("User name or e-mail").fill(user)
    page.get_by_label("Password").fill(server.password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page):
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("/")


def test_a_passkey_is_made_used_renamed_and_removed(page, server):
    sign_in(page, server, "user2")
    page.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("My laptop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert len(page.locator(".codes code").all()) == 10

    # Signing in with it alone, and back where one wanted to go.
    sign_out(page)
    page.goto("/accounts/login/?next=/accounts/2fa/webauthn/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("/accounts/2fa/webauthn/")
    passkey = page.get_by_role("listitem").filter(has_text="My laptop")
    expect(passkey).to_contain_text("last used just now")

    # As the second step after the password.
    sign_out(page)
    sign_in(page, server, "user2")
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("/")

    # To confirm that it is oneself.
    page.goto("/accounts/2fa/webauthn/reauthenticate/?next=/accounts/2fa/webauthn/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("/accounts/2fa/webauthn/")

    page.get_by_role("link", name="Rename My laptop").click()
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Remove Old laptop").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("The passkey is removed.")).to_be_visible()
    expect(page.get_by_text("Old laptop")).to_have_count(0)

    # The device still has it, and it is worth nothing.
    sign_out(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("This passkey is not known here")).to_be_visible()
    sign_in(page, server, "user2")
    page.wait_for_url("/")


def test_a_passkey_that_is_refused_on_the_device_is_told_beside_the_button(page, server):
    page.cdp.send(
        "WebAuthn.setUserVerified",
        {"authenticatorId": page.authenticator, "isUserVerified": False},
    )
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert").filter(has_text="Nothing happened")).to_be_visible()


def test_an_app_is_set_up_by_what_the_page_shows(page, server):
    sign_in(page, server, "user4")
    page.goto("/accounts/2fa/")
    page.get_by_role("link", name="Set it up").click()
    page.get_by_text("Enter it by hand instead").click()
    secret = page.locator("#authenticator_secret").inner_text().replace(" ", "")
    page.get_by_label("Code from the app").fill("000000")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("This code is wrong")).to_be_visible()
    page.get_by_label("Code from the app").fill(totp(secret))
    page.get_by_role("button", name="Switch it on").click()
    code = page.locator(".codes code").first.inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download them").click()
    assert code.replace(" ", "") in download.value.path().read_text()

    sign_out(page)
    sign_in(page, server, "user4")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("/")
    page.goto("/accounts/2fa/")
    expect(page.get_by_text("9 of 10 left")).to_be_visible()
    page.get_by_role("link", name="Remove it").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("The authenticator app is removed.")).to_be_visible()


def test_where_the_site_is_open_by_its_number_the_page_says_where_passkeys_work(page, server):
    page.goto(f"{server.url}/accounts/login/?next=/accounts/2fa/webauthn/add/")
    page.get_by_label("User name or e-mail").fill("user3")
    page.get_by_label("Password").fill(server.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    named = server.url.replace("127.0.0.1", "localhost")
    link = page.get_by_role("link", name=named)
    expect(link).to_have_attribute("href", f"{named}/accounts/2fa/webauthn/add/")


def test_a_person_signs_up_and_deletes_the_account_again(page, server):
    page.goto("/accounts/signup/")
    page.get_by_label("User name").fill("fleeting")
    page.get_by_label("E-mail").fill("fleeting@example.org")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password again").fill("correct horse battery")
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url("/")
    page.goto("/accounts/delete/")
    page.get_by_label("Your user name").fill("someone")
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_text("This is not your user name.")).to_be_visible()
    page.get_by_label("Your user name").fill("fleeting")
    page.get_by_role("button", name="Delete my account").click()
    page.wait_for_url("/")
    expect(page.get_by_text("The account fleeting is deleted")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()


def test_a_mail_that_the_server_prints_can_be_read(page, server):
    page.goto("/accounts/password/reset/")
    page.get_by_label("E-mail").fill("user3@example.com")
    page.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    printed = (server.var.parent / "server.log").read_text()
    assert "Subject: [Pawprint] Choose a new password" in printed
    link = rf"\n  {re.escape(server.url)}/accounts/password/reset/key/[\w-]+/\n"
    assert re.search(link, printed)
