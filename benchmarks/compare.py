"""How fast Pawprint answers, beside a stock DRF app, FastAPI with SQLAlchemy, and bare WSGI.

All sides keep the same pets, check a bearer token in their database on every request, and take
turns, so that an unquiet machine slows all of them.  Before anything is measured they are asked the
same questions and must give the same answers.  README.md says what each peer is, and what it is
not.  The exit status is 0 when every target was reached.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from serving import HOST, ROOT, Server, need, served, set_up, start_project

PEERS = ROOT / "benchmarks/peers"
SEATTLE = ROOT.parent / "shared/data/seattle_pet_licenses.csv"
AS_MANY = 43_908  # are generated where that file is not
PROCESSES = 2
PETS = "/api/v1/pets/"
JSON = {"Content-Type": "application/json"}
# Without tags, which Pawprint alone keeps an index of.
NEW_PET = {
    "name": "Rex", "species": "dog", "breed": "Retriever, Labrador", "mixed_breed": False,
    "sex": "male", "birth_date": "2021-05-04", "size": "large", "color": "black",
    "description": "Afraid of thunder, fond of everything else.", "tags": [], "status": "home",
    "postal_code": "98117", "microchip": "985112345678903",
}  # fmt: skip
BAD_PETS = [
    {"name": "Rex"},
    NEW_PET | {"species": "unicorn"},
    NEW_PET | {"birth_date": "yesterday"},
    NEW_PET | {"microchip": "12"},
    NEW_PET | {"name": "x" * 101},
]

TOKEN, KEY = "Pawprint, token", "Pawprint, API key"
STOCK, RAW = "stock DRF + DOT", "raw WSGI"
ASYNC, SYNC = "FastAPI, async", "FastAPI, sync"
PEER_NAMES = {"stock": STOCK, "async": ASYNC, "sync": SYNC, "raw": RAW}
# How many times as fast as a peer Pawprint must be, at least: (work, peer, times).
TARGETS = [
    *[("list", SYNC, 2.5), ("list", ASYNC, 5), ("list", STOCK, 13), ("list", RAW, 0.3)],
    *[("detail", SYNC, 2), ("detail", STOCK, 12)],
    *[("create", SYNC, 1.3), ("create", STOCK, 7)],
    ("401", STOCK, 2.5),
]
TARGETS_ON_POSTGRESQL = [("list", ASYNC, 2.5)]
STEADY = [("list", 8), ("create", 8)]  # p99 is so many times p50, at most
KEY_AS_FAST = 0.95  # as a token, less what two runs of one thing differ by

STOCK_SETTINGS = """
DEBUG = False  # with True, Django keeps every query in memory
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS += ["oauth2_provider", "rest_framework", "django_filters", "pets"]
OAUTH2_PROVIDER = {"SCOPES": {"pets:read": "Read pets", "pets:write": "Write pets"}}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "oauth2_provider.contrib.rest_framework.OAuth2Authentication"
    ],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 25,
}
"""
STOCK_URLS = """
from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("pets.urls")),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
"""
# Tables of Pawprint, those of the stock app, and columns that only the latter have: empty ones.
STOCK_TABLES = [
    ("accounts_user", "auth_user", ["first_name", "last_name"]),
    ("accounts_application", "oauth2_provider_application", []),
    ("accounts_accesstoken", "oauth2_provider_accesstoken", []),
    ("api_pet", "pets_pet", []),
]


@dataclass
class Side:
    """One of those that are measured: by which server, and with which headers, by caller.

    The callers are reader, writer, late (whose credential has ended) and nobody (who made theirs
    up).  `rounds` are the figures, a list of dicts by work.
    """

    name: str
    server: Server
    headers: dict
    rounds: dict = field(default_factory=dict)

    def ask(self, method, path, caller="reader", data=None):
        """Return `(status, headers, JSON)`."""
        headers, body = self.headers[caller], data and json.dumps(data)
        if data:
            headers = headers | JSON
        status, received, text = self.server.ask(method, path, body, headers)
        return status, received, json.loads(text)

    def median(self, work, figure):
        return statistics.median(figures[figure] for figures in self.rounds[work])


@dataclass
class Work:
    """What everybody is asked for, again and again."""

    what: str
    paths: list
    method: str = "GET"
    caller: str = "reader"
    body: str | None = None
    headers: dict = field(default_factory=dict)
    refused: bool = False

    def load(self, side, seconds):
        headers = side.headers[self.caller] | self.headers
        return side.server.load(
            seconds, self.paths, self.method, headers, self.body, refused=self.refused
        )


# --- The data ----------------------------------------------------------------------------------


@dataclass
class Data:
    """What is asked for: credentials by caller, ids of pets that all may see, and of one that the
    callers may not."""

    tokens: dict
    keys: dict
    ids: list
    hidden: int


def fill(pets):
    """Make the database, with so many pets, or with None those of Seattle, and return the Data.

    One that was filled before gets new credentials and no more pets.
    """
    from django.core.management import CommandError, call_command
    from django.db import connection

    from accounts.models import User
    from api.management.commands import load_demo
    from api.models import Pet

    call_command("migrate", verbosity=0)
    real = pets is None and SEATTLE.exists()
    load_demo.ensure(200 if real else pets or AS_MANY)
    if real and not User.objects.filter(username="seattle").exists():
        User.objects.create_user("seattle", is_organization=True)
        with open(os.devnull, "w") as nothing, contextlib.suppress(CommandError):
            # Of licence numbers that occur twice the second is refused.
            options = {"owner": "seattle", "stdout": nothing, "stderr": nothing}
            call_command("import_pets", str(SEATTLE), **options)
    # The newest is one that the callers must not see.
    shelter = User.objects.get(username=load_demo.SHELTER)
    hidden = Pet.objects.create(owner=shelter, species="cat", is_public=False)
    tokens, keys = make_credentials()
    ids = list(Pet.objects.visible_to(None).order_by("id").values_list("id", flat=True))
    connection.close()
    dice = random.Random(1)
    # The first are the demo's, of which most is known.
    return Data(tokens, keys, [*ids[:25], *dice.choices(ids, k=1000)], hidden.pk)


def make_credentials():
    """Return new `(tokens, keys)` by caller."""
    from django.utils import timezone
    from oauth2_provider.models import set_token_value

    from accounts.keys import generate, generate_access_token
    from accounts.models import AccessToken, ApiKey, Application, User

    tokens, keys = {"nobody": generate_access_token()}, {"nobody": generate()[0]}
    callers = {"reader": "pets:read", "writer": "pets:read pets:write", "late": "pets:read"}
    for caller, scope in callers.items():
        user, _ = User.objects.get_or_create(username=f"benchmark_{caller}")
        app = Application.objects.create(
            name="Benchmark",
            user=user,
            client_type=Application.CLIENT_PUBLIC,
            authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        )
        lifetime = timedelta(days=-1 if caller == "late" else 1)
        row = AccessToken(
            user=user, application=app, scope=scope, expires=timezone.now() + lifetime, resource=[]
        )
        tokens[caller] = generate_access_token()
        set_token_value(row, tokens[caller])
        row.save()
        ApiKey.objects.live().filter(user=user).update(revoked_at=timezone.now())
        key, keys[caller] = ApiKey.objects.create_key(user, "Benchmark", scope.split())
        if caller == "late":
            key.revoke()
    return tokens, keys


def copy(source, target):
    """Copy an SQLite database, with what is still in its log, and return where it is."""
    with (
        contextlib.closing(sqlite3.connect(source)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
    return target


def copy_rows(source, target):
    """Copy the rows that the stock app knows of into its own tables."""
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as stock:
        stock.execute("ATTACH ? AS pawprint", [str(source)])
        stock.execute("BEGIN")
        for ours, theirs, empty in STOCK_TABLES:
            has = [
                {row[1] for row in stock.execute(f"PRAGMA {schema}.table_info({table})")}
                for schema, table in (("pawprint", ours), ("main", theirs))
            ]
            both = sorted(set.intersection(*has))
            into, values = ", ".join([*both, *empty]), ", ".join([*both, *("''" for _ in empty)])
            stock.execute(
                f"INSERT INTO main.{theirs} ({into}) SELECT {values} FROM pawprint.{ours}"
            )
        stock.execute("COMMIT")


# --- The servers -------------------------------------------------------------------------------


def fastapi(name, module, python, database):
    def command(port):
        return [
            *(python, "-m", "uvicorn", f"{module}:app", "--host", HOST, "--port", str(port)),
            *("--workers", str(PROCESSES), "--loop", "uvloop", "--http", "httptools"),
            *("--no-access-log", "--log-level", "warning"),
        ]

    return Server(name, command, PEERS, os.environ | {"PEER_DATABASE": database})


def stock(python, folder, source):
    """Write the stock app's project into `folder`, fill its database, and return its server."""
    env = start_project(folder, STOCK_SETTINGS, STOCK_URLS, python)
    shutil.copytree(PEERS / "stock", folder / "pets")
    for words in (("makemigrations", "-v0", "pets"), ("migrate", "-v0")):
        subprocess.run([python, "manage.py", *words], cwd=folder, env=env, check=True)
    copy_rows(source, folder / "db.sqlite3")

    def command(port):
        return [
            *(python, "-m", "gunicorn", "--bind", f"{HOST}:{port}", "--workers", str(PROCESSES)),
            *("--log-level", "warning", "tutorial.wsgi"),
        ]

    return Server(STOCK, command, folder, env)


def raw(python, database):
    env = os.environ | {"PEER_DATABASE": database}
    return Server(RAW, served("raw_wsgi:application", PROCESSES, python), PEERS, env)


def make_sides(folder, database, wanted, python, data):
    """Return ours and the sides that are wanted; their servers are not started yet."""
    ours = Server("Pawprint", served(workers=PROCESSES))
    bearer = {caller: {"Authorization": f"Bearer {token}"} for caller, token in data.tokens.items()}
    by_key = {caller: {"X-API-Key": key} for caller, key in data.keys.items()}
    sides = [Side(TOKEN, ours, bearer), Side(KEY, ours, by_key)]
    if database:
        servers = {ASYNC: lambda: fastapi(ASYNC, "fastapi_async", python, database)}
    else:
        source = folder / "pawprint.sqlite3"
        own = {name: f"sqlite:///{folder}/{name}.sqlite3" for name in (ASYNC, SYNC, RAW)}
        for url in own.values():
            copy(source, url.removeprefix("sqlite:///"))
        servers = {
            STOCK: lambda: stock(python, folder / "stock", source),
            ASYNC: lambda: fastapi(ASYNC, "fastapi_async", python, own[ASYNC]),
            SYNC: lambda: fastapi(SYNC, "fastapi_sync", python, own[SYNC]),
            RAW: lambda: raw(python, own[RAW]),
        }
    for name, make in servers.items():
        if name in wanted:
            sides.append(Side(name, make(), bearer))
    return sides


# --- The same answers --------------------------------------------------------------------------


def plain(pet):
    """Return a pet without its address, and its times as instants: SQLite keeps no zone, and what
    FastAPI makes of them has none."""
    pet = {name: value for name, value in pet.items() if name != "url"}
    for name in ("created_at", "updated_at"):
        instant = datetime.fromisoformat(pet[name])
        pet[name] = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return pet


def readings(side, data):
    """Yield what is compared of what a side answers to questions, as `(question, answer)`."""
    path = PETS
    for number in (1, 2, 3):
        status, _, page = side.ask("GET", path)
        yield f"page {number} of the list", (status, [plain(pet) for pet in page["results"]])
        path = page["next"].partition(f":{side.server.port}")[2]
    for pk in data.ids[:40]:
        status, _, pet = side.ask("GET", f"{PETS}{pk}/")
        yield f"pet {pk}", (status, plain(pet))
    yield "a pet that is not public", side.ask("GET", f"{PETS}{data.hidden}/")[0]
    for caller in ("nobody", "late"):
        status, headers, _ = side.ask("GET", PETS, caller)
        yield f"the list, for {caller}", (status, headers["WWW-Authenticate"].partition(" ")[0])


def writings(side, data):
    """Yield what is compared of what a side answers to new pets, good ones and bad ones."""
    yield "a new pet of one who may only read", side.ask("POST", PETS, "reader", NEW_PET)[0]
    for bad in BAD_PETS:
        status = side.ask("POST", PETS, "writer", bad)[0]
        yield f"{bad} as a new pet", 400 if status == 422 else status  # which is FastAPI's word
    status, _, made = side.ask("POST", PETS, "writer", NEW_PET)
    yield "a new pet", (status, without_what_differs(made))
    status, _, seen = side.ask("GET", f"{PETS}{made['id']}/")
    yield "the new pet, seen by another", (status, without_what_differs(seen))


def without_what_differs(pet):
    pet = plain(pet)
    new = datetime.now(UTC) - timedelta(minutes=1) < pet["created_at"] <= pet["updated_at"]
    owner = pet["owner"]["username"]
    varies = {"id", "owner", "created_at", "updated_at"}
    return {name: value for name, value in pet.items() if name not in varies}, owner, new


def check(sides, data):
    """Exit unless all sides give the same answers."""
    count = 0
    for ask in (readings, writings):  # nobody has written yet while others are read
        ours, *others = [(side, dict(ask(side, data))) for side in sides]
        count += len(ours[1])
        for side, given in others:
            for question, answer in ours[1].items():
                if given[question] != answer:
                    sys.exit(
                        f"Nothing is measured: {question} is answered differently.\n"
                        f"{ours[0].name}: {answer}\n{side.name}: {given[question]}"
                    )
    print(f"{len(sides)} sides give the same {count} answers.", flush=True)


# --- The figures -------------------------------------------------------------------------------


def works(data):
    return {
        "list": Work("the newest 25 pets", [PETS]),
        "detail": Work("one pet, another each time", [f"{PETS}{pk}/" for pk in data.ids]),
        "401": Work("a credential that was made up", [PETS], caller="nobody", refused=True),
        "create": Work("a new pet", [PETS], "POST", "writer", json.dumps(NEW_PET), JSON),
    }


def measure(name, work, sides, rounds, seconds):
    """Load all sides by turns, and print the table."""
    for side in sides:
        work.load(side, seconds)  # every thread has answered once, and has its connection
        side.rounds[name] = []
    for _ in range(rounds):
        for side in sides:
            side.rounds[name].append(work.load(side, seconds))
    print(f"\n{name}: {work.what}\n")
    widths = (20, 10, 8, 8, 8, 14, 16, 14)
    heads = "", "requests/s", "p50, ms", "p99, ms", "CPU, µs", "Pawprint gives", "in the rounds"
    print(row([*heads, "by CPU"], widths))
    print(row(["---", *["--:"] * 7], widths))
    ours = sides[0]
    for side in sides:
        figures = [f"{side.median(name, 'rate'):,.0f}"]
        figures += [f"{side.median(name, figure):,.1f}" for figure in ("p50", "p99")]
        figures.append(f"{side.median(name, 'cpu'):,.0f}")
        if side is not ours:
            times, least, most = compare(ours, side, name)
            by_cpu = side.median(name, "cpu") / ours.median(name, "cpu")
            figures += [f"{times:.2f} ×", f"{least:.2f}–{most:.2f}", f"{by_cpu:.2f} ×"]
        print(row([side.name, *figures, *[""] * (7 - len(figures))], widths), flush=True)


def row(cells, widths):
    """Return a row of a table as Markdown has it."""
    first, *others = (cell for cell in zip(cells, widths, strict=True))
    padded = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return f"| {' | '.join(padded)} |"


def compare(one, other, work):
    """Return how many times as many requests `one` answers: the median, least and most of the
    rounds."""
    pairs = zip(one.rounds[work], other.rounds[work], strict=True)
    times = [mine["rate"] / theirs["rate"] for mine, theirs in pairs]
    return statistics.median(times), min(times), max(times)


def judge(sides, on_postgresql):
    """Print which targets were reached, of what was measured; return whether all were."""
    by_name = {side.name: side for side in sides}
    ours, key = by_name[TOKEN], by_name[KEY]
    results = []
    for work, peer, bound in TARGETS_ON_POSTGRESQL if on_postgresql else TARGETS:
        if peer in by_name and work in ours.rounds:
            times, least, most = compare(ours, by_name[peer], work)
            text = f"{work}: {times:.2f} times {peer} ({least:.2f}–{most:.2f}), at least {bound}"
            results.append((times >= bound, text))
    for work, bound in STEADY:
        if work in ours.rounds:
            times = ours.median(work, "p99") / ours.median(work, "p50")
            results.append(
                (times <= bound, f"{work}: p99 is {times:.1f} times p50, at most {bound}")
            )
    for work in ours.rounds:
        times, least, most = compare(key, ours, work)
        text = f"{work}: a key gives {times:.2f} times a token ({least:.2f}–{most:.2f})"
        results.append((times >= KEY_AS_FAST, f"{text}, at least {KEY_AS_FAST}"))
    print()
    for reached, text in results:
        print(f"{'reached    ' if reached else 'NOT REACHED'}  {text}")
    return all(reached for reached, _ in results)


def describe(python, options):
    """Say when, where and how this is measured."""
    packages = ["django", "djangorestframework", "django-oauth-toolkit", "fastapi", "sqlalchemy"]
    packages += ["pydantic", "uvicorn", "gunicorn", "granian"]
    code = (
        "from importlib.metadata import version\n"
        f"print(*(f'{{name}} {{version(name)}}' for name in {packages}), sep=', ')"
    )
    try:
        command = [python, "-c", code]
        versions = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        sys.exit(
            f"The peers' packages are not there for {python}.  `make bench` installs them, or:\n"
            "python3 -m venv .venv-bench && "
            ".venv-bench/bin/pip install --require-hashes -r requirements/bench.txt"
        )
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores ({platform.machine()}), "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {versions.strip()}; "
        f"{options.rounds} rounds of {options.seconds} s by turns, {PROCESSES} processes each, "
        "32 connections of wrk on the same machine"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=["list", "detail", "401", "create"])
    parser.add_argument("--beside", nargs="*", choices=[*PEER_NAMES], default=[*PEER_NAMES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of a side in a round")
    parser.add_argument("--pets", type=int, help="generate so many; else Seattle's, or as many")
    parser.add_argument("--database", help="postgres://…, an empty one of its own to fill")
    parser.add_argument(
        "--peers",
        default=str(ROOT / ".venv-bench/bin/python"),
        help="the Python that has what requirements/bench.txt lists",
    )
    options = parser.parse_args()
    need()
    describe(options.peers, options)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        database = {"DATABASE_URL": options.database} if options.database else {}
        set_up(folder, LOG_LEVEL="INFO", **database)
        data = fill(options.pets)
        wanted = [PEER_NAMES[word] for word in options.beside]
        sides = make_sides(folder, options.database, wanted, options.peers, data)
        for server in {id(side.server): side.server for side in sides}.values():
            stack.enter_context(server)
            server.wait(PETS)
        check(sides, data)
        for name, work in works(data).items():
            if options.only is None or name in options.only:
                measure(name, work, sides, options.rounds, options.seconds)
        good = judge(sides, bool(options.database))
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
