"""What holds for every page a person can reach, in a real browser: by day and by night, on a desk
and on a phone.

The pages are those of tests/pages.py; an address that nobody listed there fails.
"""

import contextlib
import json
import re
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from django.contrib import admin
from django.urls import Resolver404, URLResolver, get_resolver, resolve, reverse
from playwright.sync_api import Error, sync_playwright

from .browser import FLAGS, chromium, requires_chromium
from .pages import NOT_PAGES, PAGES, STAFF, Page

pytestmark = [pytest.mark.browser, pytest.mark.server, requires_chromium]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = {
    "resultTypes": ["violations"],
    "rules": {"target-size": {"enabled": True}},  # WCAG 2.5.8; axe leaves it out by itself
}
# Of what repeats by the hundred, the first few are looked at.
WHERE = {"exclude": [[".clauses tr:nth-child(n + 6)"], [".api-content > div:nth-child(n + 14)"]]}
# Pages about the same, each reached in its own way.
ALIKE = [
    {f"accounts/{way}reauthenticate/" for way in ("", "2fa/", "2fa/webauthn/")},
    {"accounts/password/change/", "accounts/password/set/"},
    {"accounts/logout/", "o/logout/"},
    {"", "demo-key/"},
    {"api/v1/me/", r"api/v1/users/(?P<username>[^/\x00]+)/$"},
]
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 375, "height": 812}
ZOOMED = {"width": 720, "height": 450}  # DESK at 200 %
NARROWEST = {"width": 320, "height": 640}  # WCAG 1.4.10

# Runs before anything of the page does.
LISTEN = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.refused.push(`${event.effectiveDirective} refuses ${event.blockedURI}`);
});
"""
# What stands outside the screen, and in nothing that scrolls.
LOST = """() => {
  const scrolls = (e) => {
    for (; e && e !== document.body; e = e.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true;
    }
    return false;
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((e) => {
      const box = e.getBoundingClientRect();
      return box.width > 1 && box.height > 1 && box.right > innerWidth + 1 && !scrolls(e);
    })
    .slice(0, 3)
    .map((e) => `${e.tagName.toLowerCase()}.${e.className} ${e.textContent.trim().slice(0, 30)}`);
}"""
WIDTH = "document.documentElement.scrollWidth"
# Where the keyboard goes, and nothing shows that it is there.
UNMARKED = """() => {
  const look = (e) => {
    const s = getComputedStyle(e);
    return [s.outlineStyle, s.outlineWidth, s.boxShadow, s.borderColor, s.backgroundColor].join();
  };
  const stops = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  return [...document.querySelectorAll(stops)]
    .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((e) => !e.disabled && !e.closest("#redoc, #swagger-ui, .clauses"))
    .filter((e) => {
      const before = look(e);
      e.focus({ focusVisible: true, preventScroll: true });
      const isUnmarked = document.activeElement === e && look(e) === before;
      e.blur();
      return isUnmarked;
    })
    .slice(0, 3)
    .map((e) => e.outerHTML.slice(0, 80));
}"""


def routes(resolver=None, prefix=""):
    """Yield each route of the URLconf outside the admin, spelled as in a ResolverMatch."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern).removeprefix("^")
        if isinstance(entry, URLResolver):
            if entry.app_name != "admin":
                yield from routes(entry, route)
        else:
            yield route


def route_of(url):
    """Return the route that answers a URL, None if there is none."""
    with contextlib.suppress(Resolver404):
        return resolve(urlsplit(url).path).route.replace("/^", "/").removeprefix("^")


@pytest.fixture(scope="module")
def world(server):
    """What fills in the addresses of PAGES."""
    made = server.manage("shell", "--no-imports", "-c", "from tests.pages import fill; fill()")
    return json.loads(made.splitlines()[-1])


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        running.close()


class Watched:
    """A page in a browser context of its own, and whatever goes wrong in it."""

    def __init__(self, browser, server, broken, session=None):
        self.broken = broken
        self.context = browser.new_context(
            viewport=DESK, color_scheme="light", reduced_motion="reduce", base_url=server.url
        )
        if session:
            cookie = {"name": "sessionid", "value": session, "url": server.url}
            self.context.add_cookies([cookie])
        self.context.add_init_script(LISTEN)
        # What answers when the server fails is given by the test: nothing makes it fail from here.
        self.context.route("**/broken/*/", self.fail)
        self.origin = urlsplit(server.url).netloc
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.flaws = []
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.flaws.append(f"script: {error}"))
        self.page.on("request", self.see)

    def fail(self, route):
        status = route.request.url.split("/")[-2]
        route.fulfill(status=int(status), **self.broken[status])

    def hear(self, message):
        # A page that answers 404 is told of as a resource that failed to load.
        if message.type in {"error", "warning"} and "the server responded" not in message.text:
            self.flaws.append(f"console: {message.text}")

    def see(self, request):
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.netloc != self.origin:
            self.flaws.append(f"asks another server: {request.url}")

    def go(self, page, world):
        """Open one of PAGES, by day on a desk."""
        self.flaws.clear()
        self.said = set()
        # Away first: Redoc's page loads itself anew when the theme changes.
        self.page.goto("about:blank")
        self.page.set_viewport_size(DESK)
        self.page.emulate_media(color_scheme="light")
        answer = self.page.goto(page.path.format(**world))
        if answer.status != page.status:
            pytest.fail(f"answers {answer.status}", pytrace=False)
        if "reauthenticate" in self.page.url and "reauthenticate" not in page.path:
            pytest.fail("asks who it is", pytrace=False)
        self.after = page.after or (lambda tab: None)
        self.after(self.page)
        self.page.wait_for_load_state()
        self.page.evaluate(AXE)

    def axe(self, where):
        """Note what axe finds, from the top: what has scrolled under the header is not hidden."""
        self.page.evaluate("scrollTo(0, 0)")
        try:
            found = self.page.evaluate("how => axe.run(...how)", [WHERE, RULES])
        except Error:  # Redoc's page loads itself anew for the other theme
            self.page.wait_for_timeout(500)
            self.after(self.page)
            self.page.evaluate(AXE)
            found = self.page.evaluate("how => axe.run(...how)", [WHERE, RULES])
        for rule in found["violations"]:
            for node in rule["nodes"][:3]:
                why = re.sub(r"\s+", " ", node["failureSummary"]).partition(": ")[2]
                flaw = f"{rule['id']}: {' '.join(map(str, node['target']))}: {why[:160]}"
                if flaw not in self.said:
                    self.said.add(flaw)
                    self.flaws.append(f"{where}: {flaw}")

    def refused(self):
        self.flaws += [f"policy: {text}" for text in self.page.evaluate("window.refused")]


@pytest.fixture(scope="module")
def watched(browser, server, world):
    """Return the Watched page of somebody; of a visitor, one that knows nobody."""
    kept = {}

    def page_of(who):
        if who not in kept:
            kept[who] = Watched(browser, server, world["broken"], world["cookies"].get(who))
        if who is None:
            kept[who].context.clear_cookies()
        return kept[who]

    return page_of


TITLES = defaultdict(set)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_it_is_fit_for_everybody(page, watched, world):
    seen = watched(page.who)
    seen.go(page, world)
    tab = seen.page
    look_at_its_frame(seen)
    if page.status == 200:
        TITLES[tab.title()].add(route_of(tab.url))
    seen.axe("light, desk")
    seen.flaws += [f"no mark of the focus: {text}" for text in tab.evaluate(UNMARKED)]
    tab.set_viewport_size(PHONE)
    tab.emulate_media(color_scheme="dark")
    tab.locator("html[data-shown=dark]").wait_for()
    # Each theme once and each width once: no colour of ours depends on the width.
    seen.axe("dark, phone")
    for size in (NARROWEST, PHONE, ZOOMED):
        tab.set_viewport_size(size)
        width = tab.evaluate(WIDTH)
        if width > size["width"]:
            seen.flaws.append(f"{width} wide at {size['width']}")
        seen.flaws += [f"lost at {size['width']}: {text}" for text in tab.evaluate(LOST)]
    seen.refused()
    if seen.flaws:
        pytest.fail("\n".join(dict.fromkeys(seen.flaws)), pytrace=False)


def look_at_its_frame(seen):
    """Note what a page lacks of a title, a language, one heading and one main part."""
    tab = seen.page
    for count, selector in [(1, "html[lang]"), (1, "h1"), (1, "main"), (1, "a.skip[href='#main']")]:
        found = tab.locator(selector).count()
        if found != count:
            seen.flaws.append(f"{found} of {selector}")


def test_every_page_has_a_title_of_its_own():
    if len(TITLES) < len(PAGES) / 2:
        pytest.skip("The pages were not all looked at.")
    shared = [
        f"{title}: {sorted(found)}"
        for title, found in TITLES.items()
        if len(found) > 1 and not any(found <= alike for alike in ALIKE)
    ]
    assert "\n".join(shared) == ""
    assert all("Pawprint" in title for title in TITLES)


def test_every_address_is_listed_as_a_page_or_as_none(world):
    paths = [page.path for page in PAGES] + NOT_PAGES
    listed = {route_of(path.format(**world)) for path in paths}
    assert sorted(set(routes()) - listed) == []


def test_the_admin_works_under_the_policy(watched, world):
    seen = watched(STAFF)
    names = ["index", "accounts_user_add"]
    for model in admin.site._registry:
        names.append(f"{model._meta.app_label}_{model._meta.model_name}_changelist")
    for name in names:
        seen.go(Page(reverse(f"admin:{name}")), world)
        seen.refused()
        assert seen.flaws == [], name
