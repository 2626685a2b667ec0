"""The Content-Security-Policy of every answer: what a page of ours may run, load and send."""

import re

import pytest

HTML = {"Accept": "text/html"}


def policy(answer):
    """Return the policy of an answer as `{directive: [sources]}`."""
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return {name: sources for name, *sources in (text.split() for text in directives)}


@pytest.mark.django_db
def test_only_scripts_with_the_nonce_of_the_answer_run(client):
    answers = [client.get("/", headers=HTML) for _ in range(2)]
    nonces = set()
    for answer in answers:
        (source,) = policy(answer)["script-src"]
        nonce = re.fullmatch(r"'nonce-([\w+/=]{20,})'", source)[1]
        scripts = re.findall(r"<script\b[^>]*>", answer.content.decode())
        assert scripts
        assert all(f'nonce="{nonce}"' in script for script in scripts)
        nonces.add(nonce)
    assert len(nonces) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/docs/", "/api/v1/pets/", "/accounts/login/", "/nowhere/"])
def test_nothing_is_loaded_from_elsewhere_nor_inline_and_no_page_frames_ours(client, path):
    rules = policy(client.get(path, headers=HTML))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == ["'none'"]
    everything = " ".join(source for sources in rules.values() for source in sources)
    assert "unsafe" not in everything
    assert "http" not in everything
    assert "*" not in everything


@pytest.mark.django_db
def test_the_api_s_data_has_the_policy_too(alice_with_key):
    rules = policy(alice_with_key.get("/api/v1/pets/"))
    assert rules["script-src"] == [], "JSON has no script"
    assert rules["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize(
    ("path", "leads_on"),
    [
        ("/accounts/login/?next=/o/authorize/", True),
        ("/accounts/signup/", True),
        ("/o/authorize/", True),
        ("/accounts/apps/", False),
        ("/api/v1/pets/", False),
        ("/", False),
    ],
)
def test_forms_go_to_us_alone_except_where_the_answer_may_lead_on_to_an_app(
    alice_in_browser, client, path, leads_on
):
    who = client if "login" in path or "signup" in path else alice_in_browser
    rules = policy(who.get(path, headers=HTML))
    assert rules.get("form-action") == (None if leads_on else ["'self'"])


def test_the_admin_keeps_django_s_own_scripts(sam, client):
    client.force_login(sam)
    assert policy(client.get("/admin/"))["script-src"] == ["'self'"]
