"""Client metadata (RFC 7591 §2), read and told: of apps that register themselves, and of
metadata documents."""

from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from oauth2_provider.scopes import get_scopes_backend

from .. import names, tasks
from ..fetching import URI
from ..models import LOOPBACK_HOSTS, Application, ApplicationLogo, Consent, is_private_use
from ..throttling import Budget

LONGEST_NAME, LONGEST_URI, LONGEST_LINK, MOST_URIS = 100, 2000, 500, 20
GRANT_TYPES = {name: own for own, name in Application.RFC_GRANT_TYPES.items()}
# A confidential app may use either (RFC 6749 §2.3.1), so which one it named is not kept.
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
MEMBERS = {
    "name": "client_name",
    "authorization_grant_type": "grant_types",
    "extra_grant_types": "grant_types",
    "allowed_origins": "redirect_uris",
    "default_scope": "scope",
    "homepage_url": "client_uri",
    "policy_url": "policy_uri",
}
# A logo is fetched from wherever the app says: not as often as it likes.
LOGOS = Budget("logo", 5, 3600)


class InvalidMetadataError(Exception):
    """What makes client metadata unfit: an error code and a description of RFC 7591 §3.2.2."""

    def __init__(self, description, error="invalid_client_metadata"):
        self.error = error
        # ASCII, says §3.2.2.
        self.description = description.replace("…", "...").encode("ascii", "replace").decode()
        super().__init__(self.description)


def fill(application, metadata):
    """Set the fields of an application to what `metadata`, a dict, says, and check them.

    What it leaves out or has as null is set to its default (RFC 7592 §2.2); members nobody knows
    are ignored, unknown scopes are dropped (RFC 7591 §2): `describe` says what became of it.
    Raises InvalidMetadataError.  Nothing is saved.
    """
    method = text(metadata, "token_endpoint_auth_method") or "client_secret_basic"
    if method not in {"none", *SECRET_METHODS}:
        raise InvalidMetadataError(
            f"token_endpoint_auth_method must be none, {' or '.join(SECRET_METHODS)}."
        )
    is_public = method == "none"
    application.client_type = (
        Application.CLIENT_PUBLIC if is_public else Application.CLIENT_CONFIDENTIAL
    )
    first, *others = read_grant_types(metadata)
    application.authorization_grant_type = first
    application.extra_grant_types = " ".join(others)
    application.name = read_name(metadata, application)
    # What it names is what it gets unasked, and no limit: a limit that a stranger sets for itself
    # protects nobody, and an app that learns of a scope by a 403 could never ask for it.
    application.scope, application.default_scope = "", read_scope(metadata)
    application.homepage_url = link(metadata, "client_uri")
    application.policy_url = link(metadata, "policy_uri")
    uris = read_redirect_uris(metadata, application)
    application.redirect_uris = " ".join(uris)
    # A browser app that registered itself calls the token endpoint from there (CORS).  Whoever
    # names a stranger's origin lets nobody in: a call needs a code or a token all the same.
    application.allowed_origins = " ".join(origins(uris)) if is_public else ""
    application.post_logout_redirect_uris = " ".join(
        read_uris(metadata, "post_logout_redirect_uris")
    )
    # Judged, and not kept.
    if metadata.get("jwks") is not None and metadata.get("jwks_uri") is not None:
        raise InvalidMetadataError("jwks and jwks_uri exclude each other.")
    link(metadata, "tos_uri")
    link(metadata, "logo_uri")
    strings(metadata, "contacts")
    text(metadata, "software_id")
    text(metadata, "software_version")
    try:
        application.full_clean(exclude=["client_secret"], validate_unique=False)
    except ValidationError as error:
        raise translated(error) from None


def store(application, metadata):
    """Save an application that was filled from `metadata`, and have its logo fetched.

    Who sees it under another name, or would be sent elsewhere, is asked again whether they let it
    in; then, and with another homepage or logo, staff have to look at it again, too.
    """
    logo_uri = metadata.get("logo_uri")
    with transaction.atomic():
        before = Application.objects.select_for_update().filter(pk=application.pk).first()
        if before:
            # What staff decided stands, whatever was read of it before.
            application.is_active, application.is_suspended = before.is_active, before.is_suspended
            is_another = before.name != application.name or set(
                application.redirect_uris.split()
            ) - set(before.redirect_uris.split())
            looks_another = before.homepage_url != application.homepage_url or logo_uri not in {
                None,
                logo_address(application),
            }
            application.is_verified = before.is_verified and not (is_another or looks_another)
            if is_another:
                Consent.objects.filter(application=application).delete()
        application.save()
        if not logo_uri:
            ApplicationLogo.objects.filter(application=application).delete()
        elif logo_uri != logo_address(application) and not LOGOS.spend(application.pk):
            transaction.on_commit(
                partial(tasks.fetch_logo.enqueue, application.pk, logo_uri), robust=True
            )


def describe(application):
    """Return what is registered of an application, as RFC 7591 §2 spells it."""
    code = application.allows_grant_type(Application.GRANT_AUTHORIZATION_CODE)
    metadata = {
        "client_name": application.name,
        "redirect_uris": application.redirect_uris.split(),
        "grant_types": application.rfc_grant_types,
        "response_types": ["code"] if code else [],
        "token_endpoint_auth_method": SECRET_METHODS[0] if application.is_confidential else "none",
        # What it named, where it named any, so that no client asks for all that it could get.
        "scope": application.default_scope or " ".join(get_scopes_backend().get_all_scopes()),
        "client_uri": application.homepage_url,
        "policy_uri": application.policy_url,
        "logo_uri": logo_address(application) if hasattr(application, "logo") else "",
        "post_logout_redirect_uris": application.post_logout_redirect_uris.split(),
    }
    always = {"redirect_uris", "response_types"}
    return {name: value for name, value in metadata.items() if value or name in always}


def logo_address(application):
    """Return where the logo that we drew is served; a client may send it back as `logo_uri`."""
    return settings.PUBLIC_URL + reverse("app-logo", args=[application.pk])


# --- Members --------------------------------------------------------------------------------------


def text(metadata, name, longest=LONGEST_URI):
    """Return a member that is a string; "" where there is none."""
    value = metadata.get(name)
    return "" if value is None else checked(name, value, longest)


def strings(metadata, name):
    """Return a member that is a list of strings, none of them twice; [] where there is none."""
    values = metadata.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or len(values) > MOST_URIS:
        raise InvalidMetadataError(f"{name} must be a list of at most {MOST_URIS} strings.")
    return list(dict.fromkeys(checked(name, value) for value in values))


def checked(name, value, longest=LONGEST_URI):
    if not isinstance(value, str):
        raise InvalidMetadataError(f"{name} must be a string, or a list of strings.")
    if len(value) > longest:
        raise InvalidMetadataError(f"{name} must be {longest:,} characters long at most.")
    # A NUL byte and half a surrogate pair are nothing that a database can hold.
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidMetadataError(f"{name} holds a character that is none.")
    return value


def link(metadata, name):
    """Return a member that is the address of a web page; "" where there is none."""
    value = text(metadata, name, LONGEST_LINK)
    if value and not (URI.fullmatch(value) and value.startswith(("https://", "http://"))):
        raise InvalidMetadataError(f"{name} must be an https URL.")
    return value


def read_grant_types(metadata):
    """Return the toolkit's names of `grant_types`, which `response_types` must fit (§2.1)."""
    names = strings(metadata, "grant_types") or ["authorization_code"]
    if not set(names) <= {*GRANT_TYPES, "refresh_token"}:
        raise InvalidMetadataError(
            f"grant_types can be {', '.join(GRANT_TYPES)} and refresh_token."
        )
    own = [GRANT_TYPES[name] for name in names if name != "refresh_token"]
    if not own:
        raise InvalidMetadataError("grant_types needs one that a refresh token can come from.")
    code = Application.GRANT_AUTHORIZATION_CODE in own
    response_types = strings(metadata, "response_types")
    if metadata.get("response_types") is not None and response_types != ["code"] * code:
        raise InvalidMetadataError(
            'response_types must be ["code"] with the grant type authorization_code, else [].'
        )
    return own


def read_scope(metadata):
    """Return those of the scopes asked for that there are."""
    asked = text(metadata, "scope").split()
    known = [scope for scope in get_scopes_backend().get_all_scopes() if scope in asked]
    if asked and not known:  # an empty scope would mean any
        raise InvalidMetadataError("scope names no scope that this server has.")
    return " ".join(known)


def read_redirect_uris(metadata, application):
    """Return `redirect_uris`, which must fit `application_type` where that is said."""
    kind = text(metadata, "application_type")
    if kind not in {"", "native", "web"}:
        raise InvalidMetadataError("application_type must be native or web.")
    try:
        uris = read_uris(metadata, "redirect_uris", kind)
        if not uris and application.allows_grant_type(Application.GRANT_AUTHORIZATION_CODE):
            raise InvalidMetadataError("The grant type authorization_code needs redirect_uris.")
    except InvalidMetadataError as error:
        raise InvalidMetadataError(error.description, "invalid_redirect_uri") from None
    return uris


def read_uris(metadata, name, kind=""):
    """Return a member that lists where people may be sent."""
    uris = strings(metadata, name)
    for uri in uris:
        if problem := problem_with_redirect_uri(uri, kind):
            raise InvalidMetadataError(f"{name}: {uri[:100]}: {problem}")
    return uris


def problem_with_redirect_uri(uri, kind):
    """Return why nobody can be sent to `uri` by an app of a kind, else None.

    The kinds are "native" and "web" (OpenID Connect Dynamic Client Registration §2) and "", which
    is either.  What only some apps may have is for `Application.problem_with`.
    """
    if not URI.fullmatch(uri):
        return "this is no URI."
    if "#" in uri:
        return "a fragment cannot be part of it."  # RFC 6749 §3.1.2
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 (raises where it is none)
    except ValueError:
        return "this is no URI."
    is_own_scheme = is_private_use(parts.scheme)
    if parts.scheme not in {"http", "https"} and not is_own_scheme:
        return "use https, http on loopback, or a scheme named after a domain."
    if not parts.hostname and not is_own_scheme:
        return "it names no host."
    if "@" in parts.netloc:
        return "a user name or password cannot be part of it."
    if "*" in parts.netloc:
        return "there are no wildcards: name the host."
    if kind == "web" and is_own_scheme:
        return "use https."
    on_loopback = parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS
    if kind == "native" and not (is_own_scheme or on_loopback):
        return "use http on loopback, or a scheme named after a domain."
    return None


def origins(uris):
    """Return the origins of the web addresses among `uris` (RFC 6454 §6.1)."""
    found = []
    for uri in uris:
        parts = urlsplit(uri)
        if parts.scheme in {"http", "https"}:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            default = {"http": 80, "https": 443}[parts.scheme]
            port = f":{parts.port}" if parts.port not in {None, default} else ""
            found.append(f"{parts.scheme}://{host}{port}")
    return list(dict.fromkeys(found))


def read_name(metadata, application):
    try:
        return names.clean(text(metadata, "client_name", LONGEST_NAME), application)
    except ValidationError as error:
        raise InvalidMetadataError(f"client_name: {error.message}") from None


def translated(error):
    """Return the InvalidMetadataError for what Application.clean() found."""
    field, (message, *_) = next(iter(error.message_dict.items()))
    member = MEMBERS.get(field, field)
    code = "invalid_redirect_uri" if member == "redirect_uris" else "invalid_client_metadata"
    return InvalidMetadataError(f"{member}: {message}", code)
