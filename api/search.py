"""Where a text stands in the name or the breed of a pet, kept by the database itself.

By trigrams, three letters in a row: what has all those of a text may have the text, and nothing
else.  SQLite keeps them in a table of FTS5's, written by triggers; PostgreSQL in an index of
pg_trgm's, which its planner takes by itself.  Where the one or the other is not to be had, all pets
are gone through, which finds the same.
"""

import logging

from django.db import DatabaseError, connections, models, transaction
from django.db.models import F
from django.db.models.lookups import IContains, Lookup

from accounts.prepared import Gap

from .models import Pet, PetText

LETTERS = 3
MOST = 20  # trigrams that are looked for: they tell enough
log = logging.getLogger("pawprint.search")

# --- Asking SQLite -----------------------------------------------------------------------------


class Match(Lookup):
    """FTS5's MATCH (https://www.sqlite.org/fts5.html#full_text_query_syntax)."""

    lookup_name = "match"

    def as_sql(self, compiler, connection):
        column, of_column = self.process_lhs(compiler, connection)
        text, of_text = self.process_rhs(compiler, connection)
        return f"{column} MATCH {text}", [*of_column, *of_text]


class Trigrams(models.TextField):
    """Text that is asked for by its trigrams."""

    def get_db_prep_value(self, value, connection, prepared=False):
        parts = dict.fromkeys(value[n : n + LETTERS] for n in range(len(value) - LETTERS + 1))
        quoted = (part.replace('"', '""') for part in [*parts][:MOST])
        return " AND ".join(f'"{part}"' for part in quoted)


def is_kept(connection):
    """Return whether the database of `connection` keeps trigrams: one whose triggers are gone, as
    while it is migrated, knows nothing of what is written since."""
    if connection.vendor != "sqlite":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sqlite_master WHERE name IN (%s, %s, %s)", [*TRIGGERS])
        return cursor.fetchone()[0] == len(TRIGGERS)


def wanted(node):
    """Return the text, or the Gap for it, that `node` of a query looks for in names and breeds;
    None where it is about something else."""
    parts = getattr(node, "children", [])
    if getattr(node, "connector", None) != "OR" or not all(type(p) is IContains for p in parts):
        return None
    columns = {(part.lhs.target.model, part.lhs.target.name) for part in parts}
    return parts[0].rhs if columns == {(Pet, "name"), (Pet, "breed")} else None


def may_have(text):
    """Return the queryset of the ids of those pets that have the trigrams of `text`, or of what
    fills a Gap."""
    field = Trigrams()
    value = Gap(text.name, field) if isinstance(text, Gap) else models.Value(text, field)
    return PetText.looked_up.filter(Match(F("matching"), value)).values_list("rowid")


# --- Setting it up -----------------------------------------------------------------------------

ADD = "INSERT INTO api_pettext (rowid, name, breed) VALUES (NEW.id, NEW.name, NEW.breed)"
TAKE = (
    "INSERT INTO api_pettext (api_pettext, rowid, name, breed)"
    " VALUES ('delete', OLD.id, OLD.name, OLD.breed)"
)
TRIGGERS = {
    "api_pettext_added": f"AFTER INSERT ON api_pet BEGIN {ADD}; END",
    "api_pettext_removed": f"AFTER DELETE ON api_pet BEGIN {TAKE}; END",
    "api_pettext_changed": "AFTER UPDATE OF name, breed ON api_pet"
    " WHEN OLD.name IS NOT NEW.name OR OLD.breed IS NOT NEW.breed"
    f" BEGIN {TAKE}; {ADD}; END",
}
TABLE = """
    CREATE VIRTUAL TABLE IF NOT EXISTS api_pettext USING fts5(
        name, breed, content='api_pet', content_rowid='id', tokenize='trigram', detail=none,
        columnsize=0
    )"""
ON_POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS api_pet_text_idx ON api_pet"
    " USING gin (upper(name::text) gin_trgm_ops, upper(breed::text) gin_trgm_ops)",
]


def remove(using, plan=(), **kwargs):
    """Take the triggers away, before migrations: the table that they are on may be made anew."""
    connection = connections[using]
    if plan and connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for name in TRIGGERS:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def ensure(using, **kwargs):
    """Set up what is missing, and fill it: after migrations.  It takes some seconds for a million
    pets."""
    connection = connections[using]
    if Pet._meta.db_table not in connection.introspection.table_names():
        return
    set_up = on_sqlite if connection.vendor == "sqlite" else on_postgresql
    try:
        with transaction.atomic(using), connection.cursor() as cursor:
            set_up(cursor)
    except DatabaseError as error:  # no FTS5 in this SQLite, no right to add an extension
        log.warning("Searching by q= will go through all pets: %s", str(error).strip())


def on_sqlite(cursor):
    if not is_kept(cursor.db):
        cursor.execute(TABLE)
        for name, what in TRIGGERS.items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            cursor.execute(f"CREATE TRIGGER {name} {what}")
        read_anew(cursor)


def read_anew(cursor):
    """Read the trigrams of all pets anew."""
    if is_kept(cursor.db):
        cursor.execute("INSERT INTO api_pettext (api_pettext) VALUES ('rebuild')")


def on_postgresql(cursor):
    for statement in ON_POSTGRESQL:
        cursor.execute(statement)
