"""How soon a list streams, how fast, and whether memory grows: 100,000 pets unless you say.

One server process answers from an SQLite database of its own, or from that of DATABASE_URL, which
is filled with pets up to the number.  The first byte is that of the body, the median of several
requests, each on a connection of its own that is closed then.  Memory is what the process holds for
itself: before the stream, and the most there was while it was read to the end.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

from serving import Server, need, served, set_up

GENERATED = 10_000
LISTS = [
    "pets/",
    *(f"pets/?ordering={order}" for order in ("id", "name", "-name", "created_at", "-updated_at")),
    *(f"pets/?{narrowed}" for narrowed in ("species=horse", "status=lost", "tag=shy", "q=luna")),
    *(f"pets/?{narrowed}" for narrowed in ("breed=siamese", "postal_code=98101", "size=small")),
    *("pets/?owner=harbour_shelter&ordering=name", "pets/?species=cat&status=lost&sex=female"),
    *("users/harbour_shelter/pets/", "users/", "breeds/"),
]


def fill(count):
    """Make the demo, and of its pets as many as `count`; return a key."""
    from django.core.management import call_command
    from django.db import connection

    from accounts.models import ApiKey, User
    from api.management.commands import load_demo
    from api.models import Pet

    call_command("migrate", verbosity=0)
    load_demo.ensure(min(count, GENERATED))
    there, top = Pet.objects.count(), Pet.objects.latest("id").pk
    columns = [field.column for field in Pet._meta.concrete_fields]
    changed = {"id": "id + %s", "licence_number": "''"}  # which is nobody else's
    copied = ", ".join(changed.get(column, column) for column in columns)
    with connection.cursor() as cursor:
        for copy in range(1, -(-(count - there) // GENERATED) + 1):
            cursor.execute(
                f"INSERT INTO api_pet ({', '.join(columns)}) "
                f"SELECT {copied} FROM api_pet WHERE id <= %s",
                [copy * top, top],
            )
            cursor.execute(
                "INSERT INTO api_pettag (pet_id, tag) "
                "SELECT pet_id + %s, tag FROM api_pettag WHERE pet_id <= %s",
                [copy * top, top],
            )
        cursor.execute("ANALYZE")
    user = User.objects.get(username=load_demo.FIRST)
    key = ApiKey.objects.create_key(user, "Benchmark", ["pets:read", "users:read"])[1]
    connection.close()
    return key


def ask(server, key, path, watch=None, **headers):
    """Return the seconds to the first byte of the body; with `watch`, all is read before."""
    connection = server.connect()
    started = time.perf_counter()
    connection.request("GET", f"/api/v1/{path}", headers=headers | {"X-API-Key": key})
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f"{path} is answered {answer.status}: {answer.read()}")
    answer.read(1)
    first = time.perf_counter() - started
    while watch and answer.read(1 << 20):
        watch()
    connection.close()
    if not watch:
        time.sleep(0.3)  # it is seen only now that the stream was given up, and its work ends
    return first


def first_bytes(server, key, rounds):
    print(f"{'first byte, ms':<46}{'CSV':>8}{'most':>8}{'NDJSON':>8}{'most':>8}")
    for path in LISTS:
        cells = []
        for kind in ("text/csv", "application/x-ndjson"):
            times = [ask(server, key, path, Accept=kind) * 1000 for _ in range(rounds)]
            cells += [f"{statistics.median(times):>8.0f}", f"{max(times):>8.0f}"]
        print(f"{path:<46}{''.join(cells)}", flush=True)


def whole(server, key, count, kinds):
    print(f"\n{'to the end':<20}{'rows/s':>10}{'memory before':>16}{'at most':>10}{'after':>8}  MB")
    for kind in kinds:
        media, _, coding = kind.partition("+")
        before = server.memory()
        peak, checked = [before], [0.0]

        def watch(peak=peak, checked=checked):
            if time.perf_counter() > checked[0] + 0.5:
                peak.append(server.memory())
                checked[0] = time.perf_counter()

        accept = {"csv": "text/csv", "ndjson": "application/x-ndjson"}[media]
        started = time.perf_counter()
        headers = {"Accept": accept, "Accept-Encoding": coding or "identity"}
        ask(server, key, "pets/", watch, **headers)
        rate = count / (time.perf_counter() - started)
        cells = [f"{size / 1e6:>{width}.0f}" for size, width in ((before, 16), (max(peak), 10))]
        print(f"{kind:<20}{rate:>10,.0f}{''.join(cells)}{server.memory() / 1e6:>8.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=int, nargs="?", default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--whole", nargs="*", default=["csv", "ndjson", "csv+gzip", "csv+br", "csv+zstd"]
    )
    options = parser.parse_args()
    need(wrk=False)
    database = {name: value for name, value in os.environ.items() if name == "DATABASE_URL"}
    with tempfile.TemporaryDirectory() as folder:
        set_up(folder, LOG_LEVEL="WARNING", **database)
        key = fill(options.rows)
        from django.db import connection

        from api.models import Pet

        count = Pet.objects.filter(is_public=True).count()
        connection.close()
        print(f"{count:,} pets on {connection.vendor}\n")
        with Server("Pawprint", served(workers=1)) as server:
            server.wait()
            first_bytes(server, key, options.rounds)
            whole(server, key, count, options.whole)


if __name__ == "__main__":
    main()
