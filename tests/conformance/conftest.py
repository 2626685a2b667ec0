"""The cast of the conformance tests: one running server, its apps and its people.

Apps and sign-ins are made once and shared: a test that spoils one makes its own.
"""

import os
import subprocess
import sys

import pytest

from ..servers import ROOT, running_server
from . import matrix
from .client import Browser
from .documents import document_host
from .world import World

PUBLIC_URL = "https://pets.example"
MATRIX = pytest.StashKey[matrix.Matrix]()


def pytest_configure(config):
    for mark in (
        "requirement(specification, section, level, text): what the test shows",
        "unmet(why): the requirements of the test are not met, and it is expected to fail",
    ):
        config.addinivalue_line("markers", mark)
    config.stash[MATRIX] = matrix.Matrix()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    ours = [item for item in items if item.path.parent == matrix.FOLDER]
    last = [item for item in ours if item.path.name == "test_matrix.py"]
    for item in ours:
        item.add_marker("server")
        if item in last:
            continue
        config.stash[MATRIX].collect(item)
        if unmet := item.get_closest_marker("unmet"):
            # Only what the test asserts: a mistake in the test itself is still a failure.
            item.add_marker(
                pytest.mark.xfail(reason=unmet.args[0], strict=True, raises=AssertionError)
            )
    if ours:
        begin, end = items.index(ours[0]), items.index(ours[-1]) + 1
        items[begin:end] = [item for item in items[begin:end] if item not in last] + last


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    found = item.config.stash[MATRIX]
    if item.nodeid in found.tests and (report.when == "call" or not report.passed):
        outcome = "unmet" if hasattr(report, "wasxfail") and report.skipped else report.outcome
        if found.outcomes.get(item.nodeid) != "failed":
            found.outcomes[item.nodeid] = outcome
    return report


@pytest.fixture(scope="package")
def world(server):
    """The running server with apps of every kind, and its people."""
    return World(server)


@pytest.fixture
def person(world):
    """The browser of user1, signed in."""
    return world.person()


@pytest.fixture
def browser(world):
    """A browser in which nobody has signed in."""
    return Browser(world.url)


@pytest.fixture(scope="package")
def published(tmp_path_factory):
    """A second server, as it is behind a proxy that ends TLS: people know it by https.

    Its signing key was rotated before it started, and it may fetch metadata documents from
    `host`, which is on this machine.
    """
    folder = tmp_path_factory.mktemp("published")
    env = {"VAR_DIR": str(folder / "var"), "PUBLIC_URL": PUBLIC_URL}
    rotate = [sys.executable, "manage.py", "rotate_signing_key"]
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(rotate, cwd=ROOT, env=inherited | env, check=True, capture_output=True)
    with (
        document_host(folder) as host,
        running_server(
            folder / "var",
            PUBLIC_URL=PUBLIC_URL,
            METADATA_NETWORKS="127.0.0.0/8,::1/128",
            SSL_CERT_FILE=str(folder / "host.pem"),
        ) as server,
    ):
        world = World(server, PUBLIC_URL)
        world.host = host
        yield world
