"""Every page a person can reach, each listed once, and the world in which it has something to show.

`python manage.py shell -c "from tests.pages import fill; fill()"` makes that world on a running
server's database and prints what the addresses of PAGES are filled in with, as JSON.
"""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from api.errors import PROBLEMS
from project.docs import GUIDES

KEEPER = "keeper.of-the-longest.user+name"  # has one of everything
NEWCOMER = "newcomer"  # has nothing yet
GUARDED = "guarded"  # needs a second factor to sign in
STRANGER = "stranger"  # has no password
STAFF = "sam"
PASSWORD = "correct-horse-battery-staple"

AUTHORIZE = "/o/authorize/?" + urlencode(
    {
        "response_type": "code",
        "client_id": "every-page",
        "redirect_uri": "https://vet.example/callback",
        "scope": "pets:read pets:write",
        "state": "xyz",
        # RFC 7636 Appendix B
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
)


@dataclass(frozen=True)
class Page:
    """A page at `path`, as `who` sees it once `after` was done there.

    `{names}` in the path are those of fill().  `who` None is a visitor with a browser of their own
    for this page.
    """

    path: str
    who: str | None = None
    state: str = ""
    status: int = 200
    after: Callable | None = None

    def __str__(self):
        path = re.sub(r"\?.*", "?", self.path)
        return " ".join(filter(None, [path, self.who and f"for {self.who}", self.state]))


def press(name, role="button"):
    """Press the button called `name`, and wait for what it leads to."""

    def pressed(page):
        page.get_by_role(role, name=name).first.click()
        page.wait_for_load_state()

    return pressed


SEND = """form => {
  form.noValidate = true;
  form.requestSubmit(form.querySelector("button:not([type=button])"));
}"""


def submit(**fields):
    """Send the page's form with these fields, whatever the browser would say of them."""

    def submitted(page):
        for name, value in fields.items():
            field = page.locator(f"main [name={name}]:not([type=radio], [type=hidden])").first
            field.fill(value)
        form = field.locator("xpath=ancestor::form")
        with page.expect_navigation():
            form.evaluate(SEND)

    return submitted


SWAGGER = "**/swagger-ui-bundle*"


def held_back(page):
    """Let Swagger UI never come: the list of calls is what is looked at."""
    page.route(SWAGGER, lambda route: None)


def in_use(page):
    """Begin to use the page, which starts Swagger UI."""
    page.unroute(SWAGGER)
    page.mouse.move(10, 10)
    page.locator(".opblock").first.wait_for()


def settled(selector):
    """Wait until a script has drawn `selector`."""
    return lambda page: page.locator(selector).first.wait_for()


def opened(page):
    """Open all that is folded."""
    page.locator("details:not([open]) > summary").evaluate_all("all => all.forEach(s => s.click())")


def in_turn(*steps):
    def done(page):
        for step in steps:
            step(page)

    return done


sign_in_halfway = submit(login=GUARDED, password=PASSWORD)


def make_a_key(page):
    page.get_by_label("Name", exact=True).fill("Made by a test")
    page.locator("[name=scope]").first.check()
    page.get_by_role("button", name="Make the key").click()
    page.wait_for_load_state()


def in_each_tab(path, *names):
    return [Page(path, KEEPER, name, after=press(name, "tab")) for name in names]


PAGES = [
    Page("/"),
    Page("/", KEEPER),
    Page("/", NEWCOMER),
    Page("/", NEWCOMER, "with a key", after=press("Make a key for today and fill it in")),
    Page("/", STAFF, "with the menu open", after=opened),
    # Documentation
    Page("/docs/", state="as a list", after=held_back),
    Page("/docs/", state="in use", after=in_use),
    Page("/docs/redoc/", after=settled("#redoc h1")),
    Page("/docs/conformance/"),
    Page("/docs/guides/"),
    *(Page(f"/docs/guides/{slug}/") for slug in GUIDES),
    Page("/docs/guides/script/", KEEPER),
    Page("/docs/problems/"),
    *(Page(f"/docs/problems/{code}/") for code in PROBLEMS),
    # Signing in and up
    Page("/accounts/login/"),
    Page("/accounts/login/", state="refused", after=submit(login="nobody", password="wrong")),
    Page("/accounts/signup/"),
    Page(
        "/accounts/signup/",
        state="refused",
        after=submit(username="a b", email="nothing", password1="short", password2="other"),
    ),
    Page("/accounts/2fa/authenticate/", after=sign_in_halfway),
    Page(
        "/accounts/2fa/authenticate/",
        state="refused",
        after=in_turn(sign_in_halfway, submit(code="000000")),
    ),
    Page("/accounts/inactive/"),
    Page("/accounts/password/reset/"),
    Page("/accounts/password/reset/", state="refused", after=submit(email="nothing")),
    Page("/accounts/password/reset/done/"),
    Page("{reset}"),
    Page("/accounts/password/reset/key/1-made-up/", state="refused"),
    Page("/accounts/password/reset/key/done/"),
    Page("/accounts/confirm-email/"),
    Page("{confirm}"),
    Page("/accounts/confirm-email/made-up/", state="refused"),
    # An account
    Page("/accounts/logout/", KEEPER),
    Page("/accounts/reauthenticate/", KEEPER),
    Page("/accounts/2fa/reauthenticate/", KEEPER),
    Page("/accounts/2fa/webauthn/reauthenticate/", KEEPER),
    Page("/accounts/email/", KEEPER),
    Page("/accounts/email/", KEEPER, "refused", after=submit(email="nothing")),
    Page("/accounts/password/change/", KEEPER),
    Page("/accounts/password/change/", KEEPER, "refused", after=submit(oldpassword="wrong")),
    Page("/accounts/password/set/", STRANGER),
    Page("/accounts/2fa/", KEEPER),
    Page("/accounts/2fa/", NEWCOMER),
    Page("/accounts/2fa/totp/activate/", NEWCOMER),
    Page("/accounts/2fa/totp/activate/", NEWCOMER, "refused", after=submit(code="000000")),
    Page("/accounts/2fa/totp/deactivate/", KEEPER),
    Page("/accounts/2fa/recovery-codes/", KEEPER),
    Page("/accounts/2fa/recovery-codes/generate/", KEEPER),
    Page("/accounts/2fa/webauthn/", KEEPER),
    Page("/accounts/2fa/webauthn/", NEWCOMER),
    Page("/accounts/2fa/webauthn/add/", NEWCOMER),
    Page("/accounts/2fa/webauthn/keys/{passkey}/edit/", KEEPER),
    Page("/accounts/2fa/webauthn/keys/{passkey}/remove/", KEEPER),
    Page("/accounts/sessions/", KEEPER),
    Page("/accounts/delete/", KEEPER),
    Page("/accounts/delete/", KEEPER, "refused", after=submit(username="somebody")),
    # API keys
    Page("/accounts/keys/", KEEPER, "opened", after=opened),
    Page("/accounts/keys/", STRANGER),
    Page("/accounts/keys/new/", KEEPER),
    Page("/accounts/keys/new/", KEEPER, "refused", after=submit(allowed_ips="nowhere")),
    Page("/accounts/keys/new/", KEEPER, "shown", after=make_a_key),
    Page("/accounts/keys/shown/{key_id}/", KEEPER, "again"),
    Page("/accounts/keys/{key}/", KEEPER),
    Page("/accounts/keys/{leaked_key}/", KEEPER, "that leaked"),
    Page("/accounts/keys/{ended_key}/", KEEPER, "that ended"),
    Page("/accounts/keys/{key}/rotate/", KEEPER),
    Page("/accounts/keys/{ending_key}/rotate/", KEEPER, "done", after=press("Make the new key")),
    Page("/accounts/keys/{key}/revoke/", KEEPER),
    # Apps that one publishes
    Page("/accounts/apps/", KEEPER),
    Page("/accounts/apps/", NEWCOMER),
    Page("/accounts/apps/new/", KEEPER),
    *(
        Page(f"/accounts/apps/new/?preset={preset}", KEEPER, preset)
        for preset in ("web", "browser", "native", "device", "machine")
    ),
    Page("/accounts/apps/new/?preset=web", KEEPER, "refused", after=submit(redirect_uris="http:x")),
    Page("/accounts/apps/{app}/", KEEPER),
    Page("/accounts/apps/{app}/edit/", KEEPER),
    Page("/accounts/apps/{app}/secret/", KEEPER),
    Page("/accounts/apps/{machine}/secret/", KEEPER, "shown", after=press("Make a new secret")),
    Page("/accounts/apps/{two_secrets}/", KEEPER, "with two secrets"),
    Page("/accounts/apps/{two_secrets}/secret/older/", KEEPER),
    Page("/accounts/apps/{app}/revoke/", KEEPER),
    Page("/accounts/apps/{app}/delete/", KEEPER),
    # Apps that one lets in
    Page("/accounts/connections/", KEEPER),
    Page("/accounts/connections/", NEWCOMER),
    Page(AUTHORIZE, KEEPER),
    Page(AUTHORIZE.replace("every-page", "nobody"), KEEPER, "refused", 400),
    Page("/o/device/", KEEPER),
    Page("/o/device/", KEEPER, "refused", after=submit(user_code="BBBB-BBBB")),
    Page("/o/device-confirm/every-page/{user_code}", KEEPER),
    Page("/o/device-grant-status/every-page/{user_code_done}", KEEPER),
    Page("/o/logout/", KEEPER),
    # The browsable API
    Page("/api/v1/"),
    Page("/api/v1/", KEEPER),
    Page("/api/v1/me/", KEEPER),
    *in_each_tab("/api/v1/me/", "Edit", "JSON", "Request"),
    Page("/api/v1/species/"),
    Page("/api/v1/breeds/", KEEPER),
    Page("/api/v1/pets/", KEEPER),
    *in_each_tab("/api/v1/pets/", "New", "JSON", "Request"),
    Page("/api/v1/pets/", KEEPER, "not made", after=in_turn(press("New", "tab"), press("Create"))),
    Page("/api/v1/pets/", KEEPER, "to be filtered", after=opened),
    Page("/api/v1/pets/?species=dog&ordering=name&page_size=2", KEEPER, "filtered"),
    Page("/api/v1/pets/?species=horse&q=nothing-is-called-this", KEEPER, "empty"),
    Page("/api/v1/pets/?species=unicorn", KEEPER, "refused", 400),
    Page("/api/v1/pets/", state="asked to sign in", status=401),
    Page("/api/v1/pets/stats/", KEEPER),
    Page("/api/v1/pets/{pet}/", KEEPER),
    *in_each_tab("/api/v1/pets/{pet}/", "Edit", "JSON", "Request"),
    Page("/api/v1/pets/{pet}/", KEEPER, "about to be deleted", after=press("Delete")),
    Page("/api/v1/pets/{pet}/", NEWCOMER),
    Page("/api/v1/pets/999999999/", KEEPER, "not there", 404),
    Page("/api/v1/users/", KEEPER),
    Page(f"/api/v1/users/{KEEPER}/", NEWCOMER),
    Page(f"/api/v1/users/{KEEPER}/pets/", NEWCOMER),
    Page("/api/nowhere/", state="not there", status=404),
    # What went wrong
    Page("/nothing/here/", state="not there", status=404),
    *(Page(f"/broken/{status}/", status=status) for status in (400, 403, 429, 500)),
]

# Addresses that a program asks, or a form posts to: there is nothing to look at.
NOT_PAGES = [
    "/api/v1/schema/",
    "/docs/oauth2-redirect/",
    "/o/token/",
    "/o/revoke_token/",
    "/o/introspect/",
    "/o/device-authorization/",
    "/o/register/",
    "/o/register/any/",
    "/o/userinfo/",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/api/v1",
    "/.well-known/jwks.json",
    "/accounts/apps/{app}/switch/",
    "/accounts/apps/{app}/logo.png",
    "/accounts/connections/{app}/",
    "/accounts/sessions/1/",
    "/accounts/2fa/recovery-codes/download/",
    "/accounts/2fa/webauthn/login/",
    "/accounts/keys/{key}/switch/",
    "/demo-key/",
    "/api/v1/credentials/report/",
    "/.well-known/security.txt",
    "/llms.txt",
    "/robots.txt",
    "/accounts/login/code/confirm/",  # signing in by a code is switched off
    "/health/live",
    "/health/ready",
]


def fill():
    """Make the world, and print it as one line of JSON."""
    from allauth.account.forms import default_token_generator
    from allauth.account.models import EmailAddress, EmailConfirmationHMAC
    from allauth.account.utils import user_pk_to_url_str
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
    from django.test import Client
    from django.utils import timezone

    from accounts.models import ApiKey, Application, Consent, DeviceGrant, User
    from api.models import Pet

    def person(name, password=PASSWORD, **fields):
        user = User.objects.create_user(name, f"{name}@example.org", password, **fields)
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return user

    keeper = person(KEEPER, display_name="The Keeper", bio="Keeps what every page shows.")
    newcomer, guarded = person(NEWCOMER), person(GUARDED)
    staff = person(STAFF, is_staff=True, is_superuser=True)
    stranger = person(STRANGER, password=None)
    second = EmailAddress.objects.create(user=keeper, email="second@example.org")
    for user in (keeper, guarded):
        TOTP.activate(user, generate_totp_secret())
        RecoveryCodes.activate(user)
    add_passkey(keeper, "Laptop")

    pet = Pet.objects.create(
        owner=keeper,
        name="Sir Barksalot of the Unbreakablelongname",
        species="dog",
        breed="Retriever, Labrador",
        tags=["friendly", "vaccinated"],
        description="A <b>good</b> dog.\nSee https://example.org/barks?a=1&b=2",
        birth_date="2020-02-29",
        microchip="985112345678901",
        status="lost",
        postal_code="98101",
    )
    Pet.objects.create(owner=keeper, name="", species="cat", is_public=False)

    code = {"authorization_grant_type": "authorization-code", "client_type": "confidential"}
    here = {"redirect_uris": "https://vet.example/callback"}
    app = Application.objects.create(
        **code, **here, user=keeper, name="Vet on Call", client_id="every-page", is_verified=True
    )
    machine = Application.objects.create(
        user=keeper,
        name="Census",
        client_type="confidential",
        authorization_grant_type="client-credentials",
    )
    two_secrets = Application.objects.create(**code, **here, user=keeper, name="Two Secrets")
    two_secrets.rotate_secret()
    let_in = Application.objects.create(**code, **here, user=staff, name="Walks & <i>Treats</i>")
    Consent.objects.create(user=keeper, application=let_in, scope="pets:read pets:write")

    days = timedelta(days=1)
    key, _ = ApiKey.objects.create_key(keeper, "Nightly <export>", ["pets:read", "pets:write"])
    ending, _ = ApiKey.objects.create_key(keeper, "Ends soon", ["pets:read"], expires_in=2 * days)
    ended, _ = ApiKey.objects.create_key(
        keeper, "Bound", ["email"], allowed_ips=["192.0.2.0/24", "2001:db8::/32"]
    )
    ended.revoke()
    leaked, _ = ApiKey.objects.create_key(keeper, "In a public repository", ["pets:write"])
    leaked.exposed_at = leaked.disabled_at = timezone.now()
    leaked.exposed_how = ApiKey.Exposure.REPORTED
    leaked.save()
    key.last_used_at = timezone.now()
    key.save()

    def device(code, **fields):
        DeviceGrant.objects.create(
            user=keeper,
            device_code=secrets.token_hex(15),
            user_code=code,
            client_id=app.client_id,
            scope="pets:read users:read",
            expires=timezone.now() + days,
            **fields,
        )
        return code

    def cookie(user):
        client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux) Chromium"})
        client.force_login(user)
        session = client.session
        session["signed_in_at"] += 3600  # however long the test takes, it stays lately
        session.save()
        return client.cookies["sessionid"].value

    reset = f"{user_pk_to_url_str(newcomer)}-{default_token_generator.make_token(newcomer)}"
    world = {
        "pet": pet.pk,
        "app": app.pk,
        "machine": machine.pk,
        "two_secrets": two_secrets.pk,
        "key": key.pk,
        "key_id": key.key_id,
        "leaked_key": leaked.pk,
        "ended_key": ended.pk,
        "ending_key": ending.pk,
        "user_code": device("BCDFGHJK"),
        "user_code_done": device("LMNPQRST", status=DeviceGrant.AUTHORIZED),
        "reset": f"/accounts/password/reset/key/{reset}/",
        "confirm": f"/accounts/confirm-email/{EmailConfirmationHMAC(second).key}/",
        "passkey": keeper.authenticator_set.get(type="webauthn").pk,
        "broken": {status: broken(status) for status in (400, 403, 429, 500)},
        "cookies": {user.username: cookie(user) for user in (keeper, newcomer, staff, stranger)},
    }
    print(json.dumps(world))  # noqa: T201


def broken(status):
    """Return the page and the headers that answer where nothing else can."""
    from django.test import RequestFactory
    from django.urls import get_resolver

    from project.middleware import PolicyMiddleware

    def answer(request):
        request.request_id = "0123456789abcdef0123456789abcdef"
        handle = get_resolver().resolve_error_handler(status)
        return handle(request) if status == 500 else handle(request, Exception())

    response = PolicyMiddleware(answer)(RequestFactory().get("/broken/"))
    return {"body": response.content.decode(), "headers": dict(response.headers)}


def add_passkey(user, name):
    """Give the person a passkey, as though an authenticator had been registered."""
    from allauth.mfa.models import Authenticator
    from cryptography.hazmat.primitives.asymmetric import ec
    from fido2.cose import ES256
    from fido2.utils import websafe_encode
    from fido2.webauthn import (
        AttestationObject,
        AttestedCredentialData,
        AuthenticatorData,
        CollectedClientData,
    )

    flag = AuthenticatorData.FLAG
    public_key = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    identity = secrets.token_bytes(32)
    made = AttestedCredentialData.create(bytes(16), identity, public_key)
    seen = AuthenticatorData.create(bytes(32), flag.UP | flag.AT, 0, made)
    said = CollectedClientData.create("webauthn.create", b"challenge", "http://127.0.0.1")
    credential = {
        "id": websafe_encode(identity),
        "rawId": websafe_encode(identity),
        "type": "public-key",
        "response": {
            "attestationObject": websafe_encode(AttestationObject.create("none", seen, {})),
            "clientDataJSON": said.b64,
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }
    Authenticator.objects.create(
        user=user, type="webauthn", data={"name": name, "credential": credential}
    )
