"""What a developer types first: commands for a shell that work as copied, per kind of app."""

from shlex import quote
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from .presets import CODE, DEVICE, MACHINE
from .snippets import first_path


def first_steps(application, secret=None):
    """Return steps as `(sentence, commands)`; with `secret` in them where it is shown anyway."""
    lines = [
        f"export PAWPRINT_URL={settings.PUBLIC_URL}",
        f"export PAWPRINT_CLIENT_ID={quote(application.client_id)}",
    ]
    if application.is_confidential:
        lines.append(f"export PAWPRINT_CLIENT_SECRET={secret or '…'}")
    steps = [("Tell the shell which app this is.", lines)]
    grant_type = application.authorization_grant_type
    steps += {CODE: code, DEVICE: device, MACHINE: machine}[grant_type](application)
    steps.append(call(application))
    if grant_type != MACHINE:
        steps.append(refresh(application))
    if example := example_for(application):
        steps.append(
            ("Or see it happen, in the folder of the server.", [f".venv/bin/python {example}"])
        )
    return [(sentence, "\n".join(lines)) for sentence, lines in steps]


def scope_of(application):
    return application.default_scope or application.scope or "pets:read"


def example_for(application):
    """Return the program of examples/ that works as this app, if there is one."""
    grant_type = application.authorization_grant_type
    if grant_type == MACHINE:
        example, scopes = "examples/client_credentials.py", "pets:read pets:write"
    elif application.is_confidential:
        return None
    elif grant_type == DEVICE:
        example, scopes = "examples/device_code.py", "pets:read"
    elif "http://127.0.0.1/callback" in application.redirect_uris.split():
        example, scopes = "examples/authorization_code_pkce.py", "pets:read"
    else:
        return None
    return example if set(scopes.split()) <= set((application.scope or scopes).split()) else None


def path(name):
    return f'"$PAWPRINT_URL{reverse(f"oauth2_provider:{name}")}"'


def command(*parts):
    """One command over several lines."""
    return " \\\n  ".join(parts)


def identified(application):
    """How the app names itself at the token endpoint (RFC 6749 §2.3.1, §3.2.1)."""
    if application.is_confidential:
        return '-u "$PAWPRINT_CLIENT_ID:$PAWPRINT_CLIENT_SECRET"'
    return '--data-urlencode "client_id=$PAWPRINT_CLIENT_ID"'


def code(application):
    redirect_uris = application.redirect_uris.split()
    redirect_uri = redirect_uris[0] if redirect_uris else "https://app.example.org/callback"
    query = urlencode(
        {
            "response_type": "code",
            "client_id": application.client_id,
            "redirect_uri": redirect_uri,
            "scope": scope_of(application),
        },
        quote_via=url_quote,
    )
    return [
        (
            "PKCE (RFC 7636): make a secret for this one sign-in, the verifier. Its digest, the "
            "challenge, goes with the person; the verifier stays here, so that nobody else can "
            "use the code that comes back. The state shows that the answer is to this "
            "question.",
            [
                "VERIFIER=$(openssl rand -hex 32)",
                "STATE=$(openssl rand -hex 16)",
                command(
                    'CHALLENGE=$(printf %s "$VERIFIER" | openssl dgst -sha256 -binary',
                    "| openssl base64 | tr '+/' '-_' | tr -d '=')",
                ),
            ],
        ),
        (
            "Open the address that this prints. Once you have agreed it sends you on with "
            "?code=… and the state. If nothing listens there, the browser shows an error: copy "
            "the code from the address bar.",
            [
                command(
                    f'printf "%s" "$PAWPRINT_URL{reverse("oauth2_provider:authorize")}"',
                    f"{quote(f'?{query}')}",
                    '"&state=$STATE&code_challenge=$CHALLENGE"',
                    "'&code_challenge_method=S256'; echo",
                )
            ],
        ),
        (
            "Turn the code into tokens, within a minute and once. It is sent only if the state "
            "is the one that went out.",
            [
                "CODE=…",
                "STATE_THAT_CAME=…",
                command(
                    '[ "$STATE_THAT_CAME" = "$STATE" ] &&',
                    f"curl {identified(application)}",
                    "-d grant_type=authorization_code",
                    '-d "code=$CODE" -d "code_verifier=$VERIFIER"',
                    f"--data-urlencode {quote(f'redirect_uri={redirect_uri}')}",
                    path("token"),
                ),
            ],
        ),
    ]


def device(application):
    scope = quote(f"scope={scope_of(application)}")
    return [
        (
            "Ask for the codes. The device shows its user_code and verification_uri.",
            [
                command(
                    f"curl {identified(application)}",
                    f"--data-urlencode {scope}",
                    path("device-authorization"),
                )
            ],
        ),
        (
            "While somebody types the code, ask for the tokens every interval seconds.",
            [
                "DEVICE_CODE=…",
                command(
                    f"curl {identified(application)}",
                    f"--data-urlencode {quote(f'grant_type={DEVICE}')}",
                    '-d "device_code=$DEVICE_CODE"',
                    path("token"),
                ),
            ],
        ),
    ]


def machine(application):
    scope = quote(f"scope={scope_of(application)}")
    return [
        (
            "Get a token. It lives for a quarter of an hour; then ask again.",
            [
                command(
                    f"curl {identified(application)}",
                    "-d grant_type=client_credentials",
                    f"--data-urlencode {scope}",
                    path("token"),
                )
            ],
        )
    ]


def call(application):
    """The call that what it gets by default is enough for."""
    scope = scope_of(application)
    return (
        "Call the API with the access_token.",
        [
            "TOKEN=…",
            f'curl -H "Authorization: Bearer $TOKEN" "$PAWPRINT_URL{first_path(scope)}"',
        ],
    )


def refresh(application):
    return (
        "The token lives for a quarter of an hour. Then the refresh_token brings new ones, without "
        "the person; each works once.",
        [
            "REFRESH_TOKEN=…",
            command(
                f"curl {identified(application)}",
                "-d grant_type=refresh_token",
                '-d "refresh_token=$REFRESH_TOKEN"',
                path("token"),
            ),
        ],
    )
