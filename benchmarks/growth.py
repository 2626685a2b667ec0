"""Whether an answer takes as long among millions of pets: p50 of each list, filter and page depth.

44 thousand, 440 thousand and a million pets unless you say; 5000000 takes 4 GB and a quarter of an
hour to fill.  Each number has a database of its own, of SQLite in a folder of VAR_DIR (var/growth
unless set) or of PostgreSQL beside that of DATABASE_URL, which stays for the next time.  A process
for each calls the app in turns with the others, without a server between: in ms, and how many times
the p50 among the fewest.  The caller is a person with a key who sees 95 of 100 pets.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
GENERATED, PEOPLE = 10_000, 500
ROUNDS, CALLS = 7, 15

ORDERS = ["id", "-id", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"]
# One of each filter, with what few pets and what many have.
FILTERS = [
    *("species=dog", "species=horse", "species=goose", "breed=siamese", "status=home"),
    *("status=pending", "sex=female", "size=small", "postal_code=98101", "tag=shy"),
    *("owner=harbour_shelter", "owner=growth_7", "born_before=2013-01-01"),
    *("born_after=2013-01-01", "updated_since=2020-01-01", "q=luna"),
]
ORDERED = [
    *("species=dog&ordering=name", "species=goose&ordering=name", "species=horse&ordering=name"),
    *("status=lost&ordering=name", "species=dog&ordering=-updated_at"),
    *("status=lost&ordering=created_at", "postal_code=98101&ordering=name"),
    *("breed=siamese&ordering=-updated_at", "born_after=2024-01-01&ordering=name"),
    *("owner=harbour_shelter&ordering=name", "owner=harbour_shelter&ordering=-updated_at"),
    *("updated_since=2020-01-01&ordering=updated_at", "tag=shy&ordering=name"),
    *("species=dog&species=cat", "species=goose&species=goat", "sex=female&species=goose"),
    *("species=cat&status=lost&sex=female", "species=dog&tag=shy", "q=nowhere"),
]
COUNTS = [
    *("pets/stats/", "pets/stats/?species=dog", "pets/stats/?owner=harbour_shelter"),
    *("pets/stats/?sex=female", "breeds/", "breeds/?species=cat", "users/", "users/?page_size=100"),
    *("users/harbour_shelter/", "users/harbour_shelter/pets/"),
]


# --- Among so many pets: a process that fills its database and then answers lines -----------------


def fill(count):
    """See to it that there are `count` pets; return a key."""
    from django.core.management import call_command
    from django.db import connection

    from accounts.models import ApiKey, User
    from api import counts, search
    from api.management.commands import load_demo
    from api.models import Pet

    call_command("migrate", verbosity=0)
    load_demo.ensure(GENERATED)
    reader = User.objects.get(username=load_demo.FIRST)
    key = ApiKey.objects.create_key(reader, "Growth", ["pets:read", "users:read"])[1]
    there = Pet.objects.order_by("-id").values_list("id", flat=True)[:1].get()
    if there >= count:
        return key
    people = [User(username=f"growth_{n}", email=f"{n}@growth.example") for n in range(count // 20)]
    User.objects.bulk_create(people, batch_size=5000)
    people = list(User.objects.filter(username__startswith="growth_").order_by("id")[:PEOPLE])
    for n, person in enumerate(people):
        half = Pet.objects.filter(id__gt=GENERATED // 2)
        half.extra(where=[f"id %% {PEOPLE} = {n}"]).update(owner=person)
    Pet.objects.extra(where=["id %% 20 = 1"]).update(is_public=False)
    Pet.objects.update(licence_number="")
    columns = [field.column for field in Pet._meta.concrete_fields]
    copied = ", ".join("id + %s" if column == "id" else column for column in columns)
    with connection.cursor() as cursor:
        # Many times faster: what is looked up and counted is made at the end.
        for name in counts.NAMES:
            on = " ON api_pet" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")
        search.remove("default", plan=["anew"])
        indexes = Pet._meta.indexes
        with connection.schema_editor() as editor:
            for index in indexes:
                editor.remove_index(Pet, index)
        for start in range(there, count, there):
            top = min(there, count - start)
            cursor.execute(
                f"INSERT INTO api_pet ({', '.join(columns)}) "
                f"SELECT {copied} FROM api_pet WHERE id <= %s",
                [start, top],
            )
            cursor.execute(
                "INSERT INTO api_pettag (pet_id, tag) "
                "SELECT pet_id + %s, tag FROM api_pettag WHERE pet_id <= %s",
                [start, top],
            )
        if connection.vendor == "postgresql":
            tables = "api_pet", "api_pettag"
            for table in tables:
                cursor.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
        with connection.schema_editor() as editor:
            for index in indexes:
                editor.add_index(Pet, index)
        counts.ensure("default")
        search.ensure("default")
        if not os.environ.get("NO_ANALYZE"):
            cursor.execute("ANALYZE")
    return key


class App:
    """The app itself, called as a server does."""

    def __init__(self, key):
        from project.wsgi import application

        self.application, self.key = application, key

    def get(self, path):
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": f"/api/v1/{path}",
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_X_API_KEY": self.key,
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        seen = []
        answer = self.application(environ, lambda status, headers, info=None: seen.append(status))
        body = b"".join(answer)
        answer.close()
        if not seen[0].startswith("200"):
            sys.exit(f"{path}?{query} is answered {seen[0]}: {body.decode()}")
        return body

    def times(self, path, calls):
        for _ in range(2):
            self.get(path)
        found = []
        for _ in range(calls):
            started = time.perf_counter()
            self.get(path)
            found.append(time.perf_counter() - started)
            if sum(found) > 5:
                break
        return found

    def at(self, path, depth):
        """Return the path of a page of the list at `path`: the `next` of the row before it.

        The last one ends where the list does.  The middle one is somewhere in the middle, by id.
        """
        from accounts.models import User

        first = json.loads(self.get(path))
        if depth == "first" or first["next"] is None:
            return path
        page, query = path.partition("?")[0], path.partition("?")[2]
        user = User.objects.get(username="user1")
        cursor = cursor_at(page, query, depth, user)
        return f"{path}{'&' if query else '?'}cursor={cursor}"


def cursor_at(page, query, depth, user):
    import base64

    from django.http import QueryDict
    from rest_framework.request import Request
    from rest_framework.test import APIRequestFactory

    from api.filters import PetFilter
    from api.models import Pet
    from api.pagination import DEFAULT_PAGE_SIZE, KeysetPagination, encode, ordering_of

    pets = Pet.objects.visible_to(user).order_by("-id")
    pets = PetFilter(QueryDict(query), pets).qs
    ordering = ordering_of(pets)
    if depth == "last":
        row = pets.reverse()[DEFAULT_PAGE_SIZE]
    else:
        row = pets[Pet.objects.latest("id").pk // 2]
    names = [name.lstrip("-") for name in ordering]
    position = [encode(getattr(row, name)) for name in names]
    paginator = KeysetPagination()
    paginator.ordering = ordering
    paginator.request = Request(APIRequestFactory().get(f"/api/v1/{page}?{query}"))
    payload = base64.urlsafe_b64encode(json.dumps([False, position]).encode()).decode()
    return paginator.signer().sign(payload.rstrip("="))


def serve(count):
    """Answer each line `[path, depth]` of the input with a line: the seconds that calls took."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    os.environ |= {"TASKS_URL": "immediate://", "LOG_LEVEL": "CRITICAL", "RATE_LIMIT": "off"}
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    app, paths = App(fill(count)), {}
    print("ready", flush=True)
    for line in sys.stdin:
        path, depth = json.loads(line)
        if (path, depth) not in paths:
            paths[path, depth] = app.at(path, depth) if depth != "first" else path
        print(json.dumps(app.times(paths[path, depth], CALLS)), flush=True)


# --- Side by side ---------------------------------------------------------------------------------


class Process:
    def __init__(self, count, folder):
        environ = os.environ | {"VAR_DIR": str(folder / str(count))}
        if url := os.environ.get("DATABASE_URL"):
            parts = urlsplit(url)
            name = f"{parts.path.lstrip('/')}_{count}"
            make_database(url, name)
            environ["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/{name}"))
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        if not self.process.stdout.readline():
            sys.exit(f"{count:,} pets could not be made.")

    def times(self, path, depth):
        self.process.stdin.write(json.dumps([path, depth]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit(1)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def make_database(url, name):
    import psycopg
    from psycopg import sql

    with psycopg.connect(url, autocommit=True) as connection:
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if there.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def table(processes, counts, rounds, only):
    print(f"{'p50, ms':<56}{'page':<8}" + "".join(f"{count:>11,}{'':>7}" for count in counts))
    asked = [(f"pets/?ordering={order}", depth) for order in ORDERS
             for depth in ("first", "middle", "last")]  # fmt: skip
    asked += [(f"pets/?{query}", depth) for query in FILTERS for depth in ("first", "last")]
    asked += [(f"pets/?{query}", "first") for query in ORDERED]
    asked += [(path, "first") for path in COUNTS]
    asked.insert(0, ("pets/", "first"))
    for path, depth in asked:
        if only not in path:
            continue
        found = [[] for _ in processes]
        for _ in range(rounds):
            for process, times in zip(processes, found, strict=True):
                times += process.times(path, depth)
        medians = [statistics.median(times) * 1000 for times in found]
        cells = "".join(f"{median:>11.2f}{median / medians[0]:>6.2f}x" for median in medians)
        print(f"{path:<56}{depth:<8}{cells}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pets", type=int, nargs="*", default=[44_000, 440_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="The lists with this in their path.")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    folder = Path(os.environ.get("VAR_DIR", ROOT / "var")) / "growth"
    processes = []
    try:
        for count in options.pets:
            processes.append(Process(count, folder))
        table(processes, options.pets, options.rounds, options.only)
    finally:
        for process in processes:
            process.stop()


if __name__ == "__main__":
    main()
