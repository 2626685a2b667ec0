"""Schemathesis against the running server: thousands of requests that nobody thought of.

Every operation of the published schema is called with data it allows and data it forbids, and
with sequences of operations; no answer may be a 5xx, an undocumented status, media type or
header, or a body that its schema does not allow.  Run pytest with `-rA` to read the summary.
"""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

EXECUTABLE = Path(sysconfig.get_path("scripts")) / "schemathesis"

TOKEN = """
import uuid
from datetime import timedelta
from django.utils import timezone
from oauth2_provider.models import set_token_value
from accounts.models import AccessToken, Application, User
from api.scopes import SCOPES
token = f"test-{uuid.uuid4().hex}"
row = AccessToken(
    user=User.objects.get(username="user3"),
    application=Application.objects.first(),
    scope=" ".join(SCOPES),
    expires=timezone.now() + timedelta(minutes=15),
)
set_token_value(row, token)
row.save()
print(token)
"""


@pytest.fixture
def credential(request, server):
    """The header of an API key of the demo, or of an access token of one of its users."""
    if request.param == "API key":
        return f"X-API-Key: {server.key}"
    return f"Authorization: Bearer {server.manage('shell', '-v0', '-c', TOKEN).strip()}"


@pytest.mark.server
@pytest.mark.parametrize("credential", ["API key", "access token"], indirect=True)
def test_the_server_keeps_to_its_schema_whatever_comes(server, credential, tmp_path):
    log = server.var.parent / "server.log"
    before = log.read_text()  # of other tests
    run = subprocess.run(
        [
            str(EXECUTABLE), "run", f"{server.url}/api/v1/schema/",
            "--header", credential,
            # Whatever version is there: what lies behind the precondition is to be reached.
            "--header", "If-Match: *",
            "--checks", "all",
            # Some of what the schema allows is rightly refused: a date to come, a cursor that
            # belongs to another query, a licence number that is taken.  No schema can say so.
            "--exclude-checks", "positive_data_acceptance",
            "--generation-with-security-parameters", "false",
            "--max-examples", "60",
            "--seed", "20261121",  # the same requests each time: who looks for more, changes it
            "--continue-on-failure",
            "--generation-database", "none",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    report = run.stdout + run.stderr
    print(report)  # noqa: T201  (`pytest -rA` shows it)
    assert run.returncode == 0, report
    # It did call all of them, and got through to what the views do.
    selected, total = re.search(r"Operations:\s+(\d+) selected / (\d+) total", report).groups()
    assert selected == total
    assert int(re.search(r"(\d+) generated", report)[1]) > 500, report
    assert "Traceback" not in log.read_text()[len(before) :]
