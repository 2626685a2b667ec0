"""Rows into pets: judged by the API's own serializer, and safe to import again.

Within its owner, a pet is known by its licence number, else by its microchip, else by all that
is said of it: the second of two rows that are alike stands for the second of two pets that are.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice

from django.db import DataError, IntegrityError, transaction
from rest_framework.exceptions import ValidationError

from .errors import flatten
from .formats import shown
from .models import Pet
from .serializers import PetSerializer

# Rows to a transaction: enough for few statements, few enough that other writers need not wait.
BATCH_SIZE = 1000


@dataclass(slots=True)
class Entry:
    """A row that is good, as far as it alone can tell."""

    line: int
    values: dict
    licence: str = ""
    pet_id: int | None = None


@dataclass
class Counts:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0

    @property
    def rows(self):
        return self.created + self.updated + self.unchanged + self.bad

    def __str__(self):
        return (
            f"{self.rows:,} rows: {self.created:,} created, {self.updated:,} updated, "
            f"{self.unchanged:,} unchanged, {self.bad:,} bad"
        )


class Import:
    """One file's way into the pets of `owner`.

    `report(line, reason)` is called for each bad line as it is met; `counts` tells how far the
    import has come, and counts nothing that is not committed.
    """

    def __init__(self, owner, report):
        self.owner = owner
        self.report = report
        self.counts = Counts()
        self.serializer = PetSerializer()
        fields = PetSerializer().fields.items()
        self.names = [name for name, field in fields if not field.read_only]
        blank = Pet()
        self.blanks = {name: getattr(blank, name) for name in self.names}
        self.memory = None

    def run(self, rows):
        """Import the Rows, batch by batch; a batch is stored as a whole or not at all."""
        rows = iter(rows)
        with contextlib.closing(Memory(self.owner, self.names)) as self.memory:
            while batch := list(islice(rows, BATCH_SIZE)):
                # Judged before the transaction, which makes others wait.
                self.store([entry for row in batch if (entry := self.judge(row)) is not None])

    def refuse(self, line, reason):
        self.counts.bad += 1
        self.report(line, shown(reason))

    def judge(self, row):
        """Return the row's Entry, or None when there is nothing to store of it."""
        if row.problem:
            return self.refuse(row.line, row.problem)
        try:
            values = self.serializer.run_validation(row.values)
        except ValidationError as error:
            return self.refuse(row.line, sentence(error))
        # A number that two lines bear is no number to know an animal by.
        for name in ("licence_number", "microchip"):
            if values.get(name):
                first = self.memory.first_line(name, values[name], row.line)
                if first is not None:
                    return self.refuse(row.line, f"{name}: Line {first} has the same.")
        entry = Entry(row.line, values)
        if values.get("licence_number"):
            entry.licence = values["licence_number"]
        elif values.get("microchip"):
            entry.pet_id = self.memory.pet_with_microchip(values["microchip"])
        elif self.memory.is_there([(self.blanks | values)[name] for name in self.names]):
            self.counts.unchanged += 1
            return None
        return entry

    def store(self, entries):
        try:
            self.write(entries)
        except (IntegrityError, DataError):
            # Another program was quicker with one of the numbers: look again, one by one.
            for entry in entries:
                try:
                    self.write([entry])
                except (IntegrityError, DataError) as error:
                    self.refuse(entry.line, f"The database refuses it: {error}")

    def write(self, entries):
        """Create, update or leave alone what the entries stand for, in one transaction."""
        new, changed, unchanged = [], defaultdict(list), 0
        with transaction.atomic():
            by_licence, by_id = self.look_up(entries)
            for entry in entries:
                pet = by_licence.get(entry.licence) or by_id.get(entry.pet_id)
                if pet is None:
                    new.append(Pet(owner=self.owner, **entry.values))
                elif differing := tuple(
                    name for name, value in entry.values.items() if getattr(pet, name) != value
                ):
                    for name in differing:
                        setattr(pet, name, entry.values[name])
                    changed[differing].append(pet)
                else:
                    unchanged += 1
            Pet.objects.register(new)
            for names, pets in changed.items():
                Pet.objects.amend(pets, names)
        self.counts.created += len(new)
        self.counts.updated += sum(map(len, changed.values()))
        self.counts.unchanged += unchanged

    def look_up(self, entries):
        """Return the owner's pets of these entries, by licence number and by id."""
        own = Pet.objects.filter(owner=self.owner)
        licences = [entry.licence for entry in entries if entry.licence]
        ids = [entry.pet_id for entry in entries if entry.pet_id]
        # Said again and unordered: else SQLite does not see that the index of licences, which
        # leaves out the empty ones, will do, and reads all of the owner's pets for each batch.
        licensed = own.exclude(licence_number="").order_by()
        found = licensed.filter(licence_number__in=licences) if licences else []
        return {pet.licence_number: pet for pet in found}, own.in_bulk(ids) if ids else {}


def sentence(error):
    """Return a serializer's ValidationError in a line."""
    return " ".join(
        f"{problem['field']}: {problem['message']}" if problem["field"] else problem["message"]
        for problem in flatten(error.get_full_details())
    )


class Memory:
    """What an import must remember of every row and pet: in a file, since a set would grow with it.

    SQLite keeps a database without a name in a temporary file, and removes it.
    """

    def __init__(self, owner, names):
        self.pets = Pet.objects.filter(owner=owner).order_by("id")
        self.names = names
        self.knows_microchips = self.knows_contents = False
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.executescript(
            """
            PRAGMA journal_mode = OFF;
            PRAGMA temp_store = FILE;
            CREATE TABLE line (name, value, line, PRIMARY KEY (name, value)) WITHOUT ROWID;
            CREATE TABLE chip (microchip PRIMARY KEY, pet) WITHOUT ROWID;
            CREATE TABLE content (digest PRIMARY KEY, pets, lines) WITHOUT ROWID;
            BEGIN;
            """
        )

    def close(self):
        self.database.close()

    def first_line(self, name, value, line):
        """Return the earlier line with this value, or None and remember this one."""
        insert = "INSERT OR IGNORE INTO line VALUES (?, ?, ?)"
        if self.database.execute(insert, [name, value, line]).rowcount:
            return None
        select = "SELECT line FROM line WHERE name = ? AND value = ?"
        return self.database.execute(select, [name, value]).fetchone()[0]

    def pet_with_microchip(self, microchip):
        """Return the id of the pet that had the microchip when this was first asked, or None."""
        if not self.knows_microchips:
            # Read once: microchips have no index, and each batch would read all of the pets.
            self.knows_microchips = True
            chipped = self.pets.exclude(microchip="")
            # The first one stays: a pet that has no other number, and is the oldest such.
            for pets in (chipped.filter(licence_number=""), chipped.exclude(licence_number="")):
                self.database.executemany(
                    "INSERT OR IGNORE INTO chip VALUES (?, ?)",
                    pets.values_list("microchip", "id").iterator(),
                )
        select = "SELECT pet FROM chip WHERE microchip = ?"
        row = self.database.execute(select, [microchip]).fetchone()
        return row[0] if row else None

    def is_there(self, content):
        """Return whether there are as many pets like this as there were rows like it by now."""
        if not self.knows_contents:
            self.knows_contents = True
            pets = self.pets.filter(licence_number="", microchip="")
            self.database.executemany(
                "INSERT INTO content VALUES (?, 1, 0)"
                " ON CONFLICT (digest) DO UPDATE SET pets = pets + 1",
                ([digest(values)] for values in pets.values_list(*self.names).iterator()),
            )
        pets, lines = self.database.execute(
            "INSERT INTO content VALUES (?, 0, 1)"
            " ON CONFLICT (digest) DO UPDATE SET lines = lines + 1 RETURNING pets, lines",
            [digest(content)],
        ).fetchone()
        return lines <= pets


def digest(values):
    return hashlib.blake2b(json.dumps(list(values), default=str).encode(), digest_size=16).digest()
