"""A real browser for tests: the system's Chromium, driven by Playwright."""

import contextlib
import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
# It runs as root in containers, where its sandbox cannot; and it must not phone home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium():
    """Return the path of a Chromium on this machine, None if there is none; CHROMIUM names one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


requires_chromium = pytest.mark.skipif(
    chromium() is None, reason="No Chromium is found here; install one or name it in CHROMIUM."
)


@contextlib.contextmanager
def browser_page(**context_options):
    """Yield a page of a fresh browser without cookies; options are those of `new_context`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield browser.new_context(**context_options).new_page()
        finally:
            browser.close()
