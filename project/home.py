"""The home page: what this is, how much is in it, and a first step for each kind of visitor."""

from datetime import timedelta
from shlex import quote
from urllib.parse import urlencode

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from accounts.counting import remembered
from accounts.first_steps import scope_of
from accounts.models import ApiKey, Application, User
from api.models import PetCount

NUMBERS_LAST = 60  # seconds; counting people reads every row
DEMO_KEY = {"name": "home page demo", "scopes": ["pets:read", "pets:write"]}
DEMO_KEY_LIVES = timedelta(days=1)


def home(request):
    """What this is, and a first step for each kind of visitor."""
    return page(request)


def page(request, key=None, refusal="", status=200):
    """Answer the home page; with `key`, its commands use it."""
    context = {
        "numbers": numbers(),
        "commands": commands(settings.PUBLIC_URL, request.user, key),
        "key": key,
        "refusal": refusal,
    }
    return render(request, "home.html", context, status=status)


@never_cache
@login_required
@reauthentication_required(allow_get=True)
def demo_key(request):
    """Make a key of the visitor's for the commands on the page, and show it in this answer alone.

    One at a time: the former one ends.
    """
    if request.method != "POST":
        return redirect("home")
    try:
        with transaction.atomic():
            # Locked: of two that are made at once, the second sees the first.
            user = User.objects.select_for_update().get(pk=request.user.pk)
            for former in ApiKey.objects.live().filter(user=user, name=DEMO_KEY["name"]):
                former.revoke()
            _, key = ApiKey.objects.create_key(user, **DEMO_KEY, expires_in=DEMO_KEY_LIVES)
    except ValidationError as error:
        return page(request, refusal=" ".join(error.messages), status=409)
    return page(request, key)


def numbers():
    """Return how much is registered, as far as anybody may know: `[("1,234", "pets")]`."""

    def count():
        pets = PetCount.objects.visible_to(None).aggregate(
            pets=Coalesce(Sum("number"), 0),
            species=Count("species", distinct=True, filter=Q(number__gt=0)),
        )
        people = User.objects.filter(is_active=True).aggregate(
            people=Count("pk", filter=Q(is_organization=False)),
            organisations=Count("pk", filter=Q(is_organization=True)),
        )
        return pets | people

    counts = remembered("home:numbers", count, NUMBERS_LAST)
    words = {
        "pets": ("pet", "pets"),
        "people": ("person", "people"),
        "organisations": ("organisation", "organisations"),
        "species": ("species", "species"),
    }
    return [
        (f"{counts[name]:,}", one if counts[name] == 1 else many)
        for name, (one, many) in words.items()
    ]


def newest_app(user):
    """Return the newest app of theirs that people are sent to, None without one."""
    if not user.is_authenticated:
        return None
    return Application.objects.filter(
        user=user,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        is_active=True,
        is_suspended=False,
    ).last()


def commands(url, user, key=None):
    """Return what the page's commands are made of: each a list of lines, and the app they are of.

    They work as copied in the server's folder.
    """
    app = newest_app(user)
    authorize = {
        "response_type": "code",
        "client_id": app.client_id if app else "my-app",
        "redirect_uri": app.redirect_uris.split()[0] if app else "http://127.0.0.1/callback",
        "scope": scope_of(app) if app else "pets:read",
        # The example of RFC 7636 Appendix B, whose verifier anybody can look up.
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    manage = ".venv/bin/python manage.py"
    who = user.get_username() if user.is_authenticated else "user1"
    return {
        "app": app,
        "species": [f"curl {url}/api/v1/species/"],
        "register_app": [
            f"{manage} createapplication",
            "public authorization-code",
            '--name "My app" --client-id my-app',
            "--redirect-uris http://127.0.0.1/callback",
        ],
        "authorize_url": [f"{url}/o/authorize/?{urlencode(authorize)}"],
        "exchange": [
            f'curl -u "{app.client_id}:$PAWPRINT_CLIENT_SECRET"'
            if app and app.is_confidential
            else f"curl -d client_id={authorize['client_id']}",
            '-d grant_type=authorization_code -d "code=$CODE"',
            # The verifier that the challenge is of.
            "-d code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            f"--data-urlencode {quote('redirect_uri=' + authorize['redirect_uri'])}",
            f"{url}/o/token/",
        ],
        "run_example": [
            f"PAWPRINT_URL={url}",
            "PAWPRINT_CLIENT_ID=my-app",
            ".venv/bin/python examples/authorization_code_pkce.py",
        ],
        "create_key": [f"export KEY={key}"]
        if key
        else [
            f"export KEY=$({manage}",
            f'create_api_key {who} --name "my script"',
            '--scope "pets:read pets:write")',
        ],
        "list_pets": [
            'curl -H "X-API-Key: $KEY"',
            f'"{url}/api/v1/pets/?species=dog"',
        ],
        "create_pet": [
            'curl -H "X-API-Key: $KEY"',
            '-H "Content-Type: application/json"',
            """-d '{"name": "Rex", "species": "dog"}'""",
            f"{url}/api/v1/pets/",
        ],
        "health": [f"curl {url}/health/ready"],
        "check": [f"{manage} check"],
    }
