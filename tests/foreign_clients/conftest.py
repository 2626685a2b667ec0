"""The cast of the foreign clients: a server of their own, apps of every kind, and the person."""

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import requests

from tests.servers import running_server
from tests.sites import make_certificate

from .person import Person

FOLDER = Path(__file__).resolve().parent
CALLBACK = "https://client.example/callback"
GOODBYE = "https://client.example/goodbye"
APPS = {
    "web": {
        "client_type": "confidential",
        "authorization_grant_type": "authorization-code",
        "redirect_uris": CALLBACK,
        "post_logout_redirect_uris": GOODBYE,
    },
    "native": {
        "client_type": "public",
        "authorization_grant_type": "authorization-code",
        "redirect_uris": "http://127.0.0.1/callback",
    },
    "machine": {
        "client_type": "confidential",
        "authorization_grant_type": "client-credentials",
    },
    "device": {
        "client_type": "public",
        "authorization_grant_type": "urn:ietf:params:oauth:grant-type:device_code",
    },
}
MAKE = """
import json
from accounts import keys
from accounts.models import Application, User
apps = {{}}
for name, fields in json.loads({apps!r}).items():
    secret = keys.generate_client_secret() if fields["client_type"] == "confidential" else ""
    app = Application(name=f"The {{name}} app", user=User.objects.get(username="user4"), **fields)
    app.client_secret = secret
    app.full_clean()
    app.save()
    apps[name] = {{"client_id": app.client_id, "client_secret": secret}}
print(json.dumps(apps))
"""
EXPIRE = """
from django.utils.timezone import now
from accounts.models import AccessToken
AccessToken.objects.filter(expires__gt=now()).update(expires=now())
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == FOLDER:
            item.add_marker("server")


@dataclass
class App:
    """What an app's developer was told when it was registered."""

    client_id: str
    client_secret: str = ""
    redirect_uri: str = CALLBACK

    @property
    def metadata(self):
        """The app as JSON has it; a public app has no secret."""
        return {name: value for name, value in asdict(self).items() if value}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for this machine, which the server trusts."""
    return make_certificate(tmp_path_factory.mktemp("foreign") / "certificate.pem")


@pytest.fixture(scope="session")
def server(tmp_path_factory, certificate):
    """A running Pawprint that may fetch metadata documents from this machine."""
    var = tmp_path_factory.mktemp("foreign_server") / "var"
    allowed = {"METADATA_NETWORKS": "127.0.0.0/8", "SSL_CERT_FILE": str(certificate)}
    with running_server(var, **allowed) as running:
        yield running


@pytest.fixture(scope="session")
def apps(server):
    """Apps registered with the server, by their kind."""
    made = json.loads(server.manage("shell", "-v0", "-c", MAKE.format(apps=json.dumps(APPS))))
    return {name: App(**told) for name, told in made.items()}


@pytest.fixture(scope="session")
def person(server):
    return Person(server)


@pytest.fixture(scope="session")
def let_tokens_expire(server):
    """A function after which every access token of the server has just expired."""
    return lambda: server.manage("shell", "-v0", "-c", EXPIRE)


@pytest.fixture(scope="session")
def issuer(server):
    """The server's own metadata, for clients that discover nothing by themselves."""
    return requests.get(f"{server.url}/.well-known/oauth-authorization-server", timeout=30).json()


@pytest.fixture(scope="session")
def node():
    """The node program, with the packages of package-lock.json installed."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if not program or not npm:
        pytest.skip("No node and npm are found here: npm's OAuth clients are not run.")
    if not is_installed():
        install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        ended = subprocess.run(install, cwd=FOLDER, capture_output=True, text=True)
        if ended.returncode:
            pytest.skip(f"npm ci failed; npm's OAuth clients are not run: {ended.stderr[-500:]}")
    return program


def is_installed():
    """Return whether node_modules holds what package-lock.json names."""
    locks = [FOLDER / "node_modules/.package-lock.json", FOLDER / "package-lock.json"]
    if not locks[0].exists():
        return False
    is_, should_be = (
        {name: package["integrity"] for name, package in packages.items() if name}
        for packages in (json.loads(lock.read_text())["packages"] for lock in locks)
    )
    return is_ == should_be
