"""Every setting, top to bottom; values come from the environment, wrong ones fail at start.

Without any environment this is the embedded edition: SQLite, in-process cache, a task queue in
the same database, and secrets that are made on first use and kept under var/ for this machine's
owner only.  README.md has the table of variables; project/checks.py says which values cannot work.
"""

import contextlib
import ipaddress
import logging
import os
import re
import secrets
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from accounts.keys import PEM_KEY, generate_user_code, make_signing_key
from api.scopes import DEFAULT_SCOPES, SCOPES

from .logs import add_ids

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def kept_secret(name, make):
    """Return var/NAME, made by `make()` on first use with rights for its owner only."""
    VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = VAR_DIR / name
    if not path.exists():
        value = make()
        # O_EXCL: of two processes that start together, one writes and the other reads.
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(value)
    for _ in range(50):
        if value := path.read_text().strip():
            break
        time.sleep(0.1)  # the other one has not written yet
    return value


def flag(name, default):
    """Return a truth value from the environment; what is neither true nor false stops the start."""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False, "": default}
    try:
        return words[env.str(name, "").lower()]
    except KeyError:
        raise ImproperlyConfigured(f"{name} is neither true nor false.") from None


def number(name, default):
    """Return a whole number from the environment; what is none stops the start."""
    text = env.str(name, "").strip()
    try:
        return int(text) if text else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a whole number.") from None


def address(name, read, default):
    """Return what `read` makes of a URL in the environment; one it cannot read stops the start."""
    try:
        return read(name, default)
    except (environ.ImproperlyConfigured, LookupError, ValueError):
        # Not what it holds: that may be a password.
        raise ImproperlyConfigured(f"{name} is no URL of a kind that is known.") from None


def rate(name, default):
    """Return how often something may be done as `(amount, seconds)`, None for no limit.

    "600/minute", or of a second, hour or day; "off" for no limit.  What is none stops the start.
    """
    text = env.str(name, "").strip().lower() or default
    if text == "off":
        return None
    amount, _, period = text.partition("/")
    seconds = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}.get(period)
    if seconds is None or not re.fullmatch("[1-9][0-9]{0,8}", amount):
        raise ImproperlyConfigured(f"{name} is neither off nor like 600/minute.")
    return int(amount), seconds


def networks(name, entries):
    """Return IP networks by their text; one that is none stops the start."""
    try:
        return [ipaddress.ip_network(entry.strip()) for entry in entries]
    except ValueError:
        raise ImproperlyConfigured(f"{name} holds what is no network like 10.0.0.0/8.") from None


def needs(package, name):
    """Stop the start where `name` asks for a package that only production.txt brings."""
    if find_spec(package) is None:
        raise ImproperlyConfigured(
            f"{name} needs {package}: pip install --require-hashes -r requirements/production.txt"
        )


# --- Where it runs -----------------------------------------------------------------------------

VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var")))
DEBUG = flag("DEBUG", False)
PORT = number("PORT", 8000)
PUBLIC_URL = env.str("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
_public = urlsplit(PUBLIC_URL)
# Loopback is answered too: that is where health is asked for.
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]", _public.hostname or "localhost"]
)
SECRET_KEY = env.str("SECRET_KEY", "") or kept_secret("secret_key", lambda: secrets.token_hex(32))
# How many reverse proxies of ours stand in front: X-Forwarded-For is believed that far.
TRUSTED_PROXY_COUNT = number("TRUSTED_PROXY_COUNT", 0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
# Where a weakness is reported, for /.well-known/security.txt: mailto:, https: or tel: addresses.
SECURITY_CONTACT = env.list("SECURITY_CONTACT", default=[])

CSRF_FAILURE_VIEW = "api.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if _public.scheme in {"http", "https"} else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _public.scheme == "https"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _public.scheme == "https" else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Nothing runs that was not meant to: no inline script or style without the answer's nonce, nothing
# from elsewhere, and no page of ours within another's (RFC 9700 §4.16).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "base-uri": [NONE],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "img-src": [SELF, "data:"],
        "script-src": [NONCE],
        "style-src": [SELF, NONCE],
    }
}

# --- What it is made of ------------------------------------------------------------------------

INSTALLED_APPS = [
    "api",
    "accounts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "corsheaders",
    "csp",
    "django_filters",
    "django_tasks_db",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "oauth2_provider",
    "project",
    "rest_framework",
]
MIDDLEWARE = [
    "project.middleware.RequestMiddleware",
    "project.compression.CompressionMiddleware",
    "project.shortcut.ShortcutMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.middleware.PolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "api.middleware.ApiMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.sessions.LastSeenMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "/static/"
# Where `collectstatic` puts the files, named by their content and compressed; unset, they are
# served from where they lie, which needs no step before the start.
STATIC_ROOT = env.str("STATIC_ROOT", "") or None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not STATIC_ROOT
WHITENOISE_AUTOREFRESH = DEBUG
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en-gb"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Data --------------------------------------------------------------------------------------

_sqlite = f"sqlite:///{VAR_DIR / 'pawprint.sqlite3'}"
DATABASES = {"default": address("DATABASE_URL", env.db_url, _sqlite)}
_database = DATABASES["default"]
if _database.get("ENGINE", "").rpartition(".")[2] not in {"sqlite3", "postgresql"}:
    raise ImproperlyConfigured("DATABASE_URL is none of sqlite:///… and postgres://….")
_database["CONN_MAX_AGE"] = None  # a connection is kept: reconnecting costs more than a request
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "project.sqlite"  # Django's, whose writers take turns
    # WAL lets readers go on while one writes; IMMEDIATE takes the write lock at BEGIN, so that a
    # transaction waits for its turn instead of failing when it first writes.  A new database has
    # small pages: a new pet changes one of each index, and they are written whole.  The file is not
    # mapped into memory: reads are no faster for it, and each write loses a sixth.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA page_size=2048; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
            "PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY;"
        ),
    }
else:
    _database["ENGINE"] = "project.postgresql"  # Django's, with a health check that costs nothing
    _database["CONN_HEALTH_CHECKS"] = True
    # A statement that comes again is planned once: it takes a third of the time.
    _database["OPTIONS"] = {
        "server_side_binding": True,
        "prepare_threshold": 3,
        # Who went without a word is noticed within two minutes.
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        **_database.get("OPTIONS", {}),
    }
    if _database["OPTIONS"]["prepare_threshold"] == "None":  # in a URL everything is text
        _database["OPTIONS"]["prepare_threshold"] = None
if "postgresql" in _database["ENGINE"]:
    needs("psycopg", "DATABASE_URL")
# Of each process of the server.  Python runs one at a time: more of them do no more, and each has a
# connection with a cache of its own.  But some wait for slow senders and readers, for other
# people's servers, and for a database that is elsewhere.
SERVER_THREADS = 6 if _database["ENGINE"] == "project.sqlite" else 10
_cache = address("CACHE_URL", env.cache_url, "locmemcache://pawprint")
# Those of the query (?key_prefix=, for several installations with one Redis) as Django reads them.
_cache = {name.upper(): value for name, value in _cache.items()}
CACHES = {"default": _cache}
_cache.setdefault("OPTIONS", {})
# Both count, too, how often something was done: exactly, and Redis for all processes.
if "locmem" in _cache["BACKEND"]:
    _cache["BACKEND"] = "accounts.counting.LocMemCache"
    # 300 entries, as Django has it, are soon pushed out.
    _cache["OPTIONS"].setdefault("MAX_ENTRIES", 100_000)
elif "redis" in _cache["BACKEND"]:
    needs("redis", "CACHE_URL")
    _cache["BACKEND"] = "accounts.counting.RedisCache"
    # A Redis that hangs is given up: no request waits longer for it.
    _cache["OPTIONS"] = {"socket_timeout": 1, "socket_connect_timeout": 1} | _cache["OPTIONS"]
else:
    raise ImproperlyConfigured("CACHE_URL is none of locmemcache://… and redis://….")
vars().update(address("EMAIL_URL", env.email_url, "consolemail://"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", f"Pawprint <pawprint@{_public.hostname}>")

# Where background tasks go: the queue in the database (a `db_worker` runs them), at once, or to
# Celery by way of Redis or RabbitMQ.
TASKS_URL = env.str("TASKS_URL", "db://")
TASK_BACKENDS = {
    "db": "django_tasks_db.DatabaseBackend",
    "immediate": "django_tasks.backends.immediate.ImmediateBackend",
    **dict.fromkeys(["amqp", "amqps", "redis", "rediss"], "project.celery.CeleryBackend"),
}
if TASK_BACKENDS.get(urlsplit(TASKS_URL).scheme) == "project.celery.CeleryBackend":
    needs("celery", "TASKS_URL")
TASKS = {
    "default": {
        # An unknown scheme is reported by project.E005; the database is the safe reading of it.
        "BACKEND": TASK_BACKENDS.get(urlsplit(TASKS_URL).scheme, TASK_BACKENDS["db"])
    }
}

# --- Who is calling ----------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.adapter.PasswordBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "accounts.hashers.ClientSecretHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SESSION_ENGINE = "accounts.sessions"
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "add_email": "accounts.forms.account.AddEmailForm",
    "change_password": "accounts.forms.account.ChangePasswordForm",
    "login": "accounts.forms.account.LoginForm",
    "reset_password": "accounts.forms.account.ResetPasswordForm",
    "reset_password_from_key": "accounts.forms.account.ResetPasswordKeyForm",
    "signup": "accounts.forms.account.SignupForm",
}
ACCOUNT_USERNAME_VALIDATORS = "accounts.adapter.username_validators"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_MAX_EMAIL_ADDRESSES = 10
ACCOUNT_EMAIL_VERIFICATION = "optional"
# Signing up answers alike whether an address is known or not; it is told by a mail to it.
ACCOUNT_PREVENT_ENUMERATION = "strict"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Pawprint] "
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
MFA_ADAPTER = "accounts.mfa.MFAAdapter"
MFA_FORMS = {
    "activate_totp": "accounts.mfa.ActivateTOTPForm",
    "add_webauthn": "accounts.mfa.AddPasskeyForm",
    "authenticate": "accounts.mfa.AuthenticateForm",
    "authenticate_webauthn": "accounts.mfa.AuthenticatePasskeyForm",
    "edit_webauthn": "accounts.mfa.EditPasskeyForm",
    "login_webauthn": "accounts.mfa.LoginPasskeyForm",
    "reauthenticate": "accounts.mfa.ReauthenticateForm",
    "reauthenticate_webauthn": "accounts.mfa.ReauthenticatePasskeyForm",
}
MFA_SUPPORTED_TYPES = ["recovery_codes", "totp", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Pawprint"
# A clock may be half a minute wrong; accounts.mfa takes each code once all the same.
MFA_TOTP_TOLERANCE = 1
# An unconfirmed address keeps nobody else out, since several accounts may have it.
MFA_ALLOW_UNVERIFIED_EMAIL = True
# On somebody's own machine there is no TLS.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = _public.scheme == "http" and _public.hostname in {
    "127.0.0.1", "::1", "localhost",
}  # fmt: skip

# Numbered peppers under which API keys and client secrets are digested, "1:secret,2:secret": the
# highest number serves new ones, the others still verify theirs.
CREDENTIAL_PEPPERS = {
    # What has no number becomes number 0, which accounts.E001 reports.
    int(number) if pepper and number.isdigit() else 0: pepper
    for number, _, pepper in (
        entry.strip().partition(":")
        for entry in (
            env.str("CREDENTIAL_PEPPERS", "")
            or "1:" + kept_secret("credential_pepper", lambda: secrets.token_hex(32))
        ).split(",")
    )
}

# Whether apps may register themselves (RFC 7591, and by Client ID Metadata Document).
OPEN_REGISTRATION = flag("OPEN_REGISTRATION", True)
# Networks besides the public internet that metadata documents and logos may be fetched from.
METADATA_NETWORKS = networks("METADATA_NETWORKS", env.list("METADATA_NETWORKS", default=[]))

# --- OAuth 2 (django-oauth-toolkit) ------------------------------------------------------------

OAUTH2_PROVIDER_APPLICATION_MODEL = "accounts.Application"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "accounts.AccessToken"
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "accounts.RefreshToken"
OAUTH2_PROVIDER_GRANT_MODEL = "accounts.Grant"
OAUTH2_PROVIDER_ID_TOKEN_MODEL = "accounts.IDToken"
OAUTH2_PROVIDER_DEVICE_GRANT_MODEL = "accounts.DeviceGrant"
_signing_keys = PEM_KEY.findall(
    env.str("OIDC_RSA_PRIVATE_KEY", "", multiline=True)
    or kept_secret("oidc_signing_key.pem", make_signing_key)
) or [""]  # no key at all is reported by accounts.E002
OAUTH2_PROVIDER = {
    "SCOPES": SCOPES,
    "DEFAULT_SCOPES": DEFAULT_SCOPES,
    "SCOPES_BACKEND_CLASS": "accounts.oauth.scopes.ApplicationScopes",
    "OAUTH2_VALIDATOR_CLASS": "accounts.oauth.validator.OAuth2Validator",
    "ACCESS_TOKEN_GENERATOR": "accounts.keys.generate_access_token",
    "REFRESH_TOKEN_GENERATOR": "accounts.keys.generate_refresh_token",
    "CLIENT_SECRET_GENERATOR_CLASS": "accounts.keys.ClientSecretGenerator",
    "CLIENT_SECRET_HASHER": "hmac_sha256",
    "APPLICATION_ADMIN_CLASS": "accounts.admin.ApplicationAdmin",
    "ACCESS_TOKEN_ADMIN_CLASS": "accounts.admin.AccessTokenAdmin",
    "REFRESH_TOKEN_ADMIN_CLASS": "accounts.admin.RefreshTokenAdmin",
    "GRANT_ADMIN_CLASS": "accounts.admin.CredentialAdmin",
    "ID_TOKEN_ADMIN_CLASS": "accounts.admin.CredentialAdmin",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 15 * 60,
    "REFRESH_TOKEN_EXPIRE_SECONDS": 30 * 24 * 3600,
    "ID_TOKEN_EXPIRE_SECONDS": 15 * 60,
    "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    # Tokens are stored as digests only, so a rotated one cannot be handed out again.
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    # http is for loopback alone (RFC 8252 §7.3): Application.clean() refuses it elsewhere.
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https", "http"],
    "ALLOWED_SCHEMES": ["https", "http"],
    "PKCE_REQUIRED": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "OIDC_ENABLED": True,
    # The issuer is configuration, never the Host header of a request.
    "OIDC_ISS_ENDPOINT": PUBLIC_URL,
    # The first key signs; the others are still published, for what they signed.
    "OIDC_RSA_PRIVATE_KEY": _signing_keys[0],
    "OIDC_RSA_PRIVATE_KEYS_INACTIVE": _signing_keys[1:],
    "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
    "OIDC_RP_INITIATED_LOGOUT_DELETE_TOKENS": False,
    "OAUTH_DEVICE_VERIFICATION_URI": f"{PUBLIC_URL}/o/device/",
    "OAUTH_DEVICE_VERIFICATION_URI_COMPLETE": f"{PUBLIC_URL}/o/device/?user_code={{user_code}}",
    "OAUTH_DEVICE_USER_CODE_GENERATOR": generate_user_code,
}

# --- The API -----------------------------------------------------------------------------------

# The largest request body, in bytes; a larger one is answered 413 before it is read.
DATA_UPLOAD_MAX_MEMORY_SIZE = number("MAX_BODY_SIZE", 1024 * 1024)
# Whether a change must say which version it is of, by If-Match; else it is answered 428.
REQUIRE_IF_MATCH = flag("REQUIRE_IF_MATCH", False)
# How often the API may be called: with a credential by each app and user, key and signed-in
# person; without one, and with one that does not hold, by each address.
RATE_LIMITS = {
    "credential": rate("RATE_LIMIT", "6000/minute"),
    "anonymous": rate("RATE_LIMIT_ANONYMOUS", "1200/minute"),
    "refused": rate("RATE_LIMIT_REFUSED", "600/minute"),
    # The token endpoint, by each client and address.
    "token": rate("RATE_LIMIT_TOKEN", "600/minute"),
}
REST_FRAMEWORK = {
    # The first one decides 401 or 403 and the challenge: bearer tokens before keys and sessions.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.BearerAuthentication",
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": [
        "api.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "api.renderers.JSONRenderer",
        "api.browsable.renderer.BrowsableAPIRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.renderers.ContentNegotiation",
    "DEFAULT_FILTER_BACKENDS": ["api.filters.FilterBackend"],
    "DEFAULT_METADATA_CLASS": "api.metadata.Metadata",
    "DEFAULT_PAGINATION_CLASS": "api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "api.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Pawprint API",
    "DESCRIPTION": (
        "A pet registry: people keep their pets in it, organisations import theirs, and apps "
        "read and write them with the owner's consent. Call it with an OAuth 2 access token, an "
        "API key, or signed in from a browser.\n\n"
        "- **Errors** are `application/problem+json` (RFC 9457); `errors` names each field.\n"
        "- **Caching**: what is read has a strong `ETag`; sent back in `If-None-Match` it is "
        "answered by an empty 304, which costs nothing of your limit.\n"
        "- **Changes**: sent in `If-Match`, nothing is changed unless it is still that version; "
        "else the answer is 412.\n"
        "- **Retries**: a POST that is sent again with its `Idempotency-Key` is answered as "
        "before, and does nothing more.\n"
        "- **Limits** are told by `RateLimit-Policy` and `RateLimit`; beyond them the answer is "
        "429 with `Retry-After`.\n"
        "- **Formats**: lists are JSON in pages, and as a whole CSV or NDJSON by `Accept` or "
        "`?format=`. gzip, br and zstd by `Accept-Encoding`.\n"
        "- **HEAD** is answered as GET is, without a body; **OPTIONS** says what an address takes."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVERS": [{"url": "/", "description": "This server"}],
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "SpeciesCode": "api.models.Pet.Species",
        "Sex": "api.models.Pet.Sex",
        "Size": "api.models.Pet.Size",
        "Status": "api.models.Pet.Status",
    },
    "PARSER_WHITELIST": ["api.parsers.JSONParser"],
    "RENDERER_WHITELIST": ["api.renderers.JSONRenderer"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.schema.tell_what_is_certain",
        "api.deprecation.mark",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Apps in a browser call from their own origin: those registered with an app, and these.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(api/|o/(token|revoke_token|userinfo|register)/|\.well-known/)"
CORS_ALLOW_CREDENTIALS = False  # never with cookies
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "mcp-protocol-version",
    "traceparent",
    "tracestate",
    "x-api-key",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "Accept-Patch",
    "Accept-Post",
    "Allow",
    "Content-Disposition",
    "Content-Location",
    "Deprecation",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "Sunset",
    "Traceparent",
    "WWW-Authenticate",
    "X-Request-ID",
]
CORS_PREFLIGHT_MAX_AGE = 24 * 3600

# --- Logs --------------------------------------------------------------------------------------

LOG_FORMAT = env.str("LOG_FORMAT", "console")
LOG_LEVEL = env.str("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in logging.getLevelNamesMapping():
    raise ImproperlyConfigured("LOG_LEVEL is none of DEBUG, INFO, WARNING, ERROR, CRITICAL.")
# Nothing here says from which line, thread and process a message came; to find out takes as long as
# to write it (Python's logging HOWTO, "Optimization").
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
_form = "json" if LOG_FORMAT == "json" else "text"
_in_colours = _form == "text" and sys.stderr.isatty()
_shared_processors = [
    add_ids,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[*_shared_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structlog": {
            "()": "project.logs.Formatter",
            "write": None if _in_colours else f"ext://project.logs.as_{_form}",
            "foreign_pre_chain": _shared_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(
                    [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
                    if _form == "json"
                    else [
                        structlog.dev.ConsoleRenderer(
                            colors=_in_colours,
                            # The rich one prints local variables: tokens and keys among them.
                            exception_formatter=structlog.dev.plain_traceback,
                        )
                    ]
                ),
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Every answer has its line from project.middleware; Django's own would be a second one.
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "WARNING"},
        # At DEBUG it would write tokens down.
        "oauthlib": {"level": "INFO"},
        # At INFO it names passkeys.
        "fido2": {"level": "WARNING"},
        # Anybody can send a wrong Host; the line of the request says 400.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
