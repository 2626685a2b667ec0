"""The documentation's own client in a real browser: Swagger UI, signing in there, and calls; and
Redoc.  Neither may do what the policy of their pages refuses."""

import pytest

from .browser import browser_page, requires_chromium

pytestmark = [pytest.mark.server, pytest.mark.browser, requires_chromium]


# Runs before anything of a page does.
LISTEN = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.refused.push(`${event.effectiveDirective} refuses ${event.blockedURI}`);
});
"""


@pytest.fixture
def reader(server):
    """A browser page that ends in a failure if the policy had to refuse anything."""
    with browser_page(base_url=server.url) as page:
        page.add_init_script(LISTEN)
        yield page
        assert page.evaluate("window.refused") == []


@pytest.fixture
def docs(reader):
    reader.goto("/docs/")
    return reader


def open_dialog(docs):
    docs.locator(".auth-wrapper > .authorize").click()


def close_dialog(docs):
    docs.locator(".close-modal").click()


def flow(docs):
    """The part of the dialog that signs in with OAuth 2 in the browser."""
    return docs.locator(".auth-container").filter(has_text="authorizationCode with PKCE")


def start_sign_in(docs):
    """Press Authorize and return the window that opens."""
    with docs.expect_popup() as popup:
        flow(docs).locator("button.authorize").click()
    return popup.value


def log_in(window, server):
    window.locator("[name=login]").fill("user1")
    window.locator("[name=password]").fill(server.password)
    window.locator("[name=password]").press("Enter")


def agree(docs, window):
    """Agree on the consent page; return when the dialog has its token."""
    with window.expect_event("close"):
        window.locator("[name=allow]").click()
    flow(docs).get_by_text("Authorized", exact=True).wait_for()


def log_out(docs):
    flow(docs).locator("button", has_text="Logout").click()
    flow(docs).locator("button.authorize").wait_for()


def try_call(docs, path):
    """Execute GET `path`; return the response when Swagger UI shows its status."""
    summary = docs.locator(".opblock-summary-get").filter(has=docs.locator(f'[data-path="{path}"]'))
    operation = docs.locator(".opblock-get").filter(has=summary)
    if operation.locator(".execute").count() == 0:
        summary.click()
    with docs.expect_response(f"**{path}") as answer:
        operation.locator(".execute").click()
    status = str(answer.value.status)
    shown = operation.locator(".live-responses-table .response-col_status")
    shown.filter(has_text=status).wait_for()
    return answer.value


def test_a_reader_signs_in_with_pkce_again_and_again(docs, server):
    open_dialog(docs)
    window = start_sign_in(docs)
    log_in(window, server)
    agree(docs, window)
    close_dialog(docs)
    answer = try_call(docs, "/api/v1/me/")
    assert answer.status == 200
    me = answer.json()
    assert me["user"]["username"] == "user1"
    assert me["credential"]["name"] == "Pawprint API documentation"
    assert me["credential"]["scopes"] == ["pets:read", "users:read"]
    first = answer.request.headers["authorization"]

    # swagger-api/swagger-ui#10693: in a dialog that stays open it would present the old code.
    open_dialog(docs)
    for _ in range(2):
        log_out(docs)
        agree(docs, start_sign_in(docs))
    close_dialog(docs)
    answer = try_call(docs, "/api/v1/me/")
    assert answer.status == 200
    assert answer.request.headers["authorization"] != first


def test_a_reader_who_says_no_is_told_and_may_say_yes_after_all(docs, server):
    open_dialog(docs)
    window = start_sign_in(docs)
    log_in(window, server)
    with window.expect_event("close"):
        window.locator("form:has([name=allow]) [type=submit]:not([name=allow])").click()
    flow(docs).get_by_text("access_denied").wait_for()
    agree(docs, start_sign_in(docs))


def test_a_reader_authorizes_with_a_key(docs, server):
    assert try_call(docs, "/api/v1/me/").status == 401
    open_dialog(docs)
    key = docs.locator(".auth-container").filter(has_text="Name: X-API-Key")
    key.get_by_label("Value:").fill(server.key)
    key.locator("button.authorize").click()
    key.locator("button", has_text="Logout").wait_for()
    close_dialog(docs)
    answer = try_call(docs, "/api/v1/me/")
    assert answer.request.headers["x-api-key"] == server.key
    assert answer.status == 200
    assert answer.json()["credential"]["kind"] == "key"


def test_the_dialog_begins_at_its_beginning_and_is_left_by_keyboard(docs):
    docs.locator(".auth-wrapper > .authorize").focus()
    docs.keyboard.press("Enter")
    dialog = docs.get_by_role("dialog", name="Authorize")
    dialog.wait_for()
    assert docs.locator(".modal-ux-content").evaluate("content => content.scrollTop") == 0
    assert docs.evaluate("document.activeElement.getAttribute('aria-label')") == "Close"
    assert dialog.get_by_text("sessionid").filter(visible=True).count() == 0
    docs.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert docs.evaluate("document.activeElement.className").split()[:2] == ["btn", "authorize"]


def test_a_reader_opens_every_call_its_models_and_its_answers(docs, server):
    def press_all(selector):
        docs.locator(selector).first.wait_for()
        docs.locator(selector).evaluate_all("all => all.forEach(one => one.click())")

    press_all(".opblock:not(.is-open) .opblock-summary-control")
    press_all(".opblock-body [data-name=model]")
    docs.locator(".opblock-body .model-box, .opblock-body .json-schema-2020-12").first.wait_for()
    press_all(".opblock-body [data-name=example]")
    assert try_call(docs, "/api/v1/species/").status == 200
    docs.locator(".download-contents").first.wait_for()


def test_a_reader_searches_the_reference_and_follows_it_in_either_theme(reader):
    for theme in ("light", "dark"):
        reader.emulate_media(color_scheme=theme)
        reader.goto("/docs/redoc/")
        reader.locator("#redoc h1").first.wait_for()
        reader.get_by_placeholder("Search").fill("pets")
        reader.locator('[data-role="search:results"] li').first.click()
        reader.wait_for_function("location.hash.length > 1")
