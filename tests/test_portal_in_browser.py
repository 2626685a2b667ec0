"""The portal as a developer meets it: a real browser, by mouse, by keyboard, without a script."""

import json
import re
import subprocess

import pytest
import requests

from .browser import browser_page, requires_chromium

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]


def sign_in(page, server, user="user2"):
    page.goto(f"{server.url}/accounts/login/?next=/accounts/apps/")
    page.fill("[name=login]", user)
    page.fill("[name=password]", server.password)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/accounts/apps/")


def go_to_by_keyboard(page, name):
    """Press Tab until the link, button or field called `name` has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
                const e = document.activeElement;
                const labels = [...(e.labels || [])].map((label) => label.textContent);
                return e.ariaLabel || [...labels, e.textContent].join(" ");
            }"""
        )
        if name in re.sub(r"\s+", " ", focused):
            return
    raise AssertionError(f"The keyboard does not reach {name!r}.")


def press_enter(page):
    """Press Enter and wait for the page it leads to."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def works(server, client_id, secret):
    answer = requests.post(
        f"{server.url}/o/token/",
        {"grant_type": "client_credentials"},
        auth=(client_id, secret),
        timeout=30,
    )
    return answer.status_code == 200


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_an_app_from_its_first_form_to_its_end(server, script):
    with browser_page(java_script_enabled=script) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(error))
        page.on("requestfailed", lambda request: problems.append(request.url))
        sign_in(page, server)
        page.get_by_role("link", name=re.compile("Register .*app")).click()
        page.get_by_role("link", name="Machine", exact=True).click()
        page.get_by_label("Name", exact=True).fill("Pawprint Census")
        page.get_by_role("button", name="Register the app").click()
        assert "leave Pawprint out of it" in page.inner_text("#main")
        page.get_by_label("Name", exact=True).fill("Night Census")
        page.get_by_role("button", name="Register the app").click()

        page.get_by_role("heading", name="Save this secret now").wait_for()
        secret = page.inner_text("#secret").strip()
        client_id = page.locator("[data-copyable] pre").first.inner_text().strip()
        copy = page.get_by_role("button", name="Copy the client_secret")
        assert copy.is_visible() == script, "offered only where it works"
        assert works(server, client_id, secret)
        page.reload()
        assert secret not in page.content()

        page.goto(page.url.replace("secret/", ""))
        page.get_by_role("link", name="Make a new one").click()
        page.get_by_role("button", name="Make a new secret").click()
        newer = page.inner_text("#secret").strip()
        page.get_by_role("link", name="I have saved it").click()
        page.get_by_role("link", name="Remove").click()
        assert "was not used yet" in page.inner_text("#main")
        page.get_by_role("button", name="Remove it").click()
        assert not works(server, client_id, secret)
        assert works(server, client_id, newer)

        page.get_by_role("link", name="Change").click()
        page.get_by_label("Name", exact=True).fill("Day Census")
        page.get_by_role("button", name="Save").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Day Census"
        page.get_by_role("link", name="Delete the app").click()
        page.get_by_role("button", name="Delete it for good").click()
        assert "Day Census is deleted." in page.inner_text("#main")
        assert not works(server, client_id, newer)
        assert problems == []


def test_the_keyboard_alone_is_enough(server):
    with browser_page() as page:
        sign_in(page, server, "user3")
        go_to_by_keyboard(page, "Register your first app")
        press_enter(page)
        go_to_by_keyboard(page, "Native or command-line app")
        press_enter(page)
        go_to_by_keyboard(page, "Name")
        page.keyboard.type("Dog Walks")
        go_to_by_keyboard(page, "Redirect URIs")
        page.keyboard.type("http://walks.example/")
        go_to_by_keyboard(page, "May ask for pets:write")
        page.keyboard.press("Space")
        go_to_by_keyboard(page, "Register the app")
        press_enter(page)
        page.get_by_role("alert").wait_for()
        # The focus is where the problem is, and what was chosen is kept.
        assert page.evaluate("document.activeElement.name") == "redirect_uris"
        assert page.get_by_label("May ask for pets:write").is_checked()
        page.keyboard.press("Control+A")
        page.keyboard.type("http://127.0.0.1/callback")
        go_to_by_keyboard(page, "Register the app")
        press_enter(page)
        page.get_by_role("heading", level=1, name="Dog Walks").wait_for()
        assert "Dog Walks is registered." in page.inner_text("#main")
        go_to_by_keyboard(page, "Switch off")
        press_enter(page)
        page.get_by_text("It is switched off.").wait_for()


def register(page, server, preset, **fields):
    """Register an app and return the commands that its page offers, as one copies them."""
    page.goto(f"{server.url}/accounts/apps/new/?preset={preset}")
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Register the app").click()
    page.locator(".first-steps").wait_for()
    return [step.inner_text() for step in page.locator(".first-steps pre").all()]


def in_a_shell(*commands):
    return subprocess.run(
        ["sh", "-ec", "\n".join(commands)], capture_output=True, check=True, text=True
    ).stdout


def test_the_first_steps_of_a_machine_end_with_a_call(server):
    with browser_page() as page:
        sign_in(page, server, "user3")
        named, get_token, call = register(page, server, "machine", name="Moon Census")
    token = json.loads(in_a_shell(named, get_token))["access_token"]
    assert in_a_shell(named, call.replace("TOKEN=…", f"TOKEN={token}")).startswith('{"next":')


def test_the_first_steps_of_a_device_end_with_a_call_and_new_tokens(server):
    with browser_page() as page:
        sign_in(page, server, "user3")
        named, codes, ask, call, again, example = register(page, server, "device", name="Feeder")
        codes = json.loads(in_a_shell(named, codes))
        page.goto(codes["verification_uri_complete"])
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Allow").click()
        page.get_by_role("heading", name="The device is connected").wait_for()
    ask = ask.replace("DEVICE_CODE=…", f"DEVICE_CODE={codes['device_code']}")
    check_tokens(named, in_a_shell(named, ask), call, again)
    assert example == ".venv/bin/python examples/device_code.py"


def check_tokens(named, tokens, call, again):
    """Check that the access token opens the API, and that the refresh token brings new ones."""
    tokens = json.loads(tokens)
    call = call.replace("TOKEN=…", f"TOKEN={tokens['access_token']}")
    assert in_a_shell(named, call).startswith('{"next":')
    again = again.replace("REFRESH_TOKEN=…", f"REFRESH_TOKEN={tokens['refresh_token']}")
    assert json.loads(in_a_shell(named, again))["access_token"] != tokens["access_token"]


def test_the_first_steps_of_an_app_for_people_end_with_a_call_and_new_tokens(server):
    redirect_uri = "http://127.0.0.1/callback?for='walks'&x=1"
    with browser_page() as page:
        sign_in(page, server, "user3")
        named, pkce, address, exchange, call, again = register(
            page, server, "native", name="Cat Walks", redirect_uris=redirect_uri
        )
        verifier, state, url = in_a_shell(named, pkce, 'echo "$VERIFIER" "$STATE"', address).split()
        page.goto(url)
        with page.expect_request(lambda request: "code=" in request.url) as sent:
            page.get_by_role("button", name="Allow").click()
        answer = sent.value.url
    code = re.search(r"[?&]code=(\w+)", answer)[1]
    assert re.search(r"[?&]state=(\w+)", answer)[1] == state
    exchange = exchange.replace("CODE=…", f"CODE={code}").replace("CAME=…", f"CAME={state}")
    kept = f"VERIFIER={verifier} STATE={state}"
    tokens = in_a_shell(named, kept, exchange)
    assert json.loads(tokens)["scope"] == "pets:read users:read"
    check_tokens(named, tokens, call, again)


def test_no_page_of_the_portal_is_wider_than_a_phone(server):
    with browser_page(viewport={"width": 360, "height": 700}) as page:
        sign_in(page, server, "user1")  # who publishes the apps of examples/
        page.get_by_role("link", name="Pawprint demo machine").click()
        app = page.url
        page.goto(f"{app}secret/")
        for url in [
            *(app, f"{app}edit/", f"{app}secret/", f"{app}delete/"),
            f"{server.url}/accounts/apps/",
            f"{server.url}/accounts/apps/new/",
            f"{server.url}/accounts/apps/new/?preset=browser",
            f"{server.url}/accounts/connections/",
        ]:
            page.goto(url)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, url


def test_a_picture_that_is_too_large_is_refused_before_it_is_sent(server):
    with browser_page() as page:
        sign_in(page, server)
        page.goto(f"{server.url}/accounts/apps/new/?preset=device")
        large = {"name": "logo.png", "mimeType": "image/png", "buffer": bytes(2_000_000)}
        page.set_input_files("[name=logo]", large)
        said = page.eval_on_selector("[name=logo]", "field => field.validationMessage")
        assert said == "Choose a smaller picture: 943 kB at most."
        assert page.eval_on_selector("[name=logo]", "field => field.files.length") == 0
        page.set_input_files("[name=logo]", large | {"buffer": bytes(900)})
        assert page.eval_on_selector("[name=logo]", "field => field.validationMessage") == ""


def test_a_person_takes_everything_back_by_one_click(server):
    with browser_page() as page:
        sign_in(page, server, "user4")
        page.goto(
            f"{server.url}/o/authorize/?response_type=code&client_id=pawprint-docs&scope=pets:read"
            f"&redirect_uri={server.url}/docs/oauth2-redirect/&code_challenge_method=S256"
            "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&state=xyz"
        )
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url(re.compile("[?&]code="))
        page.goto(f"{server.url}/accounts/connections/")
        assert "See the pets you can see" in page.inner_text("#main")
        name = "Take everything back from Pawprint API documentation"
        page.get_by_role("button", name=name).click()
        page.get_by_text("holds nothing").first.wait_for()
        assert "Pawprint API documentation holds nothing" in page.inner_text("#main")
