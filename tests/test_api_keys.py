"""API keys: how they are made, kept, recognised and refused (the access table has the rest)."""

import re
import zlib
from datetime import timedelta
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey

from .conftest import ApiClient, make_key, with_key


def create_api_key(*arguments):
    """Run the command; return what it prints on stdout and on stderr."""
    out, err = StringIO(), StringIO()
    call_command("create_api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_the_key_once_and_alone_on_stdout(alice):
    out, err = create_api_key("alice", "--name", "cron", "--scope", "pets:read pets:write")
    key = out.strip()
    assert re.fullmatch(r"paw_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", key)
    assert key not in err
    assert with_key(key).get("/api/v1/me/").json()["credential"] == {
        "kind": "key",
        "name": "cron",
        "scopes": ["pets:read", "pets:write"],
        "expires_at": ApiKey.objects.get().expires_at.isoformat().replace("+00:00", "Z"),
    }


def test_a_key_lives_ninety_days_unless_said(alice):
    create_api_key("alice", "--name", "a", "--scope", "pets:read")
    create_api_key("alice", "--name", "b", "--scope", "pets:read", "--expires-in-days", "7")
    b, a = ApiKey.objects.all()
    now = timezone.now()
    assert timedelta(days=89, hours=23) < a.expires_at - now < timedelta(days=90, minutes=1)
    assert timedelta(days=6, hours=23) < b.expires_at - now < timedelta(days=7, minutes=1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nobody", "--name", "x", "--scope", "pets:read"], "no user 'nobody'"),
        (["alice", "--name", "x", "--scope", "pets:fly"], "scope: Unknown scope: pets:fly"),
        (["alice", "--name", "x", "--scope", ""], "scope"),
        (["alice", "--name", "x", "--scope", "pets:read", "--expires-in-days", "367"], "366 days"),
        (["alice", "--name", "x", "--scope", "pets:read", "--expires-in-days=-999999999"], "366"),
        (["alice", "--name", "x", "--scope", "pets:read", "--expires-in-days", "0"], "366 days"),
        (
            ["alice", "--name", "x", "--scope", "pets:read", "--expires-in-days", "9" * 20],
            "366 days",
        ),
        (
            ["alice", "--name", "x", "--scope", "pets:read", "--allowed-ip", "300.1.1.1"],
            "allowed_ips",
        ),
        (["alice", "--name", "x" * 101, "--scope", "pets:read"], "name"),
    ],
)
def test_the_command_says_what_is_wrong_and_makes_nothing(alice, arguments, complaint):
    with pytest.raises(CommandError, match=complaint):
        create_api_key(*arguments)
    assert not ApiKey.objects.exists()


def test_the_command_makes_no_more_live_keys_than_one_account_can_have(alice, bob):
    for _ in range(ApiKey.MOST_PER_USER):
        make_key(alice)
    arguments = ["--name", "x", "--scope", "pets:read"]
    with pytest.raises(CommandError, match=r"There are 25 live keys, .* revoke one first"):
        create_api_key("alice", *arguments)
    create_api_key("bob", *arguments)
    ApiKey.objects.filter(user=alice).first().revoke()
    create_api_key("alice", *arguments)


def test_only_a_digest_is_stored(alice):
    api_key, key = make_key(alice)
    secret = key.rpartition("_")[2]
    api_key.refresh_from_db()
    assert all(secret not in str(value) for value in vars(api_key).values())


def test_a_row_without_a_digest_cannot_exist(alice):
    make_key(alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.update(digest="")


def test_every_key_differs_and_its_secret_has_256_bits():
    made = {keys.generate()[0] for _ in range(1000)}
    assert len(made) == 1000
    assert len(keys.ALPHABET) ** keys.SECRET_LENGTH >= 2**256


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key[:20] + ("A" if key[20] != "A" else "B") + key[21:],
        lambda key: key[:-1],
        lambda key: key + "A",
        lambda key: key.replace("paw_", "paw_x"),
        lambda key: "paw_",
        lambda key: "paw_" + "é" * 62,
    ],
)
def test_a_mistyped_key_is_refused_without_a_query(alice, spoil, django_assert_num_queries):
    spoiled = spoil(make_key(alice)[1])
    client = ApiClient(headers={"X-API-Key": spoiled})
    with django_assert_num_queries(0):
        assert client.get("/api/v1/pets/").status_code == 401


def test_a_well_formed_key_that_was_never_made_answers_like_a_wrong_one(alice):
    api_key, _ = make_key(alice)
    stranger, _ = keys.generate()
    body = f"{keys.PREFIX}{api_key.key_id}_{stranger[17:-6]}"
    forged = body + keys.checksum(body)
    answers = [with_key(k).get("/api/v1/pets/").json() for k in (stranger, forged)]
    assert [answer["status"] for answer in answers] == [401, 401]
    assert answers[0]["detail"] == answers[1]["detail"]


def test_last_use_is_written_at_most_once_a_minute(alice, django_assert_num_queries):
    api_key, key = make_key(alice)
    client = with_key(key)
    client.get("/api/v1/me/")
    api_key.refresh_from_db()
    assert api_key.last_used_ip == "127.0.0.1"
    used = api_key.last_used_at
    assert timezone.now() - used < timedelta(seconds=30)
    with django_assert_num_queries(1):  # the key with its user
        client.get("/api/v1/me/")
    ApiKey.objects.update(last_used_at=used - timedelta(seconds=61))
    client.get("/api/v1/me/")
    api_key.refresh_from_db()
    assert api_key.last_used_at >= used


def test_a_revoked_key_stops_at_once(alice):
    api_key, key = make_key(alice)
    assert with_key(key).get("/api/v1/me/").status_code == 200
    api_key.revoke()
    assert with_key(key).get("/api/v1/me/").status_code == 401


def test_a_key_is_bound_to_its_addresses(alice):
    _, key = make_key(alice, allowed_ips=["10.0.0.0/8", "2001:db8::1"])
    client = with_key(key)
    assert client.get("/api/v1/me/", REMOTE_ADDR="10.1.2.3").status_code == 200
    assert client.get("/api/v1/me/", REMOTE_ADDR="2001:db8::1").status_code == 200
    assert client.get("/api/v1/me/", REMOTE_ADDR="::ffff:10.1.2.3").status_code == 200
    assert client.get("/api/v1/me/", REMOTE_ADDR="11.1.2.3").status_code == 401
    assert client.get("/api/v1/me/", REMOTE_ADDR="").status_code == 401


def test_a_claimed_address_does_not_help(alice, settings):
    _, key = make_key(alice, allowed_ips=["10.0.0.1"])
    claim = {"HTTP_X_FORWARDED_FOR": "10.0.0.1", "REMOTE_ADDR": "192.0.2.1"}
    assert with_key(key).get("/api/v1/me/", **claim).status_code == 401
    settings.TRUSTED_PROXY_COUNT = 1
    assert with_key(key).get("/api/v1/me/", **claim).status_code == 200
    claim["HTTP_X_FORWARDED_FOR"] = "10.0.0.1, 203.0.113.9"
    assert with_key(key).get("/api/v1/me/", **claim).status_code == 401


def test_a_key_outlives_a_new_pepper_and_not_the_loss_of_its_own(alice, settings):
    _, key = make_key(alice)
    settings.CREDENTIAL_PEPPERS = settings.CREDENTIAL_PEPPERS | {2: "p" * 32}
    assert with_key(key).get("/api/v1/me/").status_code == 200
    assert make_key(alice)[0].pepper == 2
    settings.CREDENTIAL_PEPPERS = {2: "p" * 32}
    assert with_key(key).get("/api/v1/me/").status_code == 401


@pytest.mark.parametrize("field", ["scope", "expires_at", "allowed_ips", "user"])
def test_what_widens_a_key_is_out_of_reach_of_staff_pages(field, sam, alice, rf):
    from django.contrib import admin

    from accounts.admin import ApiKeyAdmin

    page = ApiKeyAdmin(ApiKey, admin.site)
    rf_request = rf.get("/")
    rf_request.user = sam
    assert field in page.get_readonly_fields(rf_request)
    assert not page.has_add_permission(rf_request)


def test_a_key_cannot_be_changed_into_a_wider_one(alice):
    api_key, _ = make_key(alice, "pets:read")
    api_key.scope = "pets:read pets:write"
    with pytest.raises(ValidationError, match="fixed"):
        api_key.save()


def test_the_checksum_is_crc32_in_base_62():
    assert keys.checksum("") == "000000"
    assert keys.checksum("paw_") == "2nS92p"
    assert len(keys.checksum("x" * 1000)) == 6
    for number in range(200):
        text = str(number)
        assert keys.checksum(text) == keys.in_base_62(zlib.crc32(text.encode()), 6)
