"""How soon Pawprint answers after its start, and how much memory each of its processes takes.

The web server is started as `manage.py run` does, with two processes and a database that is there
already, and asked until it answers; `make run` too, which looks for migrations first.  Memory is
what a process holds for itself: after its first answers, and once each of its threads has had work
to do.  The exit status is 0 when the targets were reached.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter

from serving import HOST, ROOT, Server, need, served, set_up

PETS = "/api/v1/pets/"
PROCESSES = 2
SOON, SMALL = 3, 150  # seconds and MB, at most


def run(port):
    """The command behind `make run`; the port is in its environment."""
    return ["env", f"HOST={HOST}", f"PORT={port}", sys.executable, "manage.py", "run"]


def first_answer(name, command, rounds):
    """Return the median of the seconds from the start to the first answer, and print it."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        with Server(name, command) as server:
            server.wait("/api/v1/species/")
            taken.append(time.perf_counter() - started)
    print(f"{name:<40}{statistics.median(taken):>7.2f} s  ({min(taken):.2f}–{max(taken):.2f})")
    return statistics.median(taken)


def fill(pets):
    """Make a database with so many pets, and return a key."""
    from django.core.management import call_command
    from django.db import connection

    from accounts.models import ApiKey, User
    from api.management.commands import load_demo

    call_command("migrate", verbosity=0)
    load_demo.ensure(pets)
    user = User.objects.get(username=load_demo.FIRST)
    key = ApiKey.objects.create_key(user, "Benchmark", ["pets:read", "pets:write", "users:read"])[1]
    connection.close()
    return key


def memory(key, pets, seconds):
    """Print the memory after each kind of work, and return what it is at the end, in MB.

    Each of a process's threads comes to hold what its connection has read, up to SQLite's cache.
    """
    orders = [
        f"{PETS}?ordering={order}" for order in ("name", "-name", "updated_at", "-updated_at")
    ]
    works = {
        "the newest pets": [PETS],
        "single pets": [f"{PETS}{pk}/" for pk in range(1, pets, max(1, pets // 1000))],
        "pets by species in four orders": [
            f"{order}&species={species}" for order in orders for species in ("dog", "cat", "rabbit")
        ],
    }
    print(f"\n{'MB that one process holds for itself':<40}{'own':>7}")
    headers = {"X-API-Key": key}
    with Server("the web server", served(workers=PROCESSES)) as server:
        server.wait(PETS)
        print(f"{'after the first answer':<40}{server.memory() / 1e6:>7.0f}")
        for name, paths in works.items():
            server.load(seconds, paths, headers=headers)
            megabytes = server.memory() / 1e6
            print(f"{f'after {name}':<40}{megabytes:>7.0f}", flush=True)
    return megabytes


def dearest_imports():
    """Return the milliseconds that the modules of each package take to be imported, dearest first.

    As Python tells them: of a module alone, without what it imports.
    """
    command = [sys.executable, "-X", "importtime", "-c", "import project.wsgi"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stderr
    taken = Counter()
    for own, name in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", told, re.MULTILINE):
        taken[name.partition(".")[0]] += int(own) / 1000
    return taken.most_common()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each kind of work")
    parser.add_argument("--pets", type=int, default=43_908)
    parser.add_argument("--imports", type=int, default=10, help="how many packages to list")
    options = parser.parse_args()
    need()
    with tempfile.TemporaryDirectory() as folder:
        set_up(folder)
        key = fill(options.pets)
        print("From the start to the first answer, medians, least and most:\n")
        seconds = [
            first_answer("the web server", served(workers=PROCESSES), options.rounds),
            first_answer("manage.py run", run, options.rounds),
        ]
        megabytes = memory(key, options.pets, options.seconds)
        modules = dearest_imports()
    total = sum(taken for _, taken in modules)
    print(f"\n{total:,.0f} ms of imports, of which (ms, slower than they are, for being timed):\n")
    for name, taken in modules[: options.imports]:
        print(f"{taken:>7,.0f}  {name}")
    results = [
        (max(seconds) < SOON, f"{max(seconds):.2f} s to the first answer, less than {SOON}"),
        (megabytes < SMALL, f"{megabytes:.0f} MB a process, less than {SMALL}"),
    ]
    print()
    for reached, text in results:
        print(f"{'reached    ' if reached else 'NOT REACHED'}  {text}")
    sys.exit(0 if all(reached for reached, _ in results) else 1)


if __name__ == "__main__":
    main()
