"""The documentation: guides, Swagger UI and Redoc, problems, and what programs look for."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from accounts.keys import CHECKSUM_RULE, PATTERNS
from accounts.models import ApiKey
from accounts.oauth.docs_app import DOCS_CLIENT_ID
from accounts.presets import PRESETS
from api import deprecation
from api.bulk import MOST, MOST_ERRORS
from api.errors import PROBLEMS
from api.filters import PetFilter, UserFilter
from api.idempotency import LIFETIME
from api.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from api.scopes import DEFAULT_SCOPES, SCOPES
from api.selection import names_of
from api.serializers import PetSerializer, UserSerializer
from api.streams import AT_ONCE_EACH
from api.views import NEWEST_PETS

SECURITY_TXT_LASTS = timedelta(days=180)  # RFC 9116 §2.5.5: less than a year


@dataclass(frozen=True)
class Guide:
    """A page of prose at /docs/guides/<slug>/; its text is guides/<slug>.html."""

    slug: str
    title: str
    summary: str
    kind: str

    @property
    def path(self):
        return reverse("guide", args=[self.slug])


START, KNOW = "Quick starts", "Good to know"
ALL = [
    Guide("script", "A script with a key", "An API key, curl and Python, page after page.", START),
    Guide(
        "web-app",
        "A web server app",
        "Authorization code with PKCE and a secret: send people through consent, act for them.",
        START,
    ),
    Guide(
        "browser-app",
        "A browser app",
        "A page in plain JavaScript on its own origin: PKCE, no secret, CORS.",
        START,
    ),
    Guide(
        "native-app",
        "A native app or command line",
        "The person’s own browser, and an answer that comes back to the device.",
        START,
    ),
    Guide("device", "A device", "A code on its screen that somebody types on their phone.", START),
    Guide(
        "machine",
        "Machine to machine",
        "Client credentials: a service that acts for itself and reads what is public.",
        START,
    ),
    Guide("scopes", "Scopes", "What a token or a key may do, and how to ask for it.", KNOW),
    Guide("errors", "Errors", "One shape for every failure, and a page for each problem.", KNOW),
    Guide("retries", "Retries", "What may be sent again, and how a POST is done once.", KNOW),
    Guide("paging", "Pages", "Cursors: stable lists while others write.", KNOW),
    Guide(
        "caching",
        "Caching and changes",
        "ETags: nothing is sent twice, and nobody writes over what they have not seen.",
        KNOW,
    ),
    Guide("filters", "Filters", "Narrowing and ordering lists.", KNOW),
    Guide("fields", "Fields", "Less of each thing, or more: fields= and expand=.", KNOW),
    Guide("limits", "Limits", "Sizes, lifetimes and how often.", KNOW),
    Guide("headers", "Headers", "All that a request may carry and an answer has.", KNOW),
    Guide("bulk", "Many at once", "Up to 500 pets in one request, all of it or nothing.", KNOW),
    Guide("importing", "Importing", "Ten thousand pets from a file, and again tomorrow.", KNOW),
    Guide("exporting", "Exporting", "Whole lists as CSV and NDJSON, compressed.", KNOW),
    Guide(
        "security",
        "Security",
        "How credentials look and are kept, what to do about a leak, where to report.",
        KNOW,
    ),
]
GUIDES = {guide.slug: guide for guide in ALL}


def guides(request):
    """All guides, by kind."""
    return render(request, "guides/index.html", {"guides": ALL})


def guide(request, slug):
    """One guide; what it says of scopes, limits and filters is read from where they are."""
    if slug not in GUIDES:
        raise Http404
    place = ALL.index(GUIDES[slug])
    context = {
        "guide": GUIDES[slug],
        "guides": ALL,
        "following": ALL[place + 1] if place + 1 < len(ALL) else None,
        "url": settings.PUBLIC_URL,
        "host": urlsplit(settings.PUBLIC_URL).hostname,
        "deprecated": deprecation.DEPRECATED,
        "scopes": SCOPES,
        "default_scopes": DEFAULT_SCOPES,
        "problems": PROBLEMS,
        "page_size": DEFAULT_PAGE_SIZE,
        "max_page_size": MAX_PAGE_SIZE,
        "pet_filters": described(PetFilter),
        "user_filters": described(UserFilter),
        "pet_fields": names_of(PetSerializer),
        "user_fields": names_of(UserSerializer),
        "newest_pets": NEWEST_PETS,
        "most_at_once": MOST,
        "most_errors": MOST_ERRORS,
        "streams_each": AT_ONCE_EACH,
        "max_body": settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        "answer_hours": int(LIFETIME.total_seconds() // 3600),
        "rate_limits": {name: said(rate) for name, rate in settings.RATE_LIMITS.items()},
        "most_keys": ApiKey.MOST_PER_USER,
        "key_days": ApiKey.DEFAULT_LIFETIME.days,
        "most_key_days": ApiKey.MAXIMUM_LIFETIME.days,
        "token_minutes": settings.OAUTH2_PROVIDER["ACCESS_TOKEN_EXPIRE_SECONDS"] // 60,
        "refresh_days": settings.OAUTH2_PROVIDER["REFRESH_TOKEN_EXPIRE_SECONDS"] // 86400,
        "patterns": PATTERNS,
        "checksum_rule": CHECKSUM_RULE,
        "contacts": security_contacts(),
        "presets": PRESETS,
    }
    return render(request, f"guides/{slug}.html", context)


def said(rate):
    """Return a rate of RATE_LIMITS as people say it: "600 times a minute"; "" for no limit."""
    periods = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}
    return f"{rate[0]:,} times {periods[rate[1]]}" if rate else ""


def described(filterset):
    """Return what a list can be narrowed by: `[(name, its choices, what it takes)]`."""
    filters = []
    for name, field in filterset.base_filters.items():
        choices = [code for code, _ in field.extra.get("choices", [])]
        # Written in Markdown, for the schema.
        filters.append((name, choices, field.extra.get("help_text", "").replace("`", "")))
    return filters


def problems(request):
    """Every problem there is."""
    return render(request, "docs/problems.html", {"problems": PROBLEMS})


def problem(request, code):
    """What a problem's `type` means and what to do about it."""
    if code not in PROBLEMS:
        raise Http404
    context = {
        "code": code,
        "title": PROBLEMS[code],
        "problems": PROBLEMS,
        "public_url": settings.PUBLIC_URL,
    }
    # One that nobody has explained yet is still named.
    return render(request, [f"problems/{code}.html", "problem.html"], context)


@cache
def calls():
    """Return every operation of the OpenAPI document, by its tag.

    The document depends on the code alone, and takes half a second to make for the first time.
    """
    document = SchemaGenerator().get_schema(public=True)
    by_tag = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            (tag,) = operation["tags"]
            ways = operation["security"]
            call = {
                "id": operation["operationId"],
                "method": method,
                "path": path.strip("/").split("/"),
                "summary": operation["summary"],
                "scopes": next(way["oauth2"] for way in ways if "oauth2" in way),
                "is_public": {} in ways,
            }
            by_tag.setdefault(tag, []).append(call)
    return by_tag


class SwaggerView(SpectacularSwaggerView):
    """Every call at a glance, and Swagger UI, served from here, for who stays; its Authorize works
    with PKCE and with a key."""

    @extend_schema(exclude=True)
    def get(self, request, *args, **kwargs):
        response = super().get(request, *args, **kwargs)
        # The window that asks for consent is ours too, and keeps the strict policy: a page with a
        # laxer one would lose sight of it, and never hear of the code.
        del response["Cross-Origin-Opener-Policy"]
        response.data["calls"] = calls()
        response.data["settings"] = self._dump(
            {
                "deepLinking": True,
                "oauth2RedirectUrl": request.build_absolute_uri(reverse("docs-oauth2-redirect")),
                "tryItOutEnabled": True,
            }
        )
        response.data["oauth2_config"] = self._dump(
            {
                "clientId": DOCS_CLIENT_ID,
                "usePkceWithAuthorizationCodeGrant": True,
                "scopes": "pets:read users:read",
            }
        )
        return response


# Redoc's search runs in a worker, whose source is in the bundle.
@method_decorator(csp_update({"worker-src": ["blob:"]}), name="dispatch")
class RedocView(SpectacularRedocView):
    """Redoc, served from here."""


# --- For programs ------------------------------------------------------------------------------


def llms_txt(request):
    """What a language model needs to find its way (llmstxt.org): Markdown at /llms.txt."""
    context = {"guides": ALL, "problems": PROBLEMS, "url": settings.PUBLIC_URL}
    return render(request, "docs/llms.txt", context, content_type="text/markdown; charset=utf-8")


def robots_txt(request):
    """What is of use to a search engine: home, documentation and what is open to everybody."""
    lines = ["User-agent: *", "Disallow: /accounts/", "Disallow: /admin/", "Disallow: /o/"]
    return text(lines)


def security_txt(request):
    """Where to report a weakness (RFC 9116)."""
    url = settings.PUBLIC_URL
    expires = datetime.now(UTC).date() + SECURITY_TXT_LASTS
    return text(
        [
            *(f"Contact: {contact}" for contact in security_contacts()),
            f"Expires: {datetime.combine(expires, time(), UTC):%Y-%m-%dT%H:%M:%SZ}",
            f"Canonical: {url}{reverse('security-txt')}",
            f"Policy: {url}{GUIDES['security'].path}#report-a-weakness",
            "Preferred-Languages: en",
        ]
    )


def security_contacts():
    """Return the URIs to write to; unless any is set, the mailbox that RFC 2142 §4 names."""
    host = urlsplit(settings.PUBLIC_URL).hostname
    return settings.SECURITY_CONTACT or [f"mailto:security@{host}"]


def text(lines):
    return HttpResponse("\n".join([*lines, ""]), content_type="text/plain; charset=utf-8")
