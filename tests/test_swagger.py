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
    """The page in the hands of somebody who uses it."""
    reader.goto("/docs/")
    reader.mouse.move(10, 10)
    reader.locator(".opblock").first.wait_for()
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


# --- Before Swagger UI stands ------------------------------------------------------------------

BUNDLE = "**/swagger-ui-bundle.js*"


def control(page, operation):
    """The button of Swagger UI that opens an operation."""
    return page.locator(f"#operations-{operation} .opblock-summary-control")


@pytest.fixture
def let_it_come(reader):
    """Hold Swagger UI back until this is called."""
    held = []
    reader.route(BUNDLE, lambda route: held.append(route))

    def let_go():
        while not held:
            reader.wait_for_timeout(20)
        held.pop().continue_()

    return let_go


def top(locator):
    return round(locator.bounding_box()["y"])


def test_who_only_waits_gets_the_client_too_without_a_jump(reader):
    reader.goto("/docs/")
    assert reader.locator(".opblock").count() == 0
    reader.evaluate("""() => {
        window.shifts = [];
        const note = (list) => window.shifts.push(...list.getEntries().map((e) => e.value));
        new PerformanceObserver(note).observe({ type: "layout-shift", buffered: true });
    }""")
    before = top(reader.get_by_role("link", name="/api/v1/me/").first)
    reader.locator(".opblock").first.wait_for()
    assert top(control(reader, "me-me_retrieve")) == pytest.approx(before, abs=20)
    reader.wait_for_timeout(500)
    assert sum(reader.evaluate("window.shifts")) < 0.01
    assert reader.locator("#calls").count() == 0


def test_an_address_with_an_operation_opens_it(reader):
    reader.goto("/docs/#/pets/pets_create")
    opened = reader.locator(".opblock.is-open")
    opened.wait_for()
    assert opened.get_attribute("id") == "operations-pets-pets_create"
    covered = reader.locator(".top").bounding_box()["height"]
    assert covered <= top(opened) < 300


def test_a_call_that_is_chosen_early_opens_where_it_stood(reader, let_it_come):
    reader.goto("/docs/")
    chosen = reader.locator('#calls a[href="#/pets/pets_stats_retrieve"]')
    chosen.click()
    before = top(chosen)
    let_it_come()
    control(reader, "pets-pets_stats_retrieve").wait_for()
    assert control(reader, "pets-pets_stats_retrieve").get_attribute("aria-expanded") == "true"
    assert top(control(reader, "pets-pets_stats_retrieve")) == pytest.approx(before, abs=20)
    assert reader.url.endswith("/docs/#/pets/pets_stats_retrieve")


def test_the_keyboard_stays_at_the_call_where_it_was(reader, let_it_come):
    reader.goto("/docs/")
    reader.locator('#calls a[href="#/users/users_list"]').focus()
    reader.keyboard.press("Tab")
    let_it_come()
    control(reader, "users-users_retrieve").wait_for()
    focused = reader.evaluate("document.activeElement.closest('.opblock').id")
    assert focused == "operations-users-users_retrieve"
    assert reader.locator(".opblock.is-open").count() == 0


def test_who_presses_authorize_early_gets_the_dialog(reader):
    reader.goto("/docs/")
    reader.locator("#calls").get_by_role("button", name="Authorize").click()
    reader.get_by_role("dialog", name="Authorize").wait_for()


def test_a_client_that_does_not_come_is_told_of_and_the_list_stays(reader):
    reader.route(BUNDLE, lambda route: route.abort())
    reader.goto("/docs/")
    reader.mouse.move(10, 10)
    reader.get_by_role("alert").wait_for()
    assert reader.get_by_role("link", name="/api/v1/pets/", exact=True).count() == 4


# --- The reference -----------------------------------------------------------------------------


def test_a_reader_searches_the_reference_and_follows_it_in_either_theme(reader):
    for theme in ("light", "dark"):
        reader.emulate_media(color_scheme=theme)
        reader.goto("/docs/redoc/")
        reader.locator("#redoc h1").first.wait_for()
        reader.get_by_placeholder("Search").fill("pets")
        reader.locator('[data-role="search:results"] li').first.click()
        reader.wait_for_function("location.hash.length > 1")
