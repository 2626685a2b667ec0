"""How fast `import_pets` is, and how much memory it takes: 10, 50 and 200 thousand rows.

Each file is imported twice into an SQLite database of its own, so that the first run creates
every pet and the second finds nothing to do.  Memory is what the process holds at most for
itself: it rises until SQLite's cache is full (4 MB, see project/settings.py) and stays there.
Pages of the database file that are mapped, which the kernel may take back, are not counted.
"""

import csv
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZES = [int(size) for size in sys.argv[1:]] or [10_000, 50_000, 200_000]
HEADINGS = [
    *("License Issue Date", "License Number", "Animal's Name", "Species", "Primary Breed"),
    *("Secondary Breed", "ZIP Code"),
]
NAMES = ["", "Bella", "Charlie", "Luna", "Max", "Mr. Whiskers", "Olive", "Ziggy"]
BREEDS = ["Beagle", "Domestic Shorthair", "Mix", "Poodle, Standard", "Retriever, Labrador"]


def generate(path, count):
    """Write `count` licences as the City of Seattle publishes them."""
    dice = random.Random(count)
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for number in range(count):
            writer.writerow(
                [
                    f"December {dice.randrange(1, 29):02} {dice.randrange(2015, 2024)}",
                    f"S{number}",
                    dice.choice(NAMES),
                    dice.choice(["Cat", "Dog", "Goat", "Pig"]),
                    dice.choice(BREEDS),
                    dice.choice(["", *BREEDS]),
                    f"98{dice.randrange(100, 200)}",
                ]
            )


def measured(command, env):
    """Run a command; return what it prints and its greatest memory of its own, in bytes."""
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.02)
    out = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return out, peak


def main():
    if not Path("/proc/self/status").exists():
        sys.exit("Memory is read from /proc, which this system lacks.")
    print(f"{'rows':>9}  {'first run':>16}  {'memory':>7}  {'second run':>16}  {'memory':>7}")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
            env |= {"VAR_DIR": f"{folder}/var", "DJANGO_SETTINGS_MODULE": "project.settings"}
            manage = [sys.executable, "manage.py"]
            user = "from accounts.models import User; User.objects.create_user('seattle')"
            subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=env, check=True)
            subprocess.run([*manage, "shell", "-v0", "-c", user], cwd=ROOT, env=env, check=True)
            generate(f"{folder}/pets.csv", size)
            cells = []
            for outcome in ("created", "unchanged"):
                command = [*manage, "import_pets", f"{folder}/pets.csv", "--owner", "seattle"]
                out, peak = measured(command, env)
                if f" {size:,} {outcome}," not in out:
                    sys.exit(f"Not all of them were {outcome}: {out}")
                rate = re.search(r"\((.+) rows/s\)", out)[1]
                cells.append(f"{rate:>9} rows/s  {peak / 1e6:>4.0f} MB")
            print(f"{size:>9,}  {'  '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
