"""Apps that register themselves: RFC 7591, their management by RFC 7592, and the limits of it."""

import json
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts import keys
from accounts.models import AccessToken, Application, ApplicationLogo, Consent, DeviceGrant
from accounts.oauth.registration import REGISTRATIONS
from accounts.tasks import UNUSED_FOR, clear_expired_credentials
from api.scopes import SCOPES

from .conftest import ApiClient, bearer, make_token
from .oauth import authorization_request, consent, exchange, get_code, refresh, token_request

CALLBACK = "https://new.example/callback"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_budgets():
    cache.clear()


@pytest.fixture
def register(anonymous):
    """Register an app: the metadata over an authorization-code app's; None leaves one out."""

    def post(**metadata):
        metadata = {"redirect_uris": [CALLBACK], "client_name": "Dog Walker"} | metadata
        sent = {name: value for name, value in metadata.items() if value is not None}
        return anonymous.post("/o/register/", sent)

    return post


@pytest.fixture
def registered(register):
    """Register an app that must be taken, and return what the server says of it."""

    def post(**metadata):
        answer = register(**metadata)
        assert answer.status_code == 201, answer.content
        return answer.json()

    return post


def manager(information):
    """The client that manages an app, with its registration access token."""
    return bearer(information["registration_access_token"])


def place(information):
    return information["registration_client_uri"].removeprefix("http://127.0.0.1:8000")


def dynamic():
    """The apps that registered themselves; there are others, such as that of the docs."""
    return Application.objects.filter(registration_source=Application.RegistrationSource.DCR)


def stored(information):
    return Application.objects.get(client_id=information["client_id"])


def refused(answer, error="invalid_client_metadata"):
    """Assert that an answer is an error of RFC 7591 §3.2.2, and return its description."""
    assert answer.status_code == 400, answer.content
    body = answer.json()
    assert set(body) == {"error", "error_description"}
    assert body["error"] == error
    assert body["error_description"].isascii()
    assert answer["Cache-Control"] == "no-store"
    assert not dynamic().exists()
    return body["error_description"]


# --- Registering (RFC 7591 §3) --------------------------------------------------------------------


def test_an_app_is_told_what_was_registered(register):
    before = int(time.time())
    answer = register(scope="pets:read openid", client_uri="https://new.example/")
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    body = answer.json()
    assert before <= body.pop("client_id_issued_at") <= time.time()
    client_id, secret = body.pop("client_id"), body.pop("client_secret")
    assert secret.startswith(keys.CLIENT_SECRET)
    assert body.pop("registration_access_token").startswith(keys.REGISTRATION_TOKEN)
    assert body == {
        "client_name": "Dog Walker",
        "client_uri": "https://new.example/",
        "redirect_uris": [CALLBACK],
        # The defaults of §2.
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid pets:read",
        "client_secret_expires_at": 0,
        "registration_client_uri": f"http://127.0.0.1:8000/o/register/{client_id}/",
    }


def test_its_address_comes_from_the_configuration_and_not_from_the_host_header(anonymous):
    answer = anonymous.post(
        "/o/register/", {"redirect_uris": [CALLBACK]}, headers={"host": "localhost"}
    )
    assert answer.json()["registration_client_uri"].startswith("http://127.0.0.1:8000/")


def test_it_has_no_publisher_and_is_not_verified(registered):
    app = stored(registered())
    assert app.user is None
    assert app.registration_source == Application.RegistrationSource.DCR
    assert not app.is_verified
    assert not app.skip_authorization


def test_only_digests_of_its_secret_and_its_token_are_kept(registered):
    body = registered()
    row = Application.objects.filter(client_id=body["client_id"]).values().get()
    values = " ".join(str(value) for value in row.values())
    assert body["client_secret"] not in values
    assert body["registration_access_token"] not in values


def test_a_confidential_app_gets_tokens_with_its_new_secret(registered, alice_in_browser):
    body = registered(scope="pets:read pets:write")
    app = stored(body)
    code = get_code(alice_in_browser, app, "pets:read pets:write")
    tokens = exchange(app, code, body["client_secret"]).json()
    assert bearer(tokens["access_token"]).get("/api/v1/me/").status_code == 200
    renewed = refresh(app, tokens["refresh_token"], body["client_secret"])
    assert renewed.status_code == 200


def test_a_public_app_gets_tokens_without_a_secret(registered, alice_in_browser):
    body = registered(token_endpoint_auth_method="none")
    assert "client_secret" not in body
    assert "client_secret_expires_at" not in body
    app = stored(body)
    tokens = exchange(app, get_code(alice_in_browser, app), secret=None)
    assert tokens.status_code == 200


def test_an_app_may_have_several_grant_types(registered):
    body = registered(
        grant_types=["client_credentials", "authorization_code", DEVICE, "refresh_token"]
    )
    assert body["grant_types"] == [
        *("client_credentials", "authorization_code"),
        *(DEVICE, "refresh_token"),
    ]
    answer = token_request(stored(body), body["client_secret"], grant_type="client_credentials")
    assert answer.status_code == 200
    device = ApiClient().post(
        "/o/device-authorization/",
        f"client_id={body['client_id']}&client_secret={body['client_secret']}",
        content_type="application/x-www-form-urlencoded",
    )
    assert device.status_code == 200


def test_a_machine_needs_no_redirect_uri(registered):
    body = registered(redirect_uris=None, grant_types=["client_credentials"])
    assert body["redirect_uris"] == []
    assert body["response_types"] == []
    assert body["grant_types"] == ["client_credentials"]


def test_keys_come_in_one_way(register):
    """RFC 7591 §2."""
    both = {"jwks": {"keys": []}, "jwks_uri": "https://new.example/jwks"}
    answer = register(redirect_uris=[CALLBACK], **both)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_unknown_members_and_names_in_other_languages_are_ignored(registered):
    body = registered(
        **{"client_name#de": "Gassigeher", "x_unknown": {"a": [1]}, "jwks": {"keys": []}},
        tos_uri="https://new.example/tos",
        contacts=["dev@new.example"],
        software_id="4NRB1-0XZABZI9E6-5SM3R",
        software_version="1.0",
        software_statement="eyJ",
    )
    assert not {"client_name#de", "x_unknown", "jwks", "jwks_uri"} & set(body)


def test_null_is_the_same_as_left_out(registered):
    body = registered(**json.loads('{"scope": null, "client_uri": null}'))
    assert body["token_endpoint_auth_method"] == "client_secret_basic"


def test_unknown_scopes_are_dropped_and_the_answer_says_so(registered):
    assert registered(scope="pets:read pets:eat")["scope"] == "pets:read"


def test_an_app_that_names_no_scope_may_ask_for_any(registered):
    assert registered()["scope"].split() == list(SCOPES)


def test_only_unknown_scopes_are_an_error_and_not_a_way_to_all(register):
    assert "scope" in refused(register(scope="pets:eat root"))


def test_a_browser_app_may_call_from_where_it_is_sent_back_to(registered):
    body = registered(
        token_endpoint_auth_method="none",
        redirect_uris=[
            "https://Spa.Example:443/callback",
            "https://spa.example:8443/callback",
            "http://[::1]:3000/callback",
            "com.example.app:/callback",
        ],
    )
    assert stored(body).allowed_origins.split() == [
        "https://spa.example",
        "https://spa.example:8443",
        "http://[::1]:3000",
    ]
    answer = ApiClient().options(
        "/o/token/",
        headers={"origin": "https://spa.example", "access-control-request-method": "POST"},
    )
    assert answer["Access-Control-Allow-Origin"] == "https://spa.example"


def test_an_app_on_a_server_has_no_origins(registered):
    assert stored(registered()).allowed_origins == ""


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1/callback", "http://[::1]:4000/", "http://localhost:3000/callback",
     "com.example.app:/callback", "com.example.app://callback"],
)  # fmt: skip
def test_a_native_app_is_sent_to_loopback_or_to_its_own_scheme(registered, uri):
    body = registered(
        token_endpoint_auth_method="none", application_type="native", redirect_uris=[uri]
    )
    assert body["redirect_uris"] == [uri]


@pytest.mark.parametrize(
    ("kind", "method", "uri"),
    [
        # OpenID Connect Dynamic Client Registration §2
        ("native", "none", "https://new.example/callback"),
        ("web", "none", "com.example.app:/callback"),
        # RFC 8252 §8.5: who can keep a secret needs no scheme of its own.
        ("", "client_secret_basic", "com.example.app:/callback"),
    ],
)
def test_redirect_uris_fit_the_kind_of_app(register, kind, method, uri):
    answer = register(
        token_endpoint_auth_method=method, application_type=kind or None, redirect_uris=[uri]
    )
    refused(answer, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JavaScript://new.example/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:text/html,hello",
        "vbscript:msgbox",
        "file:///etc/passwd",
        "blob:https://new.example/1",
        "app:/callback",
        "http://new.example/callback",
        "http://localhost.new.example/callback",
        "http://127.0.0.1.new.example/callback",
        "http://2130706433/callback",
        "https://new.example/callback#fragment",
        "https://new.example/callback#",
        "https://user:password@new.example/callback",
        "https://new.example@evil.example/callback",
        "https://*.new.example/callback",
        "https://*/callback",
        "https://new.example\\@evil.example/callback",
        "https://new.example/ /callback",
        "https://new.example/callback\nhttps://evil.example/",
        "https://néw.example/callback",
        "https://new.example:port/callback",
        "https://new.example:99999/callback",
        "https://[::1/callback",
        "https:///callback",
        "https://",
        "//new.example/callback",
        "/callback",
        "",
        "https://new.example/" + "a" * 2000,
    ],
    ids=lambda uri: uri[:60],
)
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_nobody_can_be_sent_to_an_unsafe_address(register, uri, method):
    answer = register(redirect_uris=[CALLBACK, uri], token_endpoint_auth_method=method)
    refused(answer, "invalid_redirect_uri")


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "http://new.example/", "data:,x", "//x"])
def test_nor_after_signing_out(register, uri):
    refused(register(post_logout_redirect_uris=[uri], token_endpoint_auth_method="none"))


@pytest.mark.parametrize("member", ["client_uri", "policy_uri", "tos_uri", "logo_uri"])
@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "data:text/html,x", "new.example", "https://a b", 7]
)
def test_links_are_addresses_of_web_pages(register, member, value):
    assert member in refused(register(**{member: value}))


@pytest.mark.parametrize(
    "metadata",
    [
        {"client_name": 7},
        {"client_name": ["Dog Walker"]},
        {"client_name": "x" * 101},
        {"client_name": "\x00"},
        {"client_name": "Dog\x00Walker"},
        {"client_name": "\ud83d"},
        {"client_name": "…"},
        {"grant_types": "authorization_code"},
        {"grant_types": ["implicit"]},
        {"grant_types": ["password"]},
        {"grant_types": ["authorization_code", "urn:unknown"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": [["authorization_code"]]},
        {"grant_types": {"authorization_code": True}},
        {"response_types": ["token"]},
        {"response_types": ["code", "token"]},
        {"response_types": ["code id_token"]},
        {"response_types": []},
        {"response_types": "code"},
        {"grant_types": ["client_credentials"], "response_types": ["code"]},
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": True},
        {"token_endpoint_auth_method": "basic"},
        {"scope": ["pets:read"]},
        {"scope": "pets:read\x00"},
        {"scope": "x" * 2001},
        {"contacts": "dev@new.example"},
        {"contacts": [1]},
        {"software_id": 1},
        {"application_type": 1},
        {"client_uri": "https://new.example/" + "a" * 500},
    ],
    ids=lambda metadata: str(metadata)[:60],
)
def test_metadata_that_will_not_do_is_refused_by_name(register, metadata):
    assert any(name in refused(register(**metadata)) for name in metadata)


@pytest.mark.parametrize(
    "uris",
    [7, "https://new.example/", {"a": 1}, [7], [None], [[CALLBACK]], [f"{CALLBACK}\x00"],
     [f"{CALLBACK}\udcff"], [], [f"{CALLBACK}/{n}" for n in range(21)],
     [f"{CALLBACK}/{n}" for n in range(10_000)]],
    ids=lambda uris: str(uris)[:40],
)  # fmt: skip
def test_redirect_uris_are_a_short_list_of_strings(register, uris):
    refused(register(redirect_uris=uris), "invalid_redirect_uri")


def test_an_application_type_is_one_of_two(register):
    refused(register(application_type="desktop"))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"text"', b"7", b"{", b'{"a": 1', b"\xff\xfe", b"\xef\xbb\xbf{}",
     b'{"client_name": "\xc3\x28"}', b"[" * 100_000, b'{"a":' * 100_000,
     b'{"n": ' + b"9" * 10_000 + b"}", b"redirect_uris=https://new.example/"],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(anonymous, body):
    refused(anonymous.post("/o/register/", body))


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
)
def test_a_body_of_another_type_is_refused(anonymous, kind):
    answer = anonymous.post("/o/register/", json.dumps({"redirect_uris": [CALLBACK]}), kind)
    assert "application/json" in refused(answer)


def test_ten_megabytes_are_refused_unread(anonymous):
    answer = anonymous.post("/o/register/", b'{"client_name": "' + b"x" * 10_000_000 + b'"}')
    assert answer.status_code == 413
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_registering_is_a_post(anonymous, method):
    assert getattr(anonymous, method)("/o/register/").status_code == 405


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["ᴘᴀᴡᴘʀɪɴᴛ", "Pɑwprint", "Pawpriп†", "Pawpr!nt", "Paw\u3164print",
     "Pawprint", "The PAWPRINT app", "P\u200bawprint", "Pаwprint Support", "Paw Print", "Ρawprint",
     "P-a-w-p-r-i-n-t", "Pawpr1nt", "Pavvprint", "Ｐａｗｐｒｉｎｔ", "P\u0301awprint"],
)  # fmt: skip
def test_nobody_may_pass_for_this_service(register, name):
    assert "our own" in refused(register(client_name=name))


def test_a_name_is_of_one_alphabet(register):
    assert "several alphabets" in refused(register(client_name="Ꮲawprint"))
    for name in ("Ветеринар", "Ärzte für Tiere", "猫カフェ Cat"):
        assert register(client_name=name, redirect_uris=[CALLBACK]).status_code == 201


@pytest.mark.parametrize(
    "name", ["Vet on Call", "vet on call", "Vеt оn Саll", "Vet\u202eon\u202c Call", "VetonCall"]
)
def test_nobody_may_pass_for_a_verified_app(register, app, name):
    app.is_verified = True
    app.save()
    answer = register(client_name=name)
    assert answer.status_code == 400
    assert "verified" in answer.json()["error_description"]


def test_the_name_of_an_app_that_nobody_verified_is_nobodys(register, app):
    assert register(client_name=app.name).status_code == 201


def test_what_nobody_sees_is_taken_out_of_a_name(registered):
    body = registered(client_name="  Dog\u202e\u200b\x1b\n  Walker\u2028\u00ad 🐕 ")
    assert body["client_name"] == "Dog Walker 🐕"


# --- Limits ---------------------------------------------------------------------------------------


def test_an_address_registers_so_many_apps_an_hour(register, anonymous, monkeypatch):
    monkeypatch.setattr(REGISTRATIONS, "amount", 2)
    assert [register().status_code for _ in range(3)] == [201, 201, 429]
    answer = register()
    assert answer.json()["error"] == "temporarily_unavailable"
    assert 0 < int(answer["Retry-After"]) <= 3600
    assert dynamic().count() == 2
    body = {"redirect_uris": [CALLBACK]}
    other = anonymous.post("/o/register/", body, REMOTE_ADDR="198.51.100.7")
    assert other.status_code == 201


def test_a_network_of_ipv6_counts_as_one_address(anonymous, monkeypatch):
    monkeypatch.setattr(REGISTRATIONS, "amount", 2)
    statuses = [
        anonymous.post(
            "/o/register/", {"redirect_uris": [CALLBACK]}, REMOTE_ADDR=address
        ).status_code
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8::abcd:3", "2001:db8:0:1::1")
    ]
    assert statuses == [201, 201, 429, 201]


def test_a_mistake_costs_nothing(register, monkeypatch):
    monkeypatch.setattr(REGISTRATIONS, "amount", 1)
    for _ in range(3):
        refused(register(redirect_uris=["javascript:alert(1)"]), "invalid_redirect_uri")
    assert register().status_code == 201


def test_registration_can_be_switched_off(register, registered, settings):
    body = registered()
    settings.OPEN_REGISTRATION = False
    answer = register()
    assert answer.status_code == 403
    assert answer.json()["error"] == "access_denied"
    # Whoever is registered can still leave.
    assert manager(body).delete(place(body)).status_code == 204


# --- Managing (RFC 7592) --------------------------------------------------------------------------


def test_an_app_reads_its_registration(registered):
    body = registered()
    answer = manager(body).get(place(body))
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    secret = {"client_secret", "client_secret_expires_at"}  # shown once
    assert answer.json() == {name: value for name, value in body.items() if name not in secret}


def test_what_was_read_can_be_sent_back(registered):
    body = registered(token_endpoint_auth_method="none", policy_uri="https://new.example/privacy")
    told = manager(body).get(place(body)).json()
    ours = ("registration_access_token", "registration_client_uri", "client_id_issued_at")
    sent = {name: value for name, value in told.items() if name not in ours}
    answer = manager(body).put(place(body), sent)
    assert answer.status_code == 200
    assert answer.json() == told


def test_an_app_replaces_its_registration_and_what_it_omits_is_reset(registered):
    body = registered(client_uri="https://new.example/", scope="pets:read")
    answer = manager(body).put(
        place(body),
        {
            "client_id": body["client_id"],
            "client_secret": body["client_secret"],
            "redirect_uris": ["https://new.example/other"],
        },
    )
    assert answer.status_code == 200
    told = answer.json()
    assert told["redirect_uris"] == ["https://new.example/other"]
    assert told["scope"].split() == list(SCOPES)
    assert "client_uri" not in told
    assert "client_name" not in told
    assert told["registration_access_token"] == body["registration_access_token"]
    app = stored(body)
    assert app.name == app.homepage_url == ""
    # The secret it has is the secret it had.
    answer = token_request(app, body["client_secret"], grant_type="client_credentials")
    assert answer.json()["error"] == "unauthorized_client"


def test_an_app_that_becomes_confidential_gets_a_secret_and_loses_it_again(registered):
    body = registered(token_endpoint_auth_method="none", grant_types=["authorization_code"])
    change = {"client_id": body["client_id"], "redirect_uris": [CALLBACK]}
    grants = {"grant_types": ["authorization_code", "client_credentials"]}
    told = manager(body).put(place(body), change | grants).json()
    assert told["client_secret_expires_at"] == 0
    secret = told["client_secret"]
    answer = token_request(stored(body), secret, grant_type="client_credentials")
    assert answer.status_code == 200
    told = manager(body).put(place(body), change | {"token_endpoint_auth_method": "none"}).json()
    assert "client_secret" not in told
    answer = token_request(stored(body), secret, grant_type="client_credentials")
    assert answer.status_code in {400, 401}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": None},
        {"client_id": "another"},
        {"client_id": 7},
        {"client_secret": "wrong"},
        {"client_secret": 7},
        {"client_secret": ""},
        {"registration_access_token": "x"},
        {"registration_client_uri": "https://new.example/"},
        {"client_secret_expires_at": 0},
        {"client_id_issued_at": 0},
        {"redirect_uris": ["javascript:alert(1)"]},
    ],
    ids=str,
)
def test_a_replacement_that_will_not_do_changes_nothing(registered, change):
    body = registered()
    before = dynamic().values().get()
    metadata = {"client_id": body["client_id"], "redirect_uris": ["https://new.example/x"]} | change
    answer = manager(body).put(
        place(body), {name: value for name, value in metadata.items() if value is not None}
    )
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_client_metadata", "invalid_redirect_uri"}
    assert dynamic().values().get() == before


def test_people_are_asked_again_by_an_app_with_another_name_or_address(
    registered, alice, alice_in_browser
):
    body = registered()
    app = stored(body)
    for change, asked in [
        ({"client_name": "Dog Walker", "scope": "pets:read"}, False),
        ({"client_name": "Cat Walker"}, True),
        ({"client_name": "Cat Walker", "redirect_uris": [CALLBACK, f"{CALLBACK}2"]}, True),
        ({"client_name": "Cat Walker"}, False),
    ]:
        consent(alice_in_browser, authorization_request(app))
        assert Consent.objects.count() == 1
        metadata = {"client_id": body["client_id"], "redirect_uris": [CALLBACK]} | change
        assert manager(body).put(place(body), metadata).status_code == 200
        assert Consent.objects.exists() is not asked


def test_staffs_word_about_an_app_ends_when_it_changes(registered):
    body = registered()
    dynamic().update(is_verified=True)
    metadata = {"client_id": body["client_id"], "redirect_uris": [CALLBACK]}
    manager(body).put(place(body), metadata | {"client_name": "Another"})
    assert not stored(body).is_verified


def test_an_app_takes_itself_and_all_it_holds_away(registered, alice, alice_in_browser):
    body = registered(grant_types=["authorization_code", DEVICE])
    app = stored(body)
    tokens = exchange(app, get_code(alice_in_browser, app), body["client_secret"]).json()
    DeviceGrant.objects.create(
        client_id=app.client_id, device_code="d", user_code="u", scope="", expires=timezone.now()
    )
    answer = manager(body).delete(place(body))
    assert answer.status_code == 204
    assert not answer.content
    assert not dynamic().exists()
    assert not DeviceGrant.objects.exists()
    assert bearer(tokens["access_token"]).get("/api/v1/me/").status_code == 401
    assert manager(body).get(place(body)).status_code == 401


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_a_wrong_token_is_answered_alike_for_known_and_unknown_apps(registered, method):
    body, other = registered(), registered()
    wrong = keys.generate_token(keys.REGISTRATION_TOKEN)
    answers = [
        getattr(bearer(token), method)(path)
        for token, path in [
            (wrong, place(body)),
            (wrong, "/o/register/unknown/"),
            (wrong, "/o/register/%00/"),
            (wrong, "/o/register/%F0%9F%90%95/"),
            (other["registration_access_token"], place(body)),
            (body["registration_access_token"], "/o/register/unknown/"),
            # What the database holds of a token is no token.
            (str(stored(body).registration_token), place(body)),
        ]
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["error"] for answer in answers} == {"invalid_token"}
    assert len({answer.content for answer in answers}) == 1
    assert all(answer["WWW-Authenticate"].startswith("Bearer") for answer in answers)
    assert answers[0]["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert dynamic().count() == 2


def test_without_a_token_the_challenge_names_no_error(registered, anonymous):
    answer = anonymous.get(place(registered()))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_other_credentials_manage_no_app(registered, alice, alice_in_browser, sam):
    body = registered()
    app = stored(body)
    sam_in_browser = ApiClient()
    sam_in_browser.force_login(sam)
    basic = SimpleNamespace(client_id=body["client_id"])
    assert token_request(basic, body["client_secret"], grant_type="none").status_code == 400
    for client in [
        bearer(make_token(alice, app)),
        bearer(body["client_secret"]),
        alice_in_browser,
        sam_in_browser,
    ]:
        assert client.get(place(body)).status_code == 401
        assert client.delete(place(body)).status_code == 401


def test_a_registration_access_token_opens_nothing_else(registered):
    body = registered(scope="pets:read")
    assert manager(body).get("/api/v1/me/").status_code == 401
    assert manager(body).get("/api/v1/pets/").status_code == 401
    assert manager(body).get("/o/userinfo/").status_code in {401, 403}
    answer = token_request(
        stored(body), body["registration_access_token"], grant_type="refresh_token"
    )
    assert answer.json()["error"] in {"invalid_client", "invalid_request"}


def test_only_apps_that_registered_themselves_are_managed_so(app):
    token = keys.generate_token(keys.REGISTRATION_TOKEN)
    app.registration_token = token
    app.save()
    assert bearer(token).get(f"/o/register/{app.client_id}/").status_code == 401


def test_an_app_that_staff_switched_off_manages_nothing(registered):
    body = registered()
    dynamic().update(is_active=False)
    assert manager(body).put(place(body), {"client_id": body["client_id"]}).status_code == 401


def test_an_app_sends_back_the_logo_it_was_told_or_loses_it(registered, settings):
    body = registered()
    ApplicationLogo.objects.create(application=stored(body), png=b"png")
    told = manager(body).get(place(body)).json()
    path = told["logo_uri"].removeprefix(settings.PUBLIC_URL)
    assert manager(body).get(path).content == b"png"
    metadata = {"client_id": body["client_id"], "redirect_uris": [CALLBACK]}
    manager(body).put(place(body), metadata | {"logo_uri": told["logo_uri"]})
    assert ApplicationLogo.objects.exists()
    manager(body).put(place(body), metadata)
    assert not ApplicationLogo.objects.exists()


# --- Clean-up -------------------------------------------------------------------------------------


def let_pass(time):
    dynamic().update(created=timezone.now() - time)


def test_an_app_that_nobody_used_for_a_week_is_deleted(registered):
    registered()
    let_pass(UNUSED_FOR - timedelta(hours=1))
    clear_expired_credentials.call()
    assert dynamic().count() == 1
    let_pass(UNUSED_FOR + timedelta(hours=1))
    clear_expired_credentials.call()
    assert not dynamic().exists()


def test_an_app_that_somebody_publishes_may_wait(app):
    Application.objects.update(created=timezone.now() - timedelta(days=365))
    clear_expired_credentials.call()
    assert Application.objects.filter(pk=app.pk).exists()


def hold_token(app, alice):
    make_token(alice, app)


def hold_consent(app, alice):
    Consent.objects.create(user=alice, application=app, scope="pets:read")


def hold_device_code(app, alice):
    DeviceGrant.objects.create(
        client_id=app.client_id,
        device_code="d",
        user_code="u",
        scope="",
        expires=timezone.now() + timedelta(minutes=5),
    )


def use_secret(app, alice):
    Application.objects.filter(pk=app.pk).update(secret_used_at=timezone.now())


def be_verified(app, alice):
    Application.objects.filter(pk=app.pk).update(is_verified=True)


def be_switched_off(app, alice):
    Application.objects.filter(pk=app.pk).update(is_active=False)


@pytest.mark.parametrize(
    "how", [hold_token, hold_consent, hold_device_code, use_secret, be_verified, be_switched_off]
)
def test_an_app_that_is_used_or_that_staff_judged_stays(registered, alice, how):
    how(stored(registered()), alice)
    registered(client_name="Nobody's")
    let_pass(timedelta(days=365))
    clear_expired_credentials.call()
    assert dynamic().count() == 1


def test_it_goes_when_what_it_held_has_expired(registered, alice):
    make_token(alice, stored(registered()), expires_in=timedelta(days=-40))
    let_pass(timedelta(days=30))
    clear_expired_credentials.call()
    assert not AccessToken.objects.exists()
    assert not dynamic().exists()
