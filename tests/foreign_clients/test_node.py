"""npm's oauth4webapi and openid-client: a flow for each test, run by a program of their own.

Both insist on https, state, PKCE, the issuer in the answer (RFC 9207), signature, nonce and times
of the id_token; here they are told that this is loopback, and nothing else.
"""

import json
import os
import subprocess
import threading

import pytest

from .conftest import CALLBACK, FOLDER, GOODBYE

LIBRARIES = ["oauth4webapi", "openid-client"]
SECONDS = 120


@pytest.fixture
def run(node, server, apps, person):
    """`run(library, flow)` returns the result of a flow; the person does what it asks for."""

    def agree_elsewhere(url):
        return person.agree(url).replace("iss=", "iss=https%3A%2F%2Felsewhere.example&was=")

    replies = {
        "agree": person.agree,
        "agree_elsewhere": agree_elsewhere,
        "let_device_in": person.let_device_in,
        "refuse": person.refuse,
        "sign_out": person.sign_out,
        "visit": lambda url: person.visit(url).headers["Location"],
    }
    settings = {
        "server": server.url,
        "apps": {name: app.metadata for name, app in apps.items()},
        "callback": CALLBACK,
        "goodbye": GOODBYE,
    }

    def run_flow(library, flow):
        with subprocess.Popen(
            [node, str(FOLDER / f"{library}.mjs"), flow],
            env=os.environ | {"PAWPRINT_FLOW": json.dumps(settings)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            alarm = threading.Timer(SECONDS, process.kill)
            alarm.start()
            try:
                for line in process.stdout:
                    said = json.loads(line)
                    if "result" in said:
                        return said["result"]
                    answer = replies[said["ask"]](*said["details"])
                    process.stdin.write(f"{json.dumps(answer)}\n")
                    process.stdin.flush()
                raise AssertionError(process.stderr.read())
            finally:
                alarm.cancel()
                process.kill()

    return run_flow


@pytest.fixture(params=LIBRARIES)
def flow(run, request):
    """A flow of each library."""
    return lambda name: run(request.param, name)


def test_both_metadata_documents_are_found_and_name_the_issuer(server, flow):
    found = flow("discovery")
    assert found["openid"]["issuer"] == found["oauth"]["issuer"] == server.url
    for metadata in found.values():
        assert metadata["authorization_response_iss_parameter_supported"] is True
        # Not offered: a token of this server is a bearer token (RFC 6750) and nothing else.
        assert "dpop_signing_alg_values_supported" not in metadata


def test_the_api_names_its_authorization_server(server, run):
    whole, first_version = run("oauth4webapi", "resource_metadata")
    assert whole["resource"] == server.url
    assert first_version["resource"] == f"{server.url}/api/v1"
    for metadata in (whole, first_version):
        assert metadata["authorization_servers"] == [server.url]
        assert metadata["bearer_methods_supported"] == ["header"]


def test_a_person_signs_in_and_all_that_follows(server, apps, flow):
    done = flow("code")
    assert done["scope"] == "openid profile email pets:read"
    claims = done["claims"]  # the library has checked signature, times and nonce
    assert (claims["iss"], claims["aud"]) == (server.url, apps["web"].client_id)
    assert claims["nonce"] == done["nonce"]
    assert done["userinfo"]["sub"] == claims["sub"]
    assert done["userinfo"]["preferred_username"] == "user1"
    assert done["status"] == 200
    assert done["renewed"]
    assert done["before"]["active"]
    assert done["before"]["username"] == "user1"
    assert done["after"] == {"active": False}
    assert done["replayed"]["error"] == "invalid_grant"


def test_a_native_app_signs_a_person_in_on_any_port(flow):
    assert flow("native") == {"scope": "pets:read", "status": 200}


def test_the_app_is_told_when_the_person_says_no(flow):
    assert flow("refused")["error"] == "access_denied"


def test_the_answer_of_another_issuer_is_refused_by_the_client(flow):
    assert flow("another_issuer")["code"] == "OAUTH_INVALID_RESPONSE"


def test_an_app_gets_tokens_for_itself(flow):
    got = flow("client_credentials")
    assert got["scopes"] == ["pets:read", "pets:read"]
    assert got["wrong"]["status"] == 401


def test_a_device_waits_slows_down_and_is_let_in(flow):
    got = flow("device")
    assert got["errors"] == ["authorization_pending", "slow_down"]
    assert got["scope"] == "pets:read"


def test_an_app_registers_itself_and_signs_a_person_in(flow):
    done = flow("registration")
    assert done["client"]["client_name"] == "A stranger"
    assert done["client"]["client_secret"].startswith("pawcs_")
    assert done["scope"] == "pets:read"
    assert done["refreshable"]


def test_a_token_is_for_the_resource_it_was_asked_for(server, flow):
    got = flow("resource")
    assert got["status"] == 200
    assert got["aud"] in (f"{server.url}/api/v1", [f"{server.url}/api/v1"])
    assert got["elsewhere"]["error"] == "invalid_target"


def test_challenges_are_read(server, flow):
    got = flow("challenge")
    leads_to = f"{server.url}/.well-known/oauth-protected-resource"
    [unknown], [narrow] = got["unknown"]["challenges"], got["narrow"]["challenges"]
    assert (got["unknown"]["status"], unknown["scheme"]) == (401, "bearer")
    assert unknown["parameters"]["error"] == "invalid_token"
    assert unknown["parameters"]["resource_metadata"] == leads_to
    assert (got["narrow"]["status"], narrow["scheme"]) == (403, "bearer")
    assert narrow["parameters"]["error"] == "insufficient_scope"
    assert narrow["parameters"]["scope"] == "pets:write"
    assert narrow["parameters"]["resource_metadata"] == leads_to


def test_nobody_is_asked_twice_and_nobody_is_skipped_over(server, run, person):
    person.visit(f"{server.url}/accounts/login/")
    got = run("openid-client", "silence")
    assert got["first"]["error"] == "consent_required"
    assert got["scope"] == got["silent"] == "openid users:read"


def test_the_id_token_says_when_the_person_signed_in(run):
    got = run("openid-client", "max_age")
    assert 0 <= got["now"] - got["auth_time"] < 3600


def test_a_person_is_signed_out_and_comes_back(run):
    got = run("openid-client", "sign_out")
    assert got["cameBack"] == f"{GOODBYE}?state={got['state']}"
