"""RFC 7592, Dynamic Client Registration Management: apps that manage their registration."""

import re
import uuid

import pytest

from .client import bearer
from .matrix import of
from .test_rfc6749 import ENOUGH, PROXY, error_of
from .test_rfc6750 import challenge
from .test_rfc7591 import as_client, refusal

requirement = of("RFC 7592")

not_tested = [
    ("RFC 7592", "2", "MUST", "The client configuration endpoint is reached by TLS", PROXY),
    ("RFC 7592", "5", "MUST", "The server supports TLS 1.2", PROXY),
    (
        "RFC 7592",
        "2.1",
        "MUST",
        "A client that may not read, change or delete its record gets 403",
        "Here every registered client may.",
    ),
]
SAID_BY_THE_SERVER = {
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
}


@pytest.fixture(scope="module")
def registered(world):
    """What the server said when the app registered."""
    return world.registered(client_name="Before", client_uri="https://new.example/", scope="openid")


@pytest.fixture(scope="module")
def stranger(world):
    return world.registered()


def manage(world, registered, method="GET", token=None, uri=None, **options):
    """Ask the client configuration endpoint with the app's registration access token."""
    token = registered["registration_access_token"] if token is None else token
    uri = uri or registered["registration_client_uri"]
    return world.web.call(uri, token or None, method, **options)


def to_send_back(registered, **changes):
    """Return the metadata of an update: what the server said, less what only it says."""
    metadata = {k: v for k, v in registered.items() if k not in SAID_BY_THE_SERVER}
    return metadata | changes


def is_refused(answer):
    """Return whether the answer is that of a bearer token that does not hold (RFC 6750 §3.1)."""
    return answer.status_code == 401 and challenge(answer)["error"] == "invalid_token"


# --- 2: The endpoint -----------------------------------------------------------------------------


@requirement(
    "2", "MUST", "The registration access token opens, as a bearer token, and nothing else"
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_the_registration_access_token_opens(world, person, registered, stranger, method):
    access_token = world.token("openid pets:read")
    for token in ("x", "pawrg_x", access_token, stranger["registration_access_token"]):
        body = {"json": to_send_back(registered)} if method == "PUT" else {}
        assert is_refused(manage(world, registered, method, token, **body))
    assert manage(world, registered, method, "").status_code == 401
    query = {"access_token": registered["registration_access_token"]}
    assert manage(world, registered, method, "", params=query).status_code == 401
    assert manage(world, registered).status_code == 200


@requirement("2", "MUST", "A method that is not supported is answered so")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_another_method_is_not_allowed(world, registered, method):
    assert manage(world, registered, method, json={}).status_code == 405


# --- 2.1: Reading --------------------------------------------------------------------------------


@requirement("2.1", "MUST", "A client reads its registration: 200 and JSON")
@requirement("2.1", "MUST NOT", "The client_id never changes")
def test_an_app_reads_its_registration(world, registered):
    answer = manage(world, registered)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["client_id"] == registered["client_id"]


@requirement("2.1", "MUST", "A token that does not hold gets the error of RFC 6750")
def test_a_bad_token_reads_nothing(world, registered):
    assert is_refused(manage(world, registered, token="pawrg_nothing"))


@requirement("2.1", "MUST", "A client that does not exist gets 401")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_client_that_is_not_there_gets_401(world, registered, method):
    uri = registered["registration_client_uri"].replace(registered["client_id"], str(uuid.uuid4()))
    answer = manage(world, registered, method, uri=uri, json={})
    assert is_refused(answer)


# --- 2.2: Updating -------------------------------------------------------------------------------


@requirement("2.2", "MUST", "New values replace the ones before")
@requirement("2.2", "MUST", "What an update leaves out is deleted")
def test_an_update_replaces(world, registered):
    sent = {
        "client_id": registered["client_id"],
        "client_name": "After",
        "redirect_uris": ["https://after.example/callback"],
    }
    answer = manage(world, registered, "PUT", json=sent)
    assert answer.status_code == 200, answer.text
    read = manage(world, registered).json()
    for body in (answer.json(), read):
        assert body["client_id"] == registered["client_id"]
        assert body["client_name"] == "After"
        assert body["redirect_uris"] == ["https://after.example/callback"]
        assert not body.get("client_uri")
        assert body["scope"] != "openid"


@requirement("2.2", "MUST", "A null counts as left out")
def test_a_null_is_nothing(world, registered):
    sent = to_send_back(registered, client_uri=None)
    assert not manage(world, registered, "PUT", json=sent).json().get("client_uri")


@requirement("2.2", "MUST NOT", "An update has nothing of what only the server says")
@pytest.mark.parametrize("name", sorted(SAID_BY_THE_SERVER))
def test_an_update_leaves_the_servers_members_out(world, registered, name):
    sent = to_send_back(registered) | {name: registered[name]}
    assert refusal(manage(world, registered, "PUT", json=sent)) == "invalid_client_metadata"


@requirement("2.2", "MUST", "An update names the client_id, the one that was issued")
@pytest.mark.parametrize("client_id", [None, "somebody-else", ""])
def test_an_update_names_its_client(world, registered, client_id):
    sent = to_send_back(registered, client_id=client_id)
    assert refusal(manage(world, registered, "PUT", json=sent)) == "invalid_client_metadata"


@requirement("2.2", "MUST", "A client_secret in an update is the one that was issued")
@requirement("2.2", "MUST NOT", "A client does not choose its secret")
def test_an_app_does_not_choose_its_secret(world, registered):
    sent = to_send_back(registered, client_secret="a-secret-of-my-own-choice")
    assert refusal(manage(world, registered, "PUT", json=sent)) == "invalid_client_metadata"
    assert manage(world, registered, "PUT", json=to_send_back(registered)).status_code == 200
    app = as_client(world, registered)
    assert error_of(app.exchange("x")) == "invalid_grant"


@requirement("2.2", "MUST", "A value that was replaced is in the answer")
def test_a_replaced_value_is_told(world, registered):
    sent = to_send_back(registered, scope="pets:read pets:fly")
    assert manage(world, registered, "PUT", json=sent).json()["scope"] == "pets:read"


@requirement("2.2", "MUST", "A value that will not do is refused, and nothing changes")
def test_an_update_that_will_not_do_changes_nothing(world, registered):
    before = manage(world, registered).json()
    sent = to_send_back(registered, client_name="X", redirect_uris=["http://after.example/"])
    assert refusal(manage(world, registered, "PUT", json=sent)) == "invalid_redirect_uri"
    assert manage(world, registered).json() == before


@requirement("2.2", "MUST", "A token that does not hold updates nothing")
def test_a_bad_token_updates_nothing(world, registered, stranger):
    before = manage(world, registered).json()
    token = stranger["registration_access_token"]
    answer = manage(world, registered, "PUT", token, json=to_send_back(registered))
    assert is_refused(answer)
    assert manage(world, registered).json() == before


# --- 2.3: Deleting -------------------------------------------------------------------------------


@requirement("2.3", "MUST", "A client that was deleted is answered with 204")
@requirement("2.3", "SHOULD", "With a client go its codes and tokens, at once")
@requirement("5", "MUST", "With a client goes its registration access token")
@requirement("5", "MUST", "Who manages a deleted client gets 401")
def test_a_deleted_app_is_gone(world, person):
    registered = world.registered()
    app = as_client(world, registered)
    tokens, code = person.get_tokens(app), person.get_code(app)
    answer = manage(world, registered, "DELETE")
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "PUT", "DELETE"):
        assert is_refused(manage(world, registered, method, json={}))
    assert world.web.call("/api/v1/pets/", tokens["access_token"]).status_code == 401
    assert error_of(app.exchange(code), 401) == "invalid_client"
    assert error_of(app.refresh(tokens["refresh_token"]), 401) == "invalid_client"
    page = person.get(app.authorization_request())
    assert page.status_code == 400
    assert "Location" not in page.headers


@requirement("2.3", "MUST", "A token that does not hold deletes nothing")
def test_a_bad_token_deletes_nothing(world, registered, stranger):
    answer = manage(world, registered, "DELETE", stranger["registration_access_token"])
    assert is_refused(answer)
    assert manage(world, registered).status_code == 200


# --- 3: The answer -------------------------------------------------------------------------------


@requirement("3", "MUST", "The answer says where the registration is managed: a whole URL")
@requirement("B", "MUST", "The URL is given: no client has to build it")
def test_the_answer_says_where_to_manage(world, registered):
    assert registered["registration_client_uri"].startswith(f"{world.url}/o/register/")
    assert (
        manage(world, registered).json()["registration_client_uri"]
        == (registered["registration_client_uri"])
    )


@requirement("3", "MUST", "The answer has the registration access token")
@requirement("A.1", "MUST", "A read has the registration access token that holds now")
def test_the_answer_has_the_registration_access_token(world, registered):
    read = manage(world, registered).json()
    again = world.web.call(
        registered["registration_client_uri"], headers=bearer(read["registration_access_token"])
    )
    assert again.status_code == 200


@requirement("3", "MUST", "Everything that is registered is in the answer")
def test_a_read_has_what_is_registered(world, stranger):
    read = manage(world, stranger).json()
    for name, value in stranger.items():
        if name not in {"client_secret", "client_secret_expires_at", "registration_access_token"}:
            assert read[name] == value, name


@requirement("A.1", "MUST", "A read has the client_secret that holds now")
@pytest.mark.unmet(
    "Secrets are kept as digests: the server tells one once and cannot tell it again."
)
def test_a_read_tells_the_secret_again(world, stranger):
    assert manage(world, stranger).json().get("client_secret") == stranger["client_secret"]


# --- 5: Security ---------------------------------------------------------------------------------


@requirement("5", "SHOULD NOT", "The registration access token does not expire with the app in use")
def test_a_registration_access_token_stays(world, registered):
    for _ in range(3):
        assert manage(world, registered).status_code == 200


@requirement("5", "MUST", "A registration access token cannot be guessed")
def test_a_registration_access_token_cannot_be_guessed(world, registered, stranger):
    tokens = [each["registration_access_token"] for each in (registered, stranger)]
    assert len(set(tokens)) == 2
    assert all(len(re.sub("[^0-9A-Za-z]", "", token)) >= ENOUGH for token in tokens)
    assert not any(world.database_holds(token) for token in tokens)


@requirement("B", "MUST", "A token opens the registration it was issued for and no other")
def test_a_registration_access_token_is_bound_to_its_app(world, registered, stranger):
    uri = registered["registration_client_uri"]
    assert is_refused(manage(world, stranger, uri=uri))
