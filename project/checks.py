"""System checks: a setting that cannot work says so at start, with an id and a hint."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import Error, register


@register()
def check_environment(app_configs, **kwargs):
    """Check the values that come from the environment."""
    problems = []
    public = urlsplit(settings.PUBLIC_URL)
    extra = public.path or public.query or public.fragment
    if public.scheme not in {"http", "https"} or not public.hostname or extra:
        problems.append(
            Error(
                f"PUBLIC_URL is {settings.PUBLIC_URL!r}, which is no address of a site.",
                hint="Write scheme and host only, such as https://pets.example.org",
                id="project.E001",
            )
        )
    elif public.scheme == "http" and public.hostname not in {"127.0.0.1", "localhost", "::1"}:
        problems.append(
            checks.Warning(
                "PUBLIC_URL is http on a public host: tokens and keys would travel in clear.",
                hint="Put a TLS proxy in front, and use https in PUBLIC_URL.",
                id="project.W001",
            )
        )
    elif public.scheme == "https" and settings.TRUSTED_PROXY_COUNT < 1:
        problems.append(
            checks.Warning(
                "PUBLIC_URL is https, and no proxy is trusted to say that a request came so.",
                hint="Set TRUSTED_PROXY_COUNT and have the proxy send X-Forwarded-Proto: until "
                "then every call counts as sent in clear and is refused, unless this server ends "
                "TLS itself.",
                id="project.W004",
            )
        )
    if len(settings.SECRET_KEY) < 32:
        problems.append(
            Error(
                "SECRET_KEY is shorter than 32 characters.",
                hint="Leave it unset to have one made under var/, or give a long random one.",
                id="project.E002",
            )
        )
    if not 0 < settings.PORT < 65536:
        problems.append(
            Error(
                f"PORT is {settings.PORT}.",
                hint="Use a number from 1 to 65535.",
                id="project.E006",
            )
        )
    if settings.DATA_UPLOAD_MAX_MEMORY_SIZE < 1:
        problems.append(
            Error(
                "MAX_BODY_SIZE lets no body through.",
                hint="Give the bytes that a body may have, such as 1048576.",
                id="project.E007",
            )
        )
    if not settings.ALLOWED_HOSTS or any("/" in host for host in settings.ALLOWED_HOSTS):
        problems.append(
            Error(
                f"ALLOWED_HOSTS is {','.join(settings.ALLOWED_HOSTS)!r}.",
                hint="Name hosts without scheme or path, separated by commas.",
                id="project.E008",
            )
        )
    if settings.TRUSTED_PROXY_COUNT < 0:
        problems.append(
            Error(
                "TRUSTED_PROXY_COUNT is negative.",
                hint="0 when nothing stands in front, else the number of proxies of yours.",
                id="project.E003",
            )
        )
    if settings.LOG_FORMAT not in {"console", "json"}:
        problems.append(
            Error(
                f"LOG_FORMAT is {settings.LOG_FORMAT!r}.",
                hint="Use console or json.",
                id="project.E004",
            )
        )
    tasks = urlsplit(settings.TASKS_URL).scheme  # and not the rest, which may hold a password
    if tasks not in settings.TASK_BACKENDS:
        problems.append(
            Error(
                f"TASKS_URL begins with {tasks!r}, which names no queue that is known.",
                hint="Use db://, immediate://, redis://… or amqp://….",
                id="project.E005",
            )
        )
    contacts = [urlsplit(contact) for contact in settings.SECURITY_CONTACT]
    if not all(contact.scheme in {"mailto", "https", "tel"} for contact in contacts):
        problems.append(
            Error(
                f"SECURITY_CONTACT is {','.join(settings.SECURITY_CONTACT)!r}.",
                hint="Name addresses like mailto:security@example.org or https://…, separated by "
                "commas.",
                id="project.E009",
            )
        )
    elif public.scheme == "https" and not contacts:
        problems.append(
            checks.Warning(
                f"SECURITY_CONTACT is unset: reports go to security@{public.hostname}.",
                hint="See to it that somebody reads that mailbox, or name another.",
                id="project.W003",
            )
        )
    if settings.DEBUG and public.scheme == "https":
        problems.append(
            checks.Warning(
                "DEBUG is on for a public site: errors would show settings and source.",
                hint="Unset DEBUG.",
                id="project.W002",
            )
        )
    return problems
