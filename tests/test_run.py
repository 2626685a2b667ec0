"""`make run` and load_demo: what a newcomer starts, and what an operator finds in it."""

import re
import stat
import subprocess
import sys

import pytest
import requests

from api.models import Pet

from .servers import ROOT, running_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: what it holds is what the demo put there."""
    with running_server(tmp_path_factory.mktemp("run") / "var") as running:
        yield running


def test_it_prints_where_to_go_how_to_sign_in_and_a_first_curl_line(server):
    log = (server.var.parent / "server.log").read_text()
    assert f"Pawprint is running at {server.url}" in log
    assert f"sign in as user1, password {server.password}" in log
    curl = re.search(r"curl -H .*", log)[0]
    answer = subprocess.run(
        ["sh", "-c", curl], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert '"results":' in answer


def test_the_demo_holds_the_tutorials_users_and_their_pets(server):
    users = requests.get(f"{server.url}/api/v1/users/", headers={"X-API-Key": server.key}).json()
    species = {
        user["username"]: sorted(pet["species"] for pet in user["pets"])
        for user in users["results"]
    }
    assert species["user1"] == ["dog"]
    assert species["user2"] == []
    assert species["user3"] == ["duck", "duck", "goose"]
    assert species["user4"] == ["hamster"]


def test_what_it_keeps_in_clear_is_its_owners_alone(server):
    for name in ("demo_api_key", "demo_password", "demo_client_secret", "secret_key"):
        assert stat.S_IMODE((server.var / name).stat().st_mode) == 0o600, name


def test_load_demo_changes_nothing_the_second_time_and_tops_up_when_asked(server):
    before = server.key, server.password
    assert "0 pets were generated" in server.manage("load_demo")
    assert (server.key, server.password) == before
    assert "50 pets were generated" in server.manage("load_demo", "--pets", "250")


def test_a_second_start_finds_its_data_and_keeps_its_key(tmp_path):
    with running_server(tmp_path / "var") as first:
        key = first.key
        made = requests.post(
            f"{first.url}/api/v1/pets/",
            headers={"X-API-Key": key},
            json={"name": "Kept", "species": "cat"},
        ).json()
    with running_server(tmp_path / "var") as second:
        assert second.key == key
        answer = requests.get(f"{second.url}/api/v1/pets/{made['id']}/", headers={"X-API-Key": key})
        assert answer.json()["name"] == "Kept"


def test_no_secret_is_in_the_servers_log(server):
    requests.get(f"{server.url}/api/v1/pets/", headers={"X-API-Key": server.key})
    requests.get(f"{server.url}/api/v1/pets/", headers={"Authorization": f"Bearer {server.key}"})
    log = (server.var.parent / "server.log").read_text()
    for name in ("demo_api_key", "demo_client_secret", "secret_key", "credential_pepper"):
        assert (server.var / name).read_text() not in log, name


def test_generated_pets_satisfy_the_apis_own_rules(db):
    from api.management.commands import load_demo
    from api.serializers import PetSerializer

    load_demo.ensure(pets=40)
    for pet in Pet.objects.all():
        data = {
            name: value
            for name, value in PetSerializer(pet, context={"request": None}).data.items()
            if name not in {"url", "owner"}
        }
        PetSerializer(data=data).is_valid(raise_exception=True)


def test_what_was_removed_of_the_demo_stays_removed(tmp_path):
    with running_server(tmp_path / "var") as first:
        first.manage(
            "shell", "--no-imports", "-c",
            "from api.models import Pet; Pet.objects.filter(licence_number='D000007').delete();"
            "from accounts.models import User; User.objects.filter(username='user4').delete()",
        )  # fmt: skip
        key = first.key
    with running_server(tmp_path / "var") as second:
        answer = requests.get(f"{second.url}/api/v1/users/user4/", headers={"X-API-Key": key})
        assert answer.status_code == 404
        assert "1 pets were generated" in second.manage("load_demo")


def test_a_port_that_is_taken_is_told_and_not_shared(server, tmp_path):
    ended = subprocess.run(
        [sys.executable, "manage.py", "run"],
        cwd=ROOT,
        env=server.env | {"VAR_DIR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "Cannot listen on 127.0.0.1:" in ended.stderr
    assert "is running" not in ended.stdout
